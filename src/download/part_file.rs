//! A file under a temporary name that ends with `.part`. It gets its own name when
//! it is complete.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{
    AtFlags, Mode, OFlags, RenameFlags, openat, renameat, renameat_with, statat, unlinkat,
};
use rustix::io::Errno;

/// The longest file name of the usual file systems, in bytes (NAME_MAX).
const NAME_MAX: usize = 255;
/// The most part files of one name in a folder.
const MAX_PARTS: u32 = 100;

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
    /// Creates a part file for `name` in `folder`, under a name that begins with
    /// `prefix`: no node shares a file whose name begins with a dot and ends with
    /// `.part`. `replace` allows that `name` exists.
    ///
    /// # Errors
    /// `AlreadyExists`, or an error of the system.
    pub(crate) fn create(
        folder: OwnedFd,
        name: &OsStr,
        replace: bool,
        prefix: &str,
    ) -> io::Result<(File, Self)> {
        if !replace && statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
            return Err(Errno::EXIST.into());
        }
        let (file, part_name) = create_part(&folder, name, prefix)?;
        let part = Self {
            folder,
            part_name,
            name: name.to_owned(),
            replace,
            is_committed: false,
        };
        Ok((file.into(), part))
    }

    /// Renames the part file to its own name.
    ///
    /// # Errors
    /// `AlreadyExists` if the name was taken meanwhile, or an error of the system.
    pub(crate) fn commit(mut self) -> io::Result<()> {
        let (folder, part, name) = (&self.folder, &self.part_name, &self.name);
        if self.replace {
            renameat(folder, part, folder, name)?;
        } else {
            match renameat_with(folder, part, folder, name, RenameFlags::NOREPLACE) {
                // Some file systems have no NOREPLACE.
                Err(Errno::INVAL | Errno::NOSYS) => {
                    if statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
                        return Err(Errno::EXIST.into());
                    }
                    renameat(folder, part, folder, name)?;
                }
                result => result?,
            }
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
            log::warn!("cannot remove {}: {error}", self.part_name.display());
        }
    }
}

/// Creates a part file under the first free name. An existing one may be a file of
/// the user, of another client, or of a client that was killed.
fn create_part(folder: &OwnedFd, name: &OsStr, prefix: &str) -> io::Result<(OwnedFd, OsString)> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    for number in 0..MAX_PARTS {
        let part = part_name(name, number, prefix);
        match openat(folder, &part, flags, Mode::from_raw_mode(0o666)) {
            Err(Errno::EXIST) => {}
            result => return Ok((result?, part)),
        }
    }
    let message = format!("{MAX_PARTS} part files of it exist already; remove them");
    Err(io::Error::other(message))
}

/// `NAME.part`, `NAME.1.part` and so on, after `prefix`.
fn part_name(name: &OsStr, number: u32, prefix: &str) -> OsString {
    let suffix = match number {
        0 => ".part".to_owned(),
        number => format!(".{number}.part"),
    };
    let mut part = OsString::from(prefix);
    let bytes = name.as_bytes();
    let length = bytes.len().min(NAME_MAX - part.len() - suffix.len());
    // This may cut a character in two. File systems of Linux accept any bytes.
    part.push(OsStr::from_bytes(&bytes[..length]));
    part.push(suffix);
    part
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::Write;
    use std::path::Path;

    fn create(folder: &Path, name: &str, replace: bool) -> io::Result<(File, PartFile)> {
        let folder = File::open(folder).unwrap().into();
        PartFile::create(folder, OsStr::new(name), replace, "")
    }

    #[test]
    fn commit_renames_and_drop_deletes() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let (mut file, part) = create(dir.path(), "a", false).unwrap();
        file.write_all(b"half").unwrap();
        assert!(at("a.part").exists() && !at("a").exists());
        drop(part);
        assert!(!at("a.part").exists());
        let (mut file, part) = create(dir.path(), "a", false).unwrap();
        file.write_all(b"whole").unwrap();
        part.commit().unwrap();
        assert_eq!(fs::read(at("a")).unwrap(), b"whole");
        assert!(!at("a.part").exists());
    }

    #[test]
    fn an_existing_file_is_replaced_only_on_request() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let (mut file, part) = create(dir.path(), "a", false).unwrap();
        file.write_all(b"new").unwrap();
        fs::write(&path, "old").unwrap();
        let error = create(dir.path(), "a", false).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        let error = part.commit().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        let (mut file, part) = create(dir.path(), "a", true).unwrap();
        file.write_all(b"new").unwrap();
        part.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn an_existing_part_file_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("a.part"), "the user's own").unwrap();
        let (mut file, first) = create(dir.path(), "a", false).unwrap();
        let second = create(dir.path(), "a", false).unwrap();
        assert!(at("a.1.part").exists() && at("a.2.part").exists());
        file.write_all(b"short").unwrap();
        first.commit().unwrap();
        drop(second);
        assert_eq!(fs::read(at("a")).unwrap(), b"short");
        assert_eq!(fs::read(at("a.part")).unwrap(), b"the user's own");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn the_longest_name_can_be_saved() {
        let dir = tempfile::tempdir().unwrap();
        let name = "n".repeat(NAME_MAX);
        let (_, part) = create(dir.path(), &name, false).unwrap();
        part.commit().unwrap();
        assert!(dir.path().join(name).exists());
    }
}
