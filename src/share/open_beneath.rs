//! Opens files below a folder, and never outside of it.
//!
//! `openat2` with `RESOLVE_BENEATH` lets the kernel refuse `..`, absolute names
//! and links that lead out (openat2(2)). Where the kernel or a container does
//! not have it, the name is walked part by part, and no link is followed.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;

use rustix::fs::{Mode, OFlags, ResolveFlags, openat, openat2};
use rustix::io::Errno;

use crate::share::identity::Identity;

/// Tries again if a rename elsewhere made the kernel unsure (openat2(2), EAGAIN).
const TRIES: usize = 8;

/// NONBLOCK: opening a FIFO must not stop the loop.
pub(super) const READ: OFlags = OFlags::RDONLY
    .union(OFlags::CLOEXEC)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY);

/// How names are resolved on this system.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Resolver {
    /// By the kernel, links that stay inside are followed.
    Kernel,
    /// Part by part, no link is followed.
    PartByPart,
}

impl Resolver {
    /// What this system has.
    pub(super) fn detect(root: &OwnedFd) -> Self {
        match openat2(root, ".", READ, Mode::empty(), ResolveFlags::BENEATH) {
            Err(Errno::NOSYS | Errno::PERM) => Self::PartByPart,
            Ok(_) | Err(_) => Self::Kernel,
        }
    }

    /// Opens a folder. No link is followed.
    pub(super) fn open_folder(self, root: &OwnedFd, name: &str) -> Result<OwnedFd, Errno> {
        match self {
            Self::Kernel => {
                let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
                openat2_again(root, name, READ | OFlags::DIRECTORY, resolve)
            }
            Self::PartByPart => open_part_by_part(root, name, OFlags::DIRECTORY),
        }
    }

    /// Opens a regular file. A directory, a FIFO or a device is as good as nothing:
    /// `ENOENT`. `name` is a valid one, or what follows the first part of one.
    pub(super) fn open(self, root: &OwnedFd, name: &str) -> io::Result<Opened> {
        let (file, no_links) = match self {
            Self::Kernel => open_by_kernel(root, name)?,
            // It may have crossed into another file system.
            Self::PartByPart => (open_part_by_part(root, name, OFlags::empty())?, false),
        };
        let file = File::from(file);
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(Errno::NOENT.into());
        }
        Ok(Opened {
            file,
            identity: Identity::from(&metadata),
            is_direct: no_links && metadata.nlink() == 1,
        })
    }
}

/// A regular file that is open.
pub(super) struct Opened {
    pub(super) file: File,
    pub(super) identity: Identity,
    /// The folders of its name, in one file system, are the only way to it: no
    /// link leads there by another.
    pub(super) is_direct: bool,
}

/// Returns as well whether that was without links and other file systems.
fn open_by_kernel(root: &OwnedFd, name: &str) -> Result<(OwnedFd, bool), Errno> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    let direct = resolve | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    match openat2_again(root, name, READ, direct) {
        Err(Errno::LOOP | Errno::XDEV) => Ok((openat2_again(root, name, READ, resolve)?, false)),
        result => Ok((result?, true)),
    }
}

fn openat2_again(
    root: &OwnedFd,
    name: &str,
    how: OFlags,
    resolve: ResolveFlags,
) -> Result<OwnedFd, Errno> {
    let mut tries = 1;
    loop {
        match openat2(root, name, how, Mode::empty(), resolve) {
            Err(Errno::AGAIN) if tries < TRIES => tries += 1,
            result => return result,
        }
    }
}

fn open_part_by_part(root: &OwnedFd, name: &str, last: OFlags) -> Result<OwnedFd, Errno> {
    let mut folder: Option<OwnedFd> = None;
    let mut parts = name.split('/').peekable();
    while let Some(part) = parts.next() {
        let at = folder.as_ref().map_or(root.as_fd(), AsFd::as_fd);
        let flags = if parts.peek().is_some() {
            READ | OFlags::NOFOLLOW | OFlags::DIRECTORY
        } else {
            READ | OFlags::NOFOLLOW | last
        };
        folder = Some(openat(at, part, flags, Mode::empty())?);
    }
    folder.ok_or(Errno::NOENT)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn nothing_outside_is_opened_either_way() {
        let place = tempfile::tempdir().unwrap();
        let share = place.path().join("share");
        fs::create_dir_all(share.join("sub")).unwrap();
        fs::write(place.path().join("secret"), "secret").unwrap();
        fs::write(share.join("sub/inside"), "inside").unwrap();
        symlink("../secret", share.join("out")).unwrap();
        symlink("sub/inside", share.join("in")).unwrap();
        symlink("..", share.join("up")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, share.join("fifo"), Mode::RUSR).unwrap();
        let root: OwnedFd = File::open(&share).unwrap().into();
        for resolver in [Resolver::Kernel, Resolver::PartByPart] {
            let open = |name| {
                let opened = resolver.open(&root, name);
                opened.map(|opened| opened.identity.size)
            };
            assert_eq!(open("sub/inside").unwrap(), 6);
            for name in ["out", "up/secret", "sub", "fifo", "none", "sub/inside/x"] {
                assert!(open(name).is_err(), "{name} {resolver:?}");
            }
            assert_eq!(open("in").is_ok(), resolver == Resolver::Kernel);
        }
    }
}
