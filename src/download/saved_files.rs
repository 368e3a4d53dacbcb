//! The files that one command has saved, or has found up to date. The command replaces other
//! files, but not these: two names of the network can be one file on disk, where a folder
//! ignores case or is mounted twice.

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::fs::{Stat, fstat};

use crate::download::path::{escaped, folder_of};
use crate::protocol::fold;

/// Device and inode.
type FileId = (u64, u64);

/// The files.
#[derive(Debug, Default)]
pub(super) struct SavedFiles {
    paths: Mutex<HashMap<FileId, Box<Path>>>,
}

/// The files, for a thread that replaces or adds one.
pub(super) struct LockedFiles<'a> {
    paths: MutexGuard<'a, HashMap<FileId, Box<Path>>>,
}

impl SavedFiles {
    pub(super) fn lock(&self) -> LockedFiles<'_> {
        let paths = self.paths.lock().unwrap_or_else(PoisonError::into_inner);
        LockedFiles { paths }
    }
}

impl LockedFiles<'_> {
    /// Adds a file that has this path.
    pub(super) fn add(&mut self, file: &File, path: &Path) -> io::Result<()> {
        let metadata = file.metadata()?;
        let id = (metadata.dev(), metadata.ino());
        self.paths.insert(id, path.into());
        Ok(())
    }

    /// The same, if this file has the path still. Returns whether it has.
    pub(super) fn add_existing(&mut self, file: &File, path: &Path) -> io::Result<bool> {
        let metadata = file.metadata()?;
        let is_same = |now: Metadata| (now.dev(), now.ino()) == (metadata.dev(), metadata.ino());
        let has_path = path.metadata().is_ok_and(is_same);
        if has_path {
            self.add(file, path)?;
        }
        Ok(has_path)
    }

    /// The file `existing` in `folder` may be replaced under this path.
    ///
    /// # Errors
    /// It is one of these files, under another path.
    pub(super) fn check(&self, folder: impl AsFd, existing: &Stat, path: &Path) -> io::Result<()> {
        match self.paths.get(&(existing.st_dev, existing.st_ino)) {
            Some(saved) if **saved != *path && is_same_entry(folder, existing, path, saved) => {
                let saved = escaped(saved);
                let text = format!(
                    "on disk it is {saved}, a finished download; use -o FILE to save under another name"
                );
                Err(io::Error::other(text))
            }
            _ => Ok(()),
        }
    }
}

/// Whether the path of a saved file leads to the same entry of a folder as `path`. The saved
/// file may be gone, and its inode may be that of another file. Or both paths are hard links:
/// to replace one of them leaves the other.
fn is_same_entry(folder: impl AsFd, existing: &Stat, path: &Path, saved: &Path) -> bool {
    let Ok(saved_file) = saved.symlink_metadata() else {
        return false;
    };
    if (saved_file.dev(), saved_file.ino()) != (existing.st_dev, existing.st_ino) {
        return false;
    }
    let name = |path: &Path| Some(fold(&path.file_name()?.to_string_lossy()).into_owned());
    let is_folder_of_saved = || {
        let (folder, saved) = (fstat(folder).ok()?, folder_of(saved).metadata().ok()?);
        Some((folder.st_dev, folder.st_ino) == (saved.dev(), saved.ino()))
    };
    existing.st_nlink == 1 || (name(path) == name(saved) && is_folder_of_saved() == Some(true))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use rustix::fs::{AtFlags, CWD, statat};
    use tempfile::TempDir;

    use super::*;

    /// A folder `x` with a saved file, and a link `y` to the folder.
    fn fixture() -> (TempDir, SavedFiles) {
        let root = tempfile::tempdir().expect("a folder");
        let path = |name: &str| root.path().join(name);
        fs::create_dir(path("x")).expect("a folder");
        symlink("x", path("y")).expect("a link");
        fs::write(path("x/f"), "saved").expect("a file");
        let saved = SavedFiles::default();
        let file = File::open(path("x/f")).expect("it is there");
        saved.lock().add(&file, &path("x/f")).expect("added");
        (root, saved)
    }

    #[track_caller]
    fn is_refused(root: &TempDir, saved: &SavedFiles, name: &str) -> bool {
        let path = root.path().join(name);
        let folder = File::open(folder_of(&path)).expect("a folder");
        let existing = statat(CWD, &path, AtFlags::SYMLINK_NOFOLLOW).expect("a file");
        saved.lock().check(folder, &existing, &path).is_err()
    }

    #[test]
    fn a_saved_file_is_not_replaced_under_another_path() {
        let (root, saved) = fixture();
        assert!(is_refused(&root, &saved, "y/f"));
        assert!(!is_refused(&root, &saved, "x/f"));
    }

    #[test]
    fn a_hard_link_to_a_saved_file_is_replaced() {
        let (root, saved) = fixture();
        let [file, link] = ["x/f", "x/g"].map(|name| root.path().join(name));
        fs::hard_link(file, link).expect("a link");
        assert!(!is_refused(&root, &saved, "y/g"));
        assert!(is_refused(&root, &saved, "y/f"));
    }

    /// Its inode may be that of the saved file, as on ext4 or tmpfs.
    #[test]
    fn a_file_that_was_made_after_a_saved_one_was_deleted_is_replaced() {
        let (root, saved) = fixture();
        // The inode is the same in any case.
        fs::rename(root.path().join("x/f"), root.path().join("x/other")).expect("renamed");
        assert!(!is_refused(&root, &saved, "y/other"));
    }
}
