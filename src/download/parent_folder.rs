//! The folder of a file below a target folder.
//!
//! The last one stays open for a moment: the files of a folder come one after the other,
//! and opening it takes longer than writing a small file.

use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};
use rustix::io::Errno;

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
    folder: Rc<OwnedFd>,
    opened: Instant,
}

impl ParentFolders {
    /// Opens the folder of the file `name` below `root`, and returns it with the last part
    /// of the name. Missing folders are created. Symbolic links below `root` are not
    /// followed, so nothing is written outside of it.
    pub(super) fn create<'n>(
        &mut self,
        root: &Path,
        name: &'n FileName<'_>,
    ) -> io::Result<(Rc<OwnedFd>, &'n str)> {
        self.open(root, name, open_or_create_root, open_or_create)
    }

    /// The same, but no folder is created.
    pub(super) fn find<'n>(
        &mut self,
        root: &Path,
        name: &'n FileName<'_>,
    ) -> io::Result<(Rc<OwnedFd>, &'n str)> {
        self.open(root, name, open_root, |parent, name| {
            Ok(open_below(parent, name)?)
        })
    }

    /// The next folder is looked up again.
    pub(super) fn close(&mut self) {
        self.last = None;
    }

    fn open<'n>(
        &mut self,
        root: &Path,
        name: &'n FileName<'_>,
        open_root: impl Fn(&Path) -> io::Result<OwnedFd>,
        open_below: impl Fn(&OwnedFd, &str) -> io::Result<OwnedFd>,
    ) -> io::Result<(Rc<OwnedFd>, &'n str)> {
        let name = name.as_str();
        let (path, leaf) = name.rsplit_once('/').unwrap_or(("", name));
        if let Some(last) = &self.last
            && last.path == path
            && last.root == root
            && last.opened.elapsed() < KEEP_TIME
        {
            return Ok((Rc::clone(&last.folder), leaf));
        }
        let mut folder = open_root(root)?;
        for component in path.split('/').filter(|component| !component.is_empty()) {
            folder = open_below(&folder, component)?;
        }
        let folder = Rc::new(folder);
        self.last = Some(LastFolder {
            root: root.to_owned(),
            path: path.to_owned(),
            folder: Rc::clone(&folder),
            opened: Instant::now(),
        });
        Ok((folder, leaf))
    }
}

fn open_root(root: &Path) -> io::Result<OwnedFd> {
    Ok(openat(CWD, root, FLAGS, Mode::empty())?)
}

fn open_below(parent: &OwnedFd, name: &str) -> Result<OwnedFd, Errno> {
    openat(parent, name, FLAGS | OFlags::NOFOLLOW, Mode::empty())
}

/// Opens the root, which is usually there.
fn open_or_create_root(root: &Path) -> io::Result<OwnedFd> {
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

fn open_or_create(parent: &OwnedFd, name: &str) -> io::Result<OwnedFd> {
    match open_below(parent, name) {
        Err(Errno::NOENT) => match mkdirat(parent, name, Mode::from_raw_mode(0o777)) {
            Ok(()) | Err(Errno::EXIST) => Ok(open_below(parent, name)?),
            Err(error) => Err(error.into()),
        },
        opened => Ok(opened?),
    }
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
        assert!(Rc::ptr_eq(&first, &create("a/b/two", false).0));
        assert!(!Rc::ptr_eq(&first, &create("a/three", false).0));
        create("a/b/one", false);
        fs::remove_dir_all(root.path().join("a")).expect("removed");
        create("a/b/one", true);
        assert!(root.path().join("a/b").is_dir());
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
