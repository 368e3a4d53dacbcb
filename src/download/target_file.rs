//! The file that is to get a content: a name in a folder, and what may have that name
//! already.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::fs::{MetadataExt, fchown};
use std::path::Path;
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RenameFlags, Stat, Timespec, Timestamps, UTIME_OMIT, fstat,
    futimens, openat, renameat, renameat_with, statat, unlinkat,
};
use rustix::io::Errno;

use crate::download::permissions;
use crate::download::save_folder::SaveFolder;
use crate::download::saved_files::SavedFiles;
use crate::jobs::ContentInfo;
use crate::logging::OPERATOR;
use crate::system_error::Reason;
use crate::wall_clock;

/// The permissions of a new file, before the umask.
const NEW_FILE: Mode = Mode::from_raw_mode(0o666);
/// The permissions of a file that gets those of an existing file at the end.
const PRIVATE: Mode = Mode::from_raw_mode(0o600);

/// A name in a folder, for a content.
#[derive(Clone)]
pub(super) struct TargetFile {
    folder: Arc<SaveFolder>,
    pub(super) name: OsString,
    /// If a regular file of this name may be replaced: those that may not, and the path of the
    /// target. The owner and the permissions of the replaced file are kept.
    replace: Option<(Arc<SavedFiles>, Box<Path>)>,
    /// Whether there is such a file.
    has_existing: bool,
}

impl TargetFile {
    /// Looks for an existing file, and returns it if it may not be replaced. With `replace`,
    /// it may be, unless it is one of these files; the path is that of the target.
    ///
    /// # Errors
    /// Something else than a regular file has the name, or one of these files, or an error of
    /// the system.
    pub(super) fn new(
        folder: Arc<SaveFolder>,
        name: &OsStr,
        replace: Option<(&Arc<SavedFiles>, &Path)>,
    ) -> io::Result<(Self, Option<File>)> {
        let existing = regular_file(&folder, name)?;
        if let (Some((saved, path)), Some(existing)) = (replace, &existing) {
            saved.lock().check(&folder, existing, path)?;
        }
        let target = Self {
            folder,
            name: name.to_owned(),
            replace: replace.map(|(saved, path)| (Arc::clone(saved), path.into())),
            has_existing: existing.is_some(),
        };
        let protected = match target.has_existing && replace.is_none() {
            true => Some(target.open(name, OFlags::RDONLY)?),
            false => None,
        };
        Ok((target, protected))
    }

    /// A name that was free a moment ago. If it is taken meanwhile, [`TargetFile::install`]
    /// fails.
    pub(super) fn absent(folder: Arc<SaveFolder>, name: &OsStr) -> Self {
        Self {
            folder,
            name: name.to_owned(),
            replace: None,
            has_existing: false,
        }
    }

    /// Creates a file without a name in the folder of the target, if there can be one. It
    /// never replaces another file.
    pub(super) fn create_unnamed(&self) -> Option<File> {
        match self.replace {
            Some(_) => None,
            None => self.folder.create_unnamed(NEW_FILE),
        }
    }

    /// Creates a file beside the target. The user's umask decides about its permissions,
    /// unless it is to get those of an existing file.
    pub(super) fn create(&self, name: &OsStr) -> io::Result<File> {
        let mode = match self.has_existing {
            true => PRIVATE,
            false => NEW_FILE,
        };
        self.open_with(name, OFlags::RDWR | OFlags::CREATE | OFlags::EXCL, mode)
    }

    /// Opens a file beside the target, or creates it for the user alone.
    pub(super) fn open(&self, name: &OsStr, flags: OFlags) -> io::Result<File> {
        self.open_with(name, flags | OFlags::NONBLOCK, PRIVATE)
    }

    fn open_with(&self, name: &OsStr, flags: OFlags, mode: Mode) -> io::Result<File> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(openat(&self.folder, name, flags, mode)?.into())
    }

    /// Whether `name` is the name of this open file.
    pub(super) fn has(&self, name: &OsStr, file: &File) -> io::Result<bool> {
        let metadata = file.metadata()?;
        match statat(&self.folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok((stat.st_dev, stat.st_ino) == (metadata.dev(), metadata.ino())),
            Err(Errno::NOENT) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Gives a file the owner of the existing file.
    pub(super) fn set_owner(&self, file: &File) -> io::Result<()> {
        match self.existing()? {
            Some(existing) => set_owner(file, &existing),
            None => Ok(()),
        }
    }

    /// Gives a complete file without a name the execute permission and the modification
    /// time of its source, and the name of the target. Returns false if it cannot have a
    /// name.
    ///
    /// # Errors
    /// As of [`TargetFile::install`].
    pub(super) fn install_unnamed(&self, file: &File, content: &ContentInfo) -> io::Result<bool> {
        self.folder.check_close(file)?;
        self.set_attributes(file, content)?;
        let is_named = self.folder.name_file(file, &self.name)?;
        if is_named {
            self.folder.check_path(&self.name)?;
        }
        Ok(is_named)
    }

    /// Whether everything that was written to a file has arrived, as far as the file system
    /// says so.
    pub(super) fn check_close(&self, file: &File) -> io::Result<()> {
        self.folder.check_close(file)
    }

    /// Gives a complete file the execute permission and the modification time of its
    /// source, and the name of the target. [`TargetFile::check_close`] comes first.
    ///
    /// # Errors
    /// `AlreadyExists` if the name was taken meanwhile, or an error of the system. The existing
    /// file may not be replaced. Another program has moved, replaced or deleted the file `from`,
    /// or has changed its length. Or the file has its name, but its folder was moved.
    pub(super) fn install(
        &self,
        file: &File,
        from: &OsStr,
        content: &ContentInfo,
    ) -> io::Result<()> {
        if !self.has(from, file)? {
            return Err(self.lost_error());
        }
        if file.metadata()?.len() != content.size {
            let text = "another program has changed the length of its unfinished file";
            return Err(io::Error::other(text));
        }
        let (folder, name) = (&self.folder, &self.name);
        if let Some((saved, path)) = &self.replace {
            // Another thread may install a file meanwhile.
            let mut saved = saved.lock();
            if let Some(existing) = regular_file(folder, name)? {
                saved.check(folder, &existing, path)?;
            }
            self.set_attributes(file, content)?;
            renameat(folder, from, folder, name)?;
            saved.add(file, path)?;
            return folder.check_path(name);
        }
        self.set_attributes(file, content)?;
        match renameat_with(folder, from, folder, name, RenameFlags::NOREPLACE) {
            // Some file systems have no NOREPLACE.
            Err(Errno::INVAL | Errno::NOSYS) => match regular_file(folder, name)? {
                Some(_) => return Err(Errno::EXIST.into()),
                None => renameat(folder, from, folder, name)?,
            },
            result => result?,
        }
        folder.check_path(name)
    }

    /// The unfinished file of the target has its name no longer.
    pub(super) fn lost_error(&self) -> io::Error {
        io::Error::other(match fstat(&self.folder) {
            Ok(folder) if folder.st_nlink == 0 => "its folder was deleted during the download",
            _ => "another program has moved, replaced or deleted its unfinished file",
        })
    }

    fn set_attributes(&self, file: &File, content: &ContentInfo) -> io::Result<()> {
        if let Some(existing) = self.existing()? {
            set_owner(file, &existing)?;
            permissions::copy(file, &self.folder, &self.name, &existing)?;
        } else if content.is_executable {
            permissions::make_executable(file)?;
        }
        if let Some(mtime) = content.mtime
            && is_past(mtime)
        {
            set_mtime(file, mtime);
        }
        Ok(())
    }

    /// Removes a file beside the target, unless another one has its name by now.
    pub(super) fn remove(&self, name: &OsStr, file: &File) {
        if let Ok(false) = self.has(name, file) {
            return;
        }
        if let Err(error) = unlinkat(&self.folder, name, AtFlags::empty()) {
            let (name, error) = (name.display(), io::Error::from(error));
            log::warn!(target: OPERATOR, "cannot remove {name}: {}", Reason(&error));
        }
    }

    /// The existing file, if it may be replaced.
    fn existing(&self) -> io::Result<Option<Stat>> {
        match self.has_existing {
            true => regular_file(&self.folder, &self.name),
            false => Ok(None),
        }
    }
}

/// The regular file `name`, if there is one.
///
/// # Errors
/// Something else has the name: it is never replaced.
fn regular_file(folder: &SaveFolder, name: &OsStr) -> io::Result<Option<Stat>> {
    match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile => {
            Ok(Some(stat))
        }
        Ok(_) => Err(io::Error::other("only a regular file is replaced")),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn set_owner(file: &File, existing: &Stat) -> io::Result<()> {
    let (user, group) = (existing.st_uid, existing.st_gid);
    let now = file.metadata()?;
    if (now.uid(), now.gid()) == (user, group) {
        return Ok(());
    }
    let cannot_keep = |_| io::Error::other("the owner of the existing file cannot be kept");
    fchown(file, Some(user), Some(group)).map_err(cannot_keep)
}

/// Whether this time may be that of a change. For `make` or a backup, a file from the future
/// would be newer than all others.
fn is_past(seconds: i64) -> bool {
    let now = wall_clock::now().duration_since(UNIX_EPOCH);
    now.is_ok_and(|now| seconds <= now.as_secs().cast_signed())
}

/// A file system that cannot store the time leaves the present one.
fn set_mtime(file: &File, seconds: i64) {
    let time = |tv_sec, tv_nsec| Timespec { tv_sec, tv_nsec };
    let times = Timestamps {
        last_access: time(0, UTIME_OMIT),
        last_modification: time(seconds, 0),
    };
    let _ = futimens(file, &times);
}
