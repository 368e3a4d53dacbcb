//! Folders and contents for shares.

use std::fs::File;

use tempfile::TempDir;

/// A folder with these files.
pub fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, content) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("it has one")).expect("a folder");
        std::fs::write(path, content).expect("a file");
    }
    folder
}

/// A folder with one file of zeros, larger than any buffer on its way, that
/// takes no place on the disk.
pub fn large_file(size: u64) -> TempDir {
    let share = folder(&[("small", b"small\n")]);
    let file = File::create(share.path().join("large")).expect("a file");
    file.set_len(size).expect("a size");
    share
}

/// Bytes of all values without a short period.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut bytes = vec![0; length];
    random.fill(&mut bytes);
    bytes
}
