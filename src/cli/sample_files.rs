//! The sample files of the demo. They travel in the program, so that the demo works in any
//! folder.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::logging::OPERATOR;

/// The path of each file, in the folder of its node, and the content.
const SAMPLES: [(&str, &[u8]); 24] = [
    (
        "peer1/framing.txt",
        include_bytes!("../../files/peer1/framing.txt"),
    ),
    (
        "peer1/half-close.txt",
        include_bytes!("../../files/peer1/half-close.txt"),
    ),
    (
        "peer1/hello.txt",
        include_bytes!("../../files/peer1/hello.txt"),
    ),
    (
        "peer1/history/first message.txt",
        include_bytes!("../../files/peer1/history/first message.txt"),
    ),
    (
        "peer1/history/morris-worm.txt",
        include_bytes!("../../files/peer1/history/morris-worm.txt"),
    ),
    (
        "peer1/history/ping.txt",
        include_bytes!("../../files/peer1/history/ping.txt"),
    ),
    (
        "peer1/tcp-handshake.txt",
        include_bytes!("../../files/peer1/tcp-handshake.txt"),
    ),
    (
        "peer1/what-is-nc.txt",
        include_bytes!("../../files/peer1/what-is-nc.txt"),
    ),
    (
        "peer2/empty.txt",
        include_bytes!("../../files/peer2/empty.txt"),
    ),
    (
        "peer2/größe-und-länge.txt",
        include_bytes!("../../files/peer2/größe-und-länge.txt"),
    ),
    (
        "peer2/nagle.txt",
        include_bytes!("../../files/peer2/nagle.txt"),
    ),
    (
        "peer2/notes/big-and-little-endian.txt",
        include_bytes!("../../files/peer2/notes/big-and-little-endian.txt"),
    ),
    (
        "peer2/notes/end-to-end.txt",
        include_bytes!("../../files/peer2/notes/end-to-end.txt"),
    ),
    (
        "peer2/notes/ports.csv",
        include_bytes!("../../files/peer2/notes/ports.csv"),
    ),
    (
        "peer2/rfc 1149 pigeons.txt",
        include_bytes!("../../files/peer2/rfc 1149 pigeons.txt"),
    ),
    (
        "peer2/two generals.txt",
        include_bytes!("../../files/peer2/two generals.txt"),
    ),
    (
        "peer3/below-1024.txt",
        include_bytes!("../../files/peer3/below-1024.txt"),
    ),
    (
        "peer3/café.txt",
        include_bytes!("../../files/peer3/café.txt"),
    ),
    (
        "peer3/epoll-edges.txt",
        include_bytes!("../../files/peer3/epoll-edges.txt"),
    ),
    (
        "peer3/names-and-numbers.txt",
        include_bytes!("../../files/peer3/names-and-numbers.txt"),
    ),
    (
        "peer3/pictures/three-peers.png",
        include_bytes!("../../files/peer3/pictures/three-peers.png"),
    ),
    (
        "peer3/robustness-principle.txt",
        include_bytes!("../../files/peer3/robustness-principle.txt"),
    ),
    (
        "peer3/song of a packet.txt",
        include_bytes!("../../files/peer3/song of a packet.txt"),
    ),
    (
        "peer3/submarine cables.txt",
        include_bytes!("../../files/peer3/submarine cables.txt"),
    ),
];

/// A temporary folder with the sample files. It is removed when this is dropped.
pub(super) struct SampleFolder(PathBuf);

impl SampleFolder {
    /// Creates the folder, for this user only.
    ///
    /// # Errors
    /// The system's folder for temporary files cannot be written.
    pub(super) fn create() -> io::Result<Self> {
        let name = format!("peerline-{:016x}", fastrand::u64(..));
        let path = std::env::temp_dir().join(name);
        // Fails if the folder is there already, whoever made it.
        DirBuilder::new().mode(0o700).create(&path)?;
        let folder = Self(path);
        for (name, content) in SAMPLES {
            let path = folder.path().join(name);
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            fs::write(path, content)?;
        }
        Ok(folder)
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for SampleFolder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            log::warn!(target: OPERATOR, "cannot remove {}: {error}", self.0.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_sample_files_of_the_project_travel_in_the_program() {
        let project = Path::new(env!("CARGO_MANIFEST_DIR")).join("files");
        let on_disk = walkdir::WalkDir::new(&project).into_iter().flatten();
        let on_disk = on_disk.filter(|entry| entry.file_type().is_file());
        let folder = SampleFolder::create().expect("a folder");
        let mut count = 0;
        for entry in on_disk {
            let name = entry.path().strip_prefix(&project).expect("it is below");
            let copy = fs::read(folder.path().join(name)).expect("a copy");
            assert!(copy == fs::read(entry.path()).expect("a file"), "{name:?}");
            count += 1;
        }
        assert_eq!(count, SAMPLES.len());
        let path = folder.path().to_owned();
        drop(folder);
        assert!(!path.exists());
    }
}
