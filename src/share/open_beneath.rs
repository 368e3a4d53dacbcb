//! Opens files below a folder, and never outside of it.
//!
//! With `RESOLVE_BENEATH` the kernel refuses `..`, absolute names and links that
//! lead out (openat2(2)). Where the kernel or a container has or allows no `openat2`,
//! each component of the name is opened on its own and no link is followed.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2};
use rustix::io::Errno;

use crate::share::file_identity::FileIdentity;
use crate::share::shared_file::SharedFile;

/// Attempts while concurrent renames make `openat2` fail with EAGAIN.
const MAX_ATTEMPTS: usize = 8;

/// How a file is opened below the root.
const RESOLVE: ResolveFlags = ResolveFlags::BENEATH.union(ResolveFlags::NO_MAGICLINKS);

/// Without symbolic links, and in one file system.
const RESOLVE_DIRECT: ResolveFlags = RESOLVE
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_XDEV);

/// NONBLOCK: the open of a FIFO must not block the loop.
pub(super) const READ_FLAGS: OFlags = OFlags::RDONLY
    .union(OFlags::CLOEXEC)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY);

/// How names are resolved.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Resolver {
    /// By openat2(2). Links that stay inside are followed.
    Openat2,
    /// One component at a time. No link is followed.
    Componentwise,
}

impl Resolver {
    /// The best one that this system supports and allows.
    pub(super) fn detect(root: &OwnedFd) -> Self {
        Self::for_attempt(openat2_retry(root, ".", READ_FLAGS, RESOLVE_DIRECT).map(drop))
    }

    /// The resolver after an attempt to open the root by `openat2`. Sandboxes refuse the
    /// call with various errors, and some know only a part of its flags.
    fn for_attempt(attempt: Result<(), Errno>) -> Self {
        match attempt {
            // These say nothing about the call.
            Ok(()) | Err(Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN) => {
                Self::Openat2
            }
            Err(_) => Self::Componentwise,
        }
    }

    /// Opens a folder. No link is followed.
    pub(super) fn open_folder(self, root: &OwnedFd, name: &str) -> Result<OwnedFd, Errno> {
        match self {
            Self::Openat2 => {
                let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
                openat2_retry(root, name, READ_FLAGS | OFlags::DIRECTORY, resolve)
            }
            Self::Componentwise => open_componentwise(root, name, OFlags::DIRECTORY),
        }
    }

    /// Opens a regular file. `name` is a valid file name without its first components,
    /// or a whole one.
    ///
    /// # Errors
    /// `ENOENT` for a directory, a FIFO or a device too.
    pub(super) fn open(self, root: &OwnedFd, name: &str) -> io::Result<RegularFile> {
        let (file, is_direct) = match self {
            Self::Openat2 => open_openat2(root, name)?,
            // The path may have crossed into another file system.
            Self::Componentwise => (open_componentwise(root, name, OFlags::empty())?, false),
        };
        let stat = fstat(&file)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(Errno::NOENT.into());
        }
        Ok(RegularFile {
            file: SharedFile::new(file.into(), &stat),
            identity: FileIdentity::from(&stat),
            has_single_path: is_direct && stat.st_nlink == 1,
            is_executable: Mode::from_raw_mode(stat.st_mode).contains(Mode::XUSR),
        })
    }
}

/// An open regular file.
pub(super) struct RegularFile {
    pub(super) file: SharedFile,
    pub(super) identity: FileIdentity,
    /// The file has no other path: no link, hard or symbolic, and no mount leads to
    /// it.
    pub(super) has_single_path: bool,
    /// The owner may execute the file.
    pub(super) is_executable: bool,
}

/// Also returns whether the path has no symbolic links and stays in one file system.
fn open_openat2(root: &OwnedFd, name: &str) -> Result<(OwnedFd, bool), Errno> {
    match openat2_retry(root, name, READ_FLAGS, RESOLVE_DIRECT) {
        Err(Errno::LOOP | Errno::XDEV) => {
            Ok((openat2_retry(root, name, READ_FLAGS, RESOLVE)?, false))
        }
        result => Ok((result?, true)),
    }
}

fn openat2_retry(
    root: &OwnedFd,
    name: &str,
    how: OFlags,
    resolve: ResolveFlags,
) -> Result<OwnedFd, Errno> {
    let mut attempts = 1;
    loop {
        match openat2(root, name, how, Mode::empty(), resolve) {
            Err(Errno::AGAIN) if attempts < MAX_ATTEMPTS => attempts += 1,
            result => return result,
        }
    }
}

fn open_componentwise(root: &OwnedFd, name: &str, last: OFlags) -> Result<OwnedFd, Errno> {
    let mut folder: Option<OwnedFd> = None;
    let mut components = name.split('/').peekable();
    while let Some(component) = components.next() {
        let parent = folder.as_ref().map_or(root.as_fd(), AsFd::as_fd);
        let flags = if components.peek().is_some() {
            READ_FLAGS | OFlags::NOFOLLOW | OFlags::DIRECTORY
        } else {
            READ_FLAGS | OFlags::NOFOLLOW | last
        };
        folder = Some(openat(parent, component, flags, Mode::empty())?);
    }
    folder.ok_or(Errno::NOENT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::os::unix::fs::symlink;

    #[test]
    fn a_refused_openat2_is_replaced() {
        for error in [Errno::NOSYS, Errno::PERM, Errno::ACCESS, Errno::INVAL] {
            let resolver = Resolver::for_attempt(Err(error));
            assert_eq!(resolver, Resolver::Componentwise, "{error}");
        }
        for attempt in [Ok(()), Err(Errno::MFILE)] {
            assert_eq!(Resolver::for_attempt(attempt), Resolver::Openat2);
        }
    }

    #[test]
    fn files_outside_of_the_root_are_not_opened() {
        let dir = tempfile::tempdir().unwrap();
        let share = dir.path().join("share");
        fs::create_dir_all(share.join("sub")).unwrap();
        fs::write(dir.path().join("secret"), "secret").unwrap();
        fs::write(share.join("sub/inside"), "inside").unwrap();
        symlink("../secret", share.join("out")).unwrap();
        symlink("sub/inside", share.join("in")).unwrap();
        symlink("..", share.join("up")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, share.join("fifo"), Mode::RUSR).unwrap();
        let root: OwnedFd = File::open(&share).unwrap().into();
        for resolver in [Resolver::Openat2, Resolver::Componentwise] {
            let open = |name| Ok::<_, io::Error>(resolver.open(&root, name)?.identity.size);
            assert_eq!(open("sub/inside").unwrap(), 6);
            for name in ["out", "up/secret", "sub", "fifo", "none", "sub/inside/x"] {
                assert!(open(name).is_err(), "{name} {resolver:?}");
            }
            assert_eq!(open("in").is_ok(), resolver == Resolver::Openat2);
        }
    }
}
