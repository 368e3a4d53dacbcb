//! Folders and contents for shares.

use std::fs::File;

use tempfile::TempDir;

/// A temporary folder with these files.
pub fn folder(files: &[(&str, &[u8])]) -> TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, content) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("it has one")).expect("a folder");
        std::fs::write(path, content).expect("a file");
    }
    folder
}

/// A folder with many files. The content of each is its name.
pub fn folder_of_names(names: impl IntoIterator<Item = String>) -> TempDir {
    let names: Vec<String> = names.into_iter().collect();
    let files = names.iter().map(|name| (name.as_str(), name.as_bytes()));
    folder(&files.collect::<Vec<_>>())
}

/// A folder with `small` and with `large`, a sparse file of `size` bytes.
pub fn large_file(size: u64) -> TempDir {
    let share = folder(&[("small", b"small\n")]);
    let file = File::create(share.path().join("large")).expect("a file");
    file.set_len(size).expect("a size");
    share
}

/// Pseudo-random bytes.
pub fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut bytes = vec![0; length];
    random.fill(&mut bytes);
    bytes
}
