//! A file under a hidden temporary name that ends with `.part`. It gets its own name
//! when it is complete.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, fchown};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RenameFlags, Stat, openat, renameat, renameat_with, statat,
    unlinkat,
};
use rustix::io::Errno;

use crate::logging::OPERATOR;
use crate::system_error::Reason;

/// The longest file name of the usual file systems, in bytes (NAME_MAX).
const NAME_MAX: usize = 255;
/// The most part files of one name in a folder.
const MAX_PARTS: u32 = 100;
/// The permissions of a new file, before the umask.
const NEW_MODE: u32 = 0o666;

/// The name of a file that is being written. The file is deleted if this is dropped before
/// [`PartFile::commit`].
pub(crate) struct PartFile {
    folder: OwnedFd,
    part_name: OsString,
    name: OsString,
    replace: bool,
    is_committed: bool,
}

impl PartFile {
    /// Creates a part file for `name` in `folder`. Its name begins with a dot and ends
    /// with `.part`: no node shares such a file. `replace` allows that a regular file
    /// `name` exists; its owner and permissions are kept.
    ///
    /// # Errors
    /// `AlreadyExists`, or an error of the system.
    pub(crate) fn create(folder: OwnedFd, name: &OsStr, replace: bool) -> io::Result<(File, Self)> {
        let existing = replaceable(&folder, name)?;
        let mode = match existing {
            Some(_) if !replace => return Err(Errno::EXIST.into()),
            Some(existing) => existing.st_mode & 0o777,
            None => NEW_MODE,
        };
        let (file, part_name) = create_part(&folder, name, Mode::from_raw_mode(mode))?;
        let part = Self {
            folder,
            part_name,
            name: name.to_owned(),
            replace,
            is_committed: false,
        };
        if let Some(existing) = existing {
            set_owner(&file, existing.st_uid, existing.st_gid)?;
            file.set_permissions(Permissions::from_mode(mode))?;
        }
        Ok((file, part))
    }

    /// Renames the part file to its own name.
    ///
    /// # Errors
    /// `AlreadyExists` if the name was taken meanwhile, or an error of the system.
    pub(crate) fn commit(mut self) -> io::Result<()> {
        let (folder, part, name) = (&self.folder, &self.part_name, &self.name);
        let renamed = match self.replace {
            true => Err(Errno::NOSYS),
            false => renameat_with(folder, part, folder, name, RenameFlags::NOREPLACE),
        };
        match renamed {
            // Some file systems have no NOREPLACE.
            Err(Errno::INVAL | Errno::NOSYS) => {
                if replaceable(folder, name)?.is_some() && !self.replace {
                    return Err(Errno::EXIST.into());
                }
                renameat(folder, part, folder, name)?;
            }
            result => result?,
        }
        self.is_committed = true;
        Ok(())
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        if !self.is_committed
            && let Err(error) = unlinkat(&self.folder, &self.part_name, AtFlags::empty())
        {
            let (name, error) = (self.part_name.display(), io::Error::from(error));
            log::warn!(target: OPERATOR, "cannot remove {name}: {}", Reason(&error));
        }
    }
}

/// The regular file `name`, if there is one.
///
/// # Errors
/// Something else has the name: it is never replaced.
fn replaceable(folder: &OwnedFd, name: &OsStr) -> io::Result<Option<Stat>> {
    match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => {
            Ok(Some(stat))
        }
        Ok(_) => Err(io::Error::other("only a regular file is replaced")),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn set_owner(file: &File, user: u32, group: u32) -> io::Result<()> {
    let now = file.metadata()?;
    if (now.uid(), now.gid()) == (user, group) {
        return Ok(());
    }
    let cannot_keep = |_| io::Error::other("the owner of the existing file cannot be kept");
    fchown(file, Some(user), Some(group)).map_err(cannot_keep)
}

/// Creates a part file under the first free name. An existing one may be a file of
/// the user, of another client, or of a client that was killed.
fn create_part(folder: &OwnedFd, name: &OsStr, mode: Mode) -> io::Result<(File, OsString)> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    for number in 0..MAX_PARTS {
        let part = part_name(name, number);
        match openat(folder, &part, flags, mode) {
            Err(Errno::EXIST) => {}
            result => return Ok((result?.into(), part)),
        }
    }
    let part = part_name(name, 0);
    let message = format!("{MAX_PARTS} files such as {} exist", part.display());
    Err(io::Error::other(message))
}

/// `.NAME.part`, `.NAME.1.part` and so on.
fn part_name(name: &OsStr, number: u32) -> OsString {
    let suffix = match number {
        0 => ".part".to_owned(),
        number => format!(".{number}.part"),
    };
    let mut part = OsString::from(".");
    let bytes = name.as_bytes();
    let length = bytes.len().min(NAME_MAX - part.len() - suffix.len());
    // This may cut a character in two. File systems of Linux accept any bytes.
    part.push(OsStr::from_bytes(&bytes[..length]));
    part.push(suffix);
    part
}
