//! One place on disk that is shared: a folder with all its files, or a single file.
//!
//! The folder is opened once. If its path leads elsewhere later, because a link or a
//! mount has changed or the folder was replaced, [`Root::reopened`] is another root.

use std::borrow::Cow;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use log::warn;
use rustix::fs::{AtFlags, Mode, OFlags, Stat, fstat, stat, statat};
use rustix::io::Errno;

use crate::logging::OPERATOR;
use crate::share::file_identity::FileIdentity;
use crate::share::open_beneath::{READ_FLAGS, RegularFile, Resolver};
use crate::share::shared_file::is_on_blocks;
use crate::system_error::{Reason, is_out_of_resources};

/// An open folder, and the mapping between shared names and paths in the folder.
/// Paths are relative to the folder; its own path is empty.
pub(super) struct Root {
    /// The path that the user named.
    named_path: PathBuf,
    /// The path of the folder without links when it was opened.
    pub(super) location: PathBuf,
    /// None if the path leads to no folder now.
    folder: Option<OwnedFd>,
    /// The device on which the sizes of files are known to be true.
    device: Option<u64>,
    resolver: Resolver,
    names: NameMapping,
}

#[derive(Clone)]
enum NameMapping {
    /// All files. The name is the path.
    Same,
    /// All files. The name is this prefix, a `/` and the path.
    Prefix(String),
    /// Only this file. The name is the path.
    SingleFile(String),
}

impl Root {
    /// Shares all files of a folder, under names that begin with `prefix`.
    pub(super) fn whole_folder(path: &Path, prefix: Option<&str>) -> io::Result<Self> {
        let prefix = prefix.map(str::to_owned);
        Self::open_root(path, prefix.map_or(NameMapping::Same, NameMapping::Prefix))
    }

    /// Shares a single file of a folder.
    pub(super) fn file(folder: &Path, name: &str) -> io::Result<Self> {
        Self::open_root(folder, NameMapping::SingleFile(name.to_owned()))
    }

    fn open_root(path: &Path, names: NameMapping) -> io::Result<Self> {
        let flags = READ_FLAGS | OFlags::DIRECTORY;
        let folder = rustix::fs::open(path, flags, Mode::empty())?;
        Ok(Self {
            named_path: path.to_owned(),
            location: path.canonicalize()?,
            resolver: match names {
                // A link to another file of the folder, which is not shared, must not
                // be followed.
                NameMapping::SingleFile(_) => Resolver::Componentwise,
                _ => Resolver::detect(&folder),
            },
            device: device_on_blocks(&folder),
            folder: Some(folder),
            names,
        })
    }

    /// Whether the path leads to another folder now, or to none. False if that cannot be
    /// told.
    pub(super) fn has_moved(&self) -> bool {
        let current = match stat(&self.named_path) {
            // A deleted folder, as the working directory can be, has no links.
            Ok(stat) => Some(stat).filter(|stat| stat.st_nlink > 0),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => None,
            Err(_) => return false,
        };
        let open = self.folder.as_ref().and_then(|folder| fstat(folder).ok());
        let id = |stat: &Stat| (stat.st_dev, stat.st_ino);
        current.as_ref().map(id) != open.as_ref().map(id)
    }

    /// This root at the folder to which its path leads now. None if that is the same.
    pub(super) fn reopened(&self) -> Option<Self> {
        if !self.has_moved() {
            return None;
        }
        let path = self.named_path.display();
        match Self::open_root(&self.named_path, self.names.clone()) {
            Ok(root) => {
                warn!(target: OPERATOR, "{path} is another folder now; sharing that one");
                Some(root)
            }
            // This was said before.
            Err(_) if self.folder.is_none() => None,
            // The folder that is open is better than none.
            Err(error) if is_out_of_resources(&error) => None,
            Err(error) => {
                let advice = match error.kind() {
                    // In its sandbox the node cannot read every folder.
                    io::ErrorKind::PermissionDenied => " or the node is started again",
                    _ => "",
                };
                let reason = Reason(&error);
                warn!(
                    target: OPERATOR,
                    "{path} is gone: {reason}; nothing of it is shared until it is back{advice}"
                );
                Some(Self {
                    named_path: self.named_path.clone(),
                    location: self.location.clone(),
                    folder: None,
                    device: None,
                    resolver: self.resolver,
                    names: self.names.clone(),
                })
            }
        }
    }

    /// The open folder.
    ///
    /// # Errors
    /// `ENOENT` if the path leads to no folder.
    pub(super) fn folder(&self) -> Result<&OwnedFd, Errno> {
        self.folder.as_ref().ok_or(Errno::NOENT)
    }

    /// Opens a file by its shared name.
    ///
    /// # Errors
    /// `ENODEV` for a file whose size is not that of its content.
    pub(super) fn open(&self, name: &str) -> io::Result<RegularFile> {
        let path = self.path_of(name).ok_or(Errno::NOENT)?;
        let opened = self.resolver.open(self.folder()?, path)?;
        if self.device != Some(opened.identity.device) && !opened.file.has_true_size() {
            return Err(Errno::NODEV.into());
        }
        Ok(opened)
    }

    /// Opens a folder by its path, to list it.
    pub(super) fn open_folder(&self, path: &str) -> Result<OwnedFd, Errno> {
        let path = if path.is_empty() { "." } else { path };
        self.resolver.open_folder(self.folder()?, path)
    }

    /// The path of a shared name.
    pub(super) fn path_of<'n>(&self, name: &'n str) -> Option<&'n str> {
        match &self.names {
            NameMapping::Same => Some(name),
            NameMapping::Prefix(prefix) if name == prefix => Some(""),
            NameMapping::Prefix(prefix) => name.strip_prefix(prefix.as_str())?.strip_prefix('/'),
            NameMapping::SingleFile(file) => (name == file).then_some(name),
        }
    }

    /// The shared name of a path.
    pub(super) fn name_of<'p>(&self, path: &'p str) -> Cow<'p, str> {
        match &self.names {
            NameMapping::Same | NameMapping::SingleFile(_) => path.into(),
            NameMapping::Prefix(prefix) => format!("{prefix}/{path}").into(),
        }
    }

    /// The shared name of the folder: empty for the node's folder.
    pub(super) fn own_name(&self) -> Cow<'_, str> {
        match &self.names {
            NameMapping::Prefix(prefix) => prefix.into(),
            NameMapping::Same | NameMapping::SingleFile(_) => "".into(),
        }
    }

    /// The name of the file if this root is a single file.
    pub(super) fn single_file(&self) -> Option<&str> {
        match &self.names {
            NameMapping::SingleFile(file) => Some(file),
            NameMapping::Same | NameMapping::Prefix(_) => None,
        }
    }

    /// The shared name of the canonical path `location`, if it belongs to this root;
    /// empty for the node's folder itself.
    pub(super) fn name_of_location(&self, location: &Path) -> Option<String> {
        let path = location.strip_prefix(&self.location).ok()?.to_str()?;
        match &self.names {
            NameMapping::Prefix(prefix) if path.is_empty() => Some(prefix.clone()),
            NameMapping::SingleFile(file) if file != path => None,
            _ => Some(self.name_of(path).into_owned()),
        }
    }

    /// Whether a file or folder of this name exists on disk.
    pub(super) fn has(&self, name: &str) -> bool {
        let folder = self.folder();
        folder.is_ok_and(|folder| statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).is_ok())
    }
}

/// The device of a folder if the sizes of its files are true.
pub(super) fn device_on_blocks(folder: &impl AsFd) -> Option<u64> {
    let stat = fstat(folder).ok().filter(|_| is_on_blocks(folder))?;
    Some(FileIdentity::from(&stat).device)
}
