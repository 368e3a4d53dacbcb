//! PartFile a file: written aside under a name that ends by `.part`, and given its
//! own name only when it is whole.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{
    AtFlags, Mode, OFlags, RenameFlags, openat, renameat, renameat_with, statat, unlinkat,
};
use rustix::io::Errno;

/// The longest name of a file on the usual file systems (NAME_MAX).
const NAME_MAX: usize = 255;
/// PartNaming of one name that may stand side by side.
const PARTS: u32 = 100;

/// How parts are called.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum PartNaming {
    /// `NAME.part`.
    Visible,
    /// `.NAME.part`, which no node shares.
    Hidden,
}

/// A file that is being written. Dropped before [`PartFile::commit`], it leaves
/// nothing behind.
pub(crate) struct PartFile {
    folder: OwnedFd,
    part: OsString,
    name: OsString,
    file: File,
    replace: bool,
    committed: bool,
}

impl PartFile {
    /// Starts to write `name` into `folder`; `replace` allows to replace a file
    /// that is there already.
    ///
    /// # Errors
    /// `AlreadyExists`, or what the system says.
    pub(crate) fn create(
        folder: OwnedFd,
        name: &OsStr,
        replace: bool,
        parts: PartNaming,
    ) -> io::Result<Self> {
        if !replace && statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
            return Err(Errno::EXIST.into());
        }
        let (file, part) = create(&folder, name, parts)?;
        Ok(Self {
            folder,
            part,
            name: name.to_owned(),
            file: file.into(),
            replace,
            committed: false,
        })
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// `AlreadyExists` if somebody else was faster, or what the system says.
    pub(crate) fn commit(mut self) -> io::Result<()> {
        let (folder, part, name) = (&self.folder, &self.part, &self.name);
        if self.replace {
            renameat(folder, part, folder, name)?;
        } else {
            match renameat_with(folder, part, folder, name, RenameFlags::NOREPLACE) {
                // Some file systems cannot do it in one step.
                Err(Errno::INVAL | Errno::NOSYS) => {
                    if statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
                        return Err(Errno::EXIST.into());
                    }
                    renameat(folder, part, folder, name)?;
                }
                result => result?,
            }
        }
        self.committed = true;
        Ok(())
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        if !self.committed
            && let Err(error) = unlinkat(&self.folder, &self.part, AtFlags::empty())
        {
            log::warn!("{}: cannot be removed: {error}", self.part.display());
        }
    }
}

/// Makes a part under the first name that is free: a file of that name may be
/// the user's own, another client's, or left behind by one that was killed.
fn create(folder: &OwnedFd, name: &OsStr, parts: PartNaming) -> io::Result<(OwnedFd, OsString)> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    for number in 0..PARTS {
        let part = part_name(name, number, parts);
        match openat(folder, &part, flags, Mode::from_raw_mode(0o666)) {
            Err(Errno::EXIST) => {}
            result => return Ok((result?, part)),
        }
    }
    Err(io::Error::other(
        "too many of its parts were left behind; remove them",
    ))
}

/// `NAME.part`, `NAME.1.part` and so on.
fn part_name(name: &OsStr, number: u32, parts: PartNaming) -> OsString {
    let suffix = match number {
        0 => ".part".to_owned(),
        number => format!(".{number}.part"),
    };
    let mut part = OsString::from(match parts {
        PartNaming::Visible => "",
        PartNaming::Hidden => ".",
    });
    let bytes = name.as_bytes();
    let length = bytes.len().min(NAME_MAX - part.len() - suffix.len());
    // Cut, it may end in mid-character, which no file system here minds.
    part.push(OsStr::from_bytes(&bytes[..length]));
    part.push(suffix);
    part
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::path::Path;

    fn folder(path: &Path) -> OwnedFd {
        File::open(path).unwrap().into()
    }

    #[test]
    fn a_file_has_its_name_only_when_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let mut saving = PartFile::create(
            folder(dir.path()),
            OsStr::new("a"),
            false,
            PartNaming::Visible,
        )
        .unwrap();
        saving.write(b"half").unwrap();
        assert!(at("a.part").exists() && !at("a").exists());
        drop(saving);
        assert!(!at("a.part").exists());
        let mut saving = PartFile::create(
            folder(dir.path()),
            OsStr::new("a"),
            false,
            PartNaming::Visible,
        )
        .unwrap();
        saving.write(b"whole").unwrap();
        saving.commit().unwrap();
        assert_eq!(fs::read(at("a")).unwrap(), b"whole");
        assert!(!at("a.part").exists());
    }

    #[test]
    fn what_is_there_is_not_replaced_unasked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a");
        let mut early = PartFile::create(
            folder(dir.path()),
            OsStr::new("a"),
            false,
            PartNaming::Visible,
        )
        .unwrap();
        early.write(b"new").unwrap();
        fs::write(&path, "old").unwrap();
        let late = PartFile::create(
            folder(dir.path()),
            OsStr::new("a"),
            false,
            PartNaming::Visible,
        );
        assert_eq!(late.err().unwrap().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(
            early.commit().unwrap_err().kind(),
            io::ErrorKind::AlreadyExists
        );
        assert_eq!(fs::read(&path).unwrap(), b"old");
        let mut forced = PartFile::create(
            folder(dir.path()),
            OsStr::new("a"),
            true,
            PartNaming::Visible,
        )
        .unwrap();
        forced.write(b"new").unwrap();
        forced.commit().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn a_part_that_is_there_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("a.part"), "the user's own").unwrap();
        let mut first = PartFile::create(
            folder(dir.path()),
            OsStr::new("a"),
            false,
            PartNaming::Visible,
        )
        .unwrap();
        let second = PartFile::create(
            folder(dir.path()),
            OsStr::new("a"),
            false,
            PartNaming::Visible,
        )
        .unwrap();
        assert!(dir.path().join("a.1.part").exists() && dir.path().join("a.2.part").exists());
        first.write(b"short").unwrap();
        first.commit().unwrap();
        drop(second);
        assert_eq!(fs::read(dir.path().join("a")).unwrap(), b"short");
        assert_eq!(
            fs::read(dir.path().join("a.part")).unwrap(),
            b"the user's own"
        );
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn the_longest_name_can_be_saved() {
        let dir = tempfile::tempdir().unwrap();
        let name = "n".repeat(NAME_MAX);
        let saving = PartFile::create(
            folder(dir.path()),
            OsStr::new(&name),
            false,
            PartNaming::Visible,
        )
        .unwrap();
        saving.commit().unwrap();
        assert!(dir.path().join(name).exists());
    }
}
