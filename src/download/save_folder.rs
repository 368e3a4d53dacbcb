//! An open folder in which files are saved.
//!
//! A small file has no name until it is complete, where the system can do that: it is never
//! seen incomplete, and nothing is left of it if the program is killed. This costs less than
//! another name that is changed in the end.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{AtFlags, Mode, OFlags, fstat, linkat, openat};
use rustix::io::Errno;

use crate::download::path::escaped;
use crate::system_error::check_close;

/// The folder.
#[derive(Debug)]
pub(super) struct SaveFolder {
    folder: OwnedFd,
    /// The path at which it was opened.
    path: PathBuf,
    /// A file without a name could not be created, or got no name, so no other is tried.
    /// Some file systems have none, and before Linux 6.10 only root can name them.
    lacks_unnamed: AtomicBool,
    /// See [`check_close`]. Tests have no file system that reports an error then.
    check_close: fn(&File) -> io::Result<()>,
}

impl AsFd for SaveFolder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.folder.as_fd()
    }
}

impl SaveFolder {
    /// The folder that was opened at this path.
    pub(super) fn new(folder: OwnedFd, path: &Path) -> Self {
        Self {
            folder,
            path: path.to_owned(),
            lacks_unnamed: AtomicBool::new(false),
            check_close: |file| check_close(file),
        }
    }

    /// The path still leads to this folder, in which the file `name` was saved.
    ///
    /// # Errors
    /// Somebody has moved or replaced the folder.
    pub(super) fn check_path(&self, name: &OsStr) -> io::Result<()> {
        let own = fstat(&self.folder)?;
        match self.path.metadata() {
            Ok(found) if (found.dev(), found.ino()) == (own.st_dev, own.st_ino) => return Ok(()),
            Err(error) if !is_missing(&error) => return Ok(()),
            Ok(_) | Err(_) => {}
        }
        let now = fs::read_link(format!("/proc/self/fd/{}", self.folder.as_raw_fd()));
        // Some file systems give a folder another inode each time that it is looked up.
        if matches!((&now, self.path.canonicalize()), (Ok(now), Ok(path)) if *now == path) {
            return Ok(());
        }
        let place = now.map_or_else(
            |_| "there".to_owned(),
            |folder| format!("as {}", escaped(&folder.join(name))),
        );
        let text = format!("its folder was moved during the download; the file is saved {place}");
        Err(io::Error::other(text))
    }

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

    /// Whether everything that was written to a file has arrived, as far as the file system
    /// says so before it is synced.
    pub(super) fn check_close(&self, file: &File) -> io::Result<()> {
        (self.check_close)(file)
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

fn is_missing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::download::part_file::PartFile;
    use crate::download::resume_tests::{Fixture, SIZE, part, stored_bytes};
    use crate::download::small_file::SmallFile;
    use crate::download::target_file::TargetFile;
    use crate::jobs::ContentInfo;
    use crate::protocol::PieceLayout;

    fn folder(root: &Path, lacks_unnamed: bool) -> SaveFolder {
        let folder = SaveFolder::new(File::open(root).expect("it is there").into(), root);
        folder.lacks_unnamed.store(lacks_unnamed, Ordering::Relaxed);
        folder
    }

    /// Where files may be without a name, and where not.
    #[test]
    fn a_small_file_appears_complete_and_replaces_none() {
        for lacks_unnamed in [false, true] {
            let root = tempfile::tempdir().expect("a folder");
            let folder = Arc::new(folder(root.path(), lacks_unnamed));
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

    /// Regression: the file was said to be saved at the path that the user had named.
    #[test]
    fn a_folder_that_is_moved_before_a_file_is_complete_is_reported() {
        for (lacks_unnamed, replace, is_replaced) in [
            (false, false, false),
            (true, false, true),
            (false, true, true),
        ] {
            for size in [5, PieceLayout::MIN_PIECE_SIZE + 1] {
                let root = tempfile::tempdir().expect("a folder");
                let [path, moved] = ["a", "b"].map(|name| root.path().join(name));
                fs::create_dir(&path).expect("a folder");
                let folder = Arc::new(folder(&path, lacks_unnamed));
                let saved = Arc::default();
                let file = path.join("file");
                let replace = replace.then_some((&saved, &file as &Path));
                let target = TargetFile::new(folder, OsStr::new("file"), replace);
                let (target, content) = (target.expect("opened").0, ContentInfo::new(size, None));
                let commit: Box<dyn FnOnce() -> io::Result<()>> = match size {
                    5 => Box::new(|| SmallFile::new(target, size).commit(&content)),
                    _ => {
                        let opened = PartFile::open(target, &content, true);
                        let mut file = opened.expect("opened").0;
                        Box::new(move || file.commit(&content))
                    }
                };
                fs::rename(&path, &moved).expect("moved");
                if is_replaced {
                    fs::create_dir(&path).expect("a folder");
                }
                let error = commit().expect_err("it is elsewhere").to_string();
                let place = format!("saved as {}", moved.join("file").display());
                assert!(error.ends_with(&place), "{error}");
                let names = fs::read_dir(&moved).expect("a folder");
                let names: Vec<_> = names.map(|entry| entry.expect("read").path()).collect();
                assert_eq!(names[0], moved.join("file"), "{names:?}");
            }
        }
    }

    #[test]
    fn a_file_whose_close_fails_gets_no_name_and_replaces_none() {
        let root = tempfile::tempdir().expect("a folder");
        fs::write(root.path().join("old"), b"good").expect("a file");
        for (lacks_unnamed, name, replace) in [
            (false, "new", false),
            (true, "new", false),
            (true, "old", true),
        ] {
            let folder = Arc::new(SaveFolder {
                check_close: |_| Err(Errno::NOSPC.into()),
                ..folder(root.path(), lacks_unnamed)
            });
            for size in [5, PieceLayout::MIN_PIECE_SIZE + 1] {
                let saved = Arc::default();
                let replace = replace.then_some((&saved, Path::new(name)));
                let target = TargetFile::new(Arc::clone(&folder), OsStr::new(name), replace);
                let (target, content) = (target.expect("opened").0, ContentInfo::new(size, None));
                // Something is missing, as after a failed write.
                let longer = ContentInfo::new(size + 1, None);
                let committed = match size {
                    5 => SmallFile::new(target, size).commit(&longer),
                    _ => PartFile::open(target, &content, true)
                        .map(|(mut file, _)| file.commit(&longer).inspect_err(|_| file.remove()))
                        .expect("opened"),
                };
                let error = committed.expect_err("not everything was written");
                assert_eq!(error.kind(), io::ErrorKind::StorageFull);
            }
        }
        let entries = fs::read_dir(root.path()).expect("a folder");
        assert_eq!(entries.count(), 1);
        assert_eq!(fs::read(root.path().join("old")).expect("a file"), b"good");
    }

    #[test]
    fn pieces_of_a_part_whose_close_has_failed_are_checked() {
        // The system tells an error once.
        static IS_TOLD: AtomicBool = AtomicBool::new(false);
        let fixture = Fixture::new();
        for (pieces, is_complete) in [([0, 1, 2, 3], true), ([0, 1, 2, 3], false)] {
            IS_TOLD.store(false, Ordering::Relaxed);
            let folder = Arc::new(SaveFolder {
                check_close: |_| match IS_TOLD.swap(true, Ordering::Relaxed) {
                    true => Ok(()),
                    false => Err(Errno::DQUOT.into()),
                },
                ..folder(fixture.folder.path(), true)
            });
            let target = TargetFile::absent(folder, OsStr::new("file"));
            let (mut file, _) = PartFile::open(target, &fixture.content, true).expect("opened");
            for index in pieces {
                file.record_piece(index).expect("recorded");
            }
            if is_complete {
                let error = file.commit(&fixture.content).expect_err("bytes are lost");
                assert_eq!(error.kind(), io::ErrorKind::QuotaExceeded);
            }
            assert_eq!(file.keep(), Some(stored_bytes(0, SIZE)));
            assert_eq!(fixture.open().1, part(&[], &pieces), "{is_complete}");
        }
    }
}
