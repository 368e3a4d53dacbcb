//! An open folder in which files are saved.
//!
//! A small file has no name until it is complete, where the system can do that: it is never
//! seen incomplete, and nothing is left of it if the program is killed. This costs less than
//! another name that is changed in the end.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{AtFlags, Mode, OFlags, linkat, openat};
use rustix::io::Errno;

/// The folder.
#[derive(Debug)]
pub(super) struct SaveFolder {
    folder: OwnedFd,
    /// A file without a name could not be created, or got no name, so no other is tried.
    /// Some file systems have none, and before Linux 6.10 only root can name them.
    lacks_unnamed: AtomicBool,
}

impl From<OwnedFd> for SaveFolder {
    fn from(folder: OwnedFd) -> Self {
        Self {
            folder,
            lacks_unnamed: AtomicBool::new(false),
        }
    }
}

impl AsFd for SaveFolder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.folder.as_fd()
    }
}

impl SaveFolder {
    /// Creates a file without a name, if there can be one.
    pub(super) fn create_unnamed(&self, mode: Mode) -> Option<File> {
        if self.lacks_unnamed.load(Ordering::Relaxed) {
            return None;
        }
        let flags = OFlags::WRONLY | OFlags::TMPFILE | OFlags::CLOEXEC;
        let created = openat(&self.folder, ".", flags, mode).ok();
        if created.is_none() {
            self.lacks_unnamed.store(true, Ordering::Relaxed);
        }
        created.map(File::from)
    }

    /// Gives a file of [`SaveFolder::create_unnamed`] its name. Returns false if it cannot
    /// have one.
    ///
    /// # Errors
    /// `AlreadyExists` if the name is taken.
    pub(super) fn name_file(&self, file: &File, name: &OsStr) -> io::Result<bool> {
        match linkat(file, "", &self.folder, name, AtFlags::EMPTY_PATH) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Err(Errno::EXIST.into()),
            Err(_) => {
                self.lacks_unnamed.store(true, Ordering::Relaxed);
                Ok(false)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::MetadataExt;
    use std::sync::Arc;

    use super::*;
    use crate::download::small_file::SmallFile;
    use crate::download::target_file::TargetFile;
    use crate::jobs::ContentInfo;

    /// Where files may be without a name, and where not.
    #[test]
    fn a_small_file_appears_complete_and_replaces_none() {
        for lacks_unnamed in [false, true] {
            let root = tempfile::tempdir().expect("a folder");
            let folder = OwnedFd::from(File::open(root.path()).expect("it is there"));
            let folder = Arc::new(SaveFolder::from(folder));
            folder.lacks_unnamed.store(lacks_unnamed, Ordering::Relaxed);
            let commit = |bytes: &[u8]| {
                let target = TargetFile::absent(Arc::clone(&folder), OsStr::new("one"));
                let size = bytes.len() as u64;
                let mut file = SmallFile::new(target, size);
                file.write_at(0, bytes).expect("there is room");
                file.commit(&ContentInfo {
                    mtime: Some(1_000_000_000),
                    is_executable: true,
                    ..ContentInfo::new(size, None)
                })
            };
            commit(b"bytes").expect("committed");
            let error = commit(b"others").expect_err("the name is taken");
            assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
            let entries = fs::read_dir(root.path()).expect("a folder");
            let names: Vec<_> = entries.map(|entry| entry.expect("read").path()).collect();
            assert_eq!(names, [root.path().join("one")], "{lacks_unnamed}");
            assert_eq!(fs::read(&names[0]).expect("a file"), b"bytes");
            let metadata = names[0].metadata().expect("a file");
            assert_eq!(
                (metadata.mtime(), metadata.mode() & 0o700),
                (1_000_000_000, 0o700)
            );
        }
    }
}
