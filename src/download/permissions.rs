//! The permissions of a complete file.

use std::ffi::OsStr;
use std::fs::{File, Permissions};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use log::warn;
use rustix::buffer::spare_capacity;
use rustix::fs::{Mode, OFlags, Stat, XattrFlags, fgetxattr, fremovexattr, fsetxattr, openat};
use rustix::io::Errno;

use crate::escaped::Escaped;
use crate::logging::OPERATOR;
use crate::system_error::Reason;

/// The attribute with a POSIX ACL (acl(5)).
const ACL: &str = "system.posix_acl_access";
/// The longest value of an attribute (xattr(7)).
const MAX_ACL_SIZE: usize = 64 * 1024;

/// Gives a file the permissions of `existing`, the file `name` in `folder`, with its ACL.
///
/// # Errors
/// The file would be open to more people than the existing one.
pub(super) fn copy(
    file: &File,
    folder: impl AsFd,
    name: &OsStr,
    existing: &Stat,
) -> io::Result<()> {
    let mode = existing.st_mode & 0o777;
    let mode = match copy_acl(file, folder, name) {
        Ok(()) => mode,
        // The bits of the group and of others say nothing about the people whom the ACL names.
        Err(error) => {
            let (name, error) = (Escaped(name.as_encoded_bytes()), error.into());
            warn!(
                target: OPERATOR,
                "cannot copy the ACL of {name}: {}; the new file is for its owner alone",
                Reason(&error)
            );
            mode & !0o077
        }
    };
    set_at_most(file, mode)
}

/// Those who may read a new file may execute it, as far as the umask allows that. A file
/// system that does not store that leaves the file as it is.
pub(super) fn make_executable(file: &File) -> io::Result<()> {
    let mode = file.metadata()?.mode() & 0o777;
    // The umask alone is too little: the kernel ignores it where the folder has a default ACL.
    let mode = mode | (mode & 0o444) >> 2 & !umask();
    let _ = file.set_permissions(Permissions::from_mode(mode));
    Ok(())
}

/// The permissions that the user takes from new files. If the kernel does not tell, those
/// of all other people.
fn umask() -> u32 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Umask:"));
    line.and_then(|mask| u32::from_str_radix(mask.trim(), 8).ok())
        .unwrap_or(0o077)
}

/// Sets the permissions. A file system that cannot store them may leave fewer.
fn set_at_most(file: &File, mode: u32) -> io::Result<()> {
    match file.set_permissions(Permissions::from_mode(mode)) {
        Err(_) if file.metadata()?.mode() & 0o777 & !mode == 0 => Ok(()),
        result => result,
    }
}

/// Without an ACL of the existing file, the file loses the one that it has got from its
/// folder.
fn copy_acl(file: &File, folder: impl AsFd, name: &OsStr) -> rustix::io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let existing = openat(folder, name, flags, Mode::empty())?;
    let mut acl = Vec::with_capacity(MAX_ACL_SIZE);
    match fgetxattr(existing, ACL, spare_capacity(&mut acl)) {
        Ok(_) => fsetxattr(file, ACL, &acl, XattrFlags::empty()),
        Err(error) if means_no_acl(error) => match fremovexattr(file, ACL) {
            Err(error) if means_no_acl(error) => Ok(()),
            removed => removed,
        },
        Err(error) => Err(error),
    }
}

/// Whether the file, or the file system, has no ACL.
fn means_no_acl(error: Errno) -> bool {
    matches!(error, Errno::NODATA | Errno::OPNOTSUPP)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use rustix::fs::{AtFlags, CWD, getxattr, removexattr, setxattr, statat};
    use rustix::pipe::pipe;

    use super::*;
    use crate::download::output_file::{OutputFile, SaveOptions};
    use crate::jobs::ContentInfo;
    use crate::protocol::PieceLayout;

    const DEFAULT_ACL: &str = "system.posix_acl_default";
    const USER: u32 = 65534;

    /// An ACL with these permissions of the owner, of [`USER`], the group, the mask and others.
    fn acl([owner, user, group, mask, other]: [u16; 5]) -> Vec<u8> {
        const NO_ID: u32 = u32::MAX;
        let entries = [
            (1, owner, NO_ID),
            (2, user, USER),
            (4, group, NO_ID),
            (0x10, mask, NO_ID),
            (0x20, other, NO_ID),
        ];
        let mut bytes = 2u32.to_le_bytes().to_vec();
        for (tag, permissions, id) in entries {
            bytes.extend(u16::to_le_bytes(tag));
            bytes.extend(permissions.to_le_bytes());
            bytes.extend(id.to_le_bytes());
        }
        bytes
    }

    /// Returns false if the file system has no ACLs.
    fn set_acl(path: &Path, attribute: &str, acl: &[u8]) -> bool {
        match setxattr(path, attribute, acl, XattrFlags::empty()) {
            Err(Errno::OPNOTSUPP) => {
                eprintln!("not tested: {} has no ACLs", path.display());
                false
            }
            result => {
                result.expect("an ACL");
                true
            }
        }
    }

    /// The ACL of a file.
    fn get_acl(path: &Path) -> Option<Vec<u8>> {
        let mut acl = Vec::with_capacity(1000);
        let found = getxattr(path, ACL, spare_capacity(&mut acl));
        found.is_ok().then_some(acl)
    }

    fn mode(path: &Path) -> u32 {
        path.metadata().expect("a file").mode() & 0o777
    }

    /// Saves a file of one piece, and one of several.
    fn save(path: &Path, size: u64, is_executable: bool) {
        let content = ContentInfo {
            is_executable,
            ..ContentInfo::new(size, None)
        };
        let options = SaveOptions {
            replace: path.exists(),
            restart: true,
        };
        let opened = OutputFile::open(path, &content, &options.into());
        let (mut file, _) = opened.expect("it can be opened");
        file.commit(&content).expect("committed");
    }

    const SIZES: [u64; 2] = [5, PieceLayout::MIN_PIECE_SIZE + 1];

    #[test]
    fn a_replaced_file_keeps_its_acl_and_gets_none_from_its_folder() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        let own = acl([6, 6, 0, 6, 0]);
        for size in SIZES {
            fs::write(&path, "old").expect("a file");
            if !set_acl(&path, ACL, &own) {
                return;
            }
            save(&path, size, false);
            assert_eq!(get_acl(&path), Some(own.clone()));
            removexattr(&path, ACL).expect("it has one");
            let permissions = Permissions::from_mode(0o640);
            fs::set_permissions(&path, permissions).expect("permissions");
            assert!(set_acl(folder.path(), DEFAULT_ACL, &acl([7, 7, 5, 7, 0])));
            save(&path, size, true);
            assert_eq!((get_acl(&path), mode(&path)), (None, 0o640));
        }
    }

    #[test]
    fn a_file_whose_acl_cannot_be_copied_is_for_its_owner_alone() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        fs::write(&path, "old").expect("a file");
        fs::set_permissions(&path, Permissions::from_mode(0o644)).expect("permissions");
        let copied_mode = || {
            // A pipe has a mode, but no ACL.
            let new = File::from(pipe().expect("a pipe").1);
            let existing = statat(CWD, &path, AtFlags::empty()).expect("a file");
            let root = File::open(folder.path()).expect("a folder");
            copy(&new, &root, OsStr::new("file"), &existing).expect("permissions");
            new.metadata().expect("a pipe").mode() & 0o777
        };
        assert_eq!(copied_mode(), 0o644);
        if set_acl(&path, ACL, &acl([6, 0, 4, 4, 4])) {
            assert_eq!(copied_mode(), 0o600);
        }
    }

    #[test]
    fn an_executable_file_keeps_out_whom_its_folder_keeps_out() {
        let folder = tempfile::tempdir().expect("a folder");
        if !set_acl(folder.path(), DEFAULT_ACL, &acl([7, 0, 5, 5, 0])) {
            return;
        }
        for size in SIZES {
            let path = folder.path().join(size.to_string());
            save(&path, size, true);
            assert_eq!(mode(&path), 0o750);
        }
    }

    /// As of a file system that stores no permissions.
    #[test]
    fn permissions_that_cannot_be_set_may_be_fewer_and_not_more() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("file");
        fs::write(&path, "").expect("a file");
        fs::set_permissions(&path, Permissions::from_mode(0o640)).expect("permissions");
        let file = openat(CWD, &path, OFlags::PATH, Mode::empty()).expect("a file");
        let file = File::from(file);
        for mode in [0o640, 0o644, 0o750] {
            set_at_most(&file, mode).expect("nobody else may read it");
        }
        for mode in [0o600, 0o440, 0o604] {
            set_at_most(&file, mode).expect_err("others may read or write it");
        }
        make_executable(&file).expect("not executable");
        assert_eq!(mode(&path), 0o640);
    }
}
