//! The folder of a file below a target folder.
//!
//! The last one stays open for a moment: the files of a folder come one after the other,
//! and opening it takes longer than writing a small file. In a new folder, there is no need
//! to look for each file.

use std::collections::HashSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, Mode, OFlags, fstat, mkdirat, openat};
use rustix::io::Errno;

use crate::download::save_folder::SaveFolder;
use crate::protocol::FileName;

/// How long an open folder is taken for the one at its path. Somebody may move or delete it.
const KEEP_TIME: Duration = Duration::from_secs(1);

const FLAGS: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);

/// The folders of the files below one target folder.
#[derive(Default)]
pub struct ParentFolders {
    last: Option<LastFolder>,
}

struct LastFolder {
    root: PathBuf,
    /// Its path below the root, with slashes.
    path: String,
    folder: Arc<SaveFolder>,
    opened: Instant,
    /// The files that were created there, if that is all that the folder has: it is a new
    /// one.
    files: Option<HashSet<String>>,
}

impl ParentFolders {
    /// Opens the folder of the file `name` below `root`, and returns it with the last part
    /// of the name. Missing folders are created. Symbolic links below `root` are not
    /// followed, so nothing is written outside of it.
    pub(super) fn create<'n>(
        &mut self,
        root: &Path,
        name: &'n FileName<'_>,
    ) -> io::Result<(Arc<SaveFolder>, &'n str)> {
        let (last, leaf) = self.open(root, name, open_or_create_root, open_or_create)?;
        if let Some(files) = &mut last.files {
            files.insert(leaf.to_owned());
        }
        Ok((Arc::clone(&last.folder), leaf))
    }

    /// The same, but no folder is created.
    ///
    /// # Errors
    /// `NotFound` also if the folder is a new one without such a file.
    pub(super) fn find<'n>(
        &mut self,
        root: &Path,
        name: &'n FileName<'_>,
    ) -> io::Result<(Arc<SaveFolder>, &'n str)> {
        let (last, leaf) = self.open(root, name, open_root, open_below)?;
        match &last.files {
            Some(files) if !files.contains(leaf) => Err(Errno::NOENT.into()),
            _ => Ok((Arc::clone(&last.folder), leaf)),
        }
    }

    /// The next folder is looked up again.
    pub(super) fn close(&mut self) {
        self.last = None;
    }

    fn open<'n>(
        &mut self,
        root: &Path,
        name: &'n FileName<'_>,
        open_root: impl Fn(&Path) -> io::Result<OpenParent>,
        open_below: impl Fn(&OwnedFd, &str) -> io::Result<OpenParent>,
    ) -> io::Result<(&mut LastFolder, &'n str)> {
        let name = name.as_str();
        let (path, leaf) = name.rsplit_once('/').unwrap_or(("", name));
        let last = self.last.take();
        let mut last = last.filter(|last| last.path == path && last.root == root);
        if let Some(last) = last.take_if(|last| last.opened.elapsed() < KEEP_TIME) {
            return Ok((self.last.insert(last), leaf));
        }
        let mut folder = open_root(root)?;
        for component in path.split('/').filter(|component| !component.is_empty()) {
            folder = open_below(&folder.folder, component)?;
        }
        let files = match last.filter(|last| is_same(&last.folder, &folder.folder)) {
            Some(last) => last.files,
            None => folder.is_new.then(HashSet::new),
        };
        let last = self.last.insert(LastFolder {
            root: root.to_owned(),
            path: path.to_owned(),
            folder: Arc::new(SaveFolder::new(folder.folder, &root.join(path))),
            opened: Instant::now(),
            files,
        });
        Ok((last, leaf))
    }
}

struct OpenParent {
    folder: OwnedFd,
    /// It was created just now.
    is_new: bool,
}

fn open_root(root: &Path) -> io::Result<OpenParent> {
    let folder = openat(CWD, root, FLAGS, Mode::empty())?;
    let is_new = false;
    Ok(OpenParent { folder, is_new })
}

fn open_below(parent: &OwnedFd, name: &str) -> io::Result<OpenParent> {
    let folder = openat(parent, name, FLAGS | OFlags::NOFOLLOW, Mode::empty())?;
    let is_new = false;
    Ok(OpenParent { folder, is_new })
}

/// Opens the root, which is usually there.
fn open_or_create_root(root: &Path) -> io::Result<OpenParent> {
    match open_root(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            std::fs::create_dir_all(root).map_err(|error| match error.kind() {
                // A link to nothing has its name. AlreadyExists would suggest --force.
                io::ErrorKind::AlreadyExists => Errno::NOTDIR.into(),
                _ => error,
            })?;
            open_root(root)
        }
        opened => opened,
    }
}

fn open_or_create(parent: &OwnedFd, name: &str) -> io::Result<OpenParent> {
    match open_below(parent, name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let created = mkdirat(parent, name, Mode::from_raw_mode(0o777));
            match created {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            let is_new = created.is_ok();
            let opened = open_below(parent, name)?;
            Ok(OpenParent { is_new, ..opened })
        }
        opened => opened,
    }
}

fn is_same(one: &impl AsFd, other: &impl AsFd) -> bool {
    let id = |folder: BorrowedFd<'_>| fstat(folder).map(|stat| (stat.st_dev, stat.st_ino)).ok();
    id(one.as_fd()).is_some_and(|one| id(other.as_fd()) == Some(one))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_folder_stays_open_for_the_next_file_and_is_created_again_after_a_failure() {
        let root = tempfile::tempdir().expect("a folder");
        let mut parents = ParentFolders::default();
        let mut create = |name: &str, is_closed: bool| {
            if is_closed {
                parents.close();
            }
            let name = FileName::parse(name).expect("a name");
            let (folder, leaf) = parents.create(root.path(), &name).expect("a folder");
            (folder, leaf.to_owned())
        };
        let (first, leaf) = create("a/b/one", false);
        assert_eq!(leaf, "one");
        assert!(Arc::ptr_eq(&first, &create("a/b/two", false).0));
        assert!(!Arc::ptr_eq(&first, &create("a/three", false).0));
        create("a/b/one", false);
        fs::remove_dir_all(root.path().join("a")).expect("removed");
        create("a/b/one", true);
        assert!(root.path().join("a/b").is_dir());
    }

    /// A folder that was there, or that was created by another program, is asked for each file.
    #[test]
    fn a_new_folder_has_the_files_that_were_created_there() {
        let root = tempfile::tempdir().expect("a folder");
        fs::create_dir(root.path().join("old")).expect("a folder");
        let mut parents = ParentFolders::default();
        let name = |text: &'static str| FileName::parse(text).expect("a name");
        for (folder, is_known) in [
            (["new/one", "new/two"], true),
            (["old/one", "old/two"], false),
        ] {
            let [one, two] = folder.map(name);
            parents.create(root.path(), &one).expect("a folder");
            assert!(parents.find(root.path(), &one).is_ok());
            assert_eq!(parents.find(root.path(), &two).is_err(), is_known);
        }
        parents
            .create(root.path(), &name("new/one"))
            .expect("a folder");
        assert!(parents.find(root.path(), &name("new/two")).is_ok());
    }

    #[test]
    fn to_find_a_folder_creates_none() {
        let root = tempfile::tempdir().expect("a folder");
        let name = FileName::parse("a/one").expect("a name");
        let mut parents = ParentFolders::default();
        let error = parents.find(root.path(), &name).expect_err("no folder");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(!root.path().join("a").exists());
    }
}
