//! One place on disk that is shared: a folder with all its files, or a single file.
//! The folder is opened once; a later rename of it has no effect.

use std::borrow::Cow;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, fstat};
use rustix::io::Errno;

use crate::share::file_identity::FileIdentity;
use crate::share::open_beneath::{READ_FLAGS, RegularFile, Resolver};
use crate::share::shared_file::is_on_blocks;

/// An open folder, and the mapping between shared names and paths in the folder.
/// Paths are relative to the folder; its own path is empty.
pub(super) struct Root {
    /// The path of the folder when it was opened.
    pub(super) location: PathBuf,
    pub(super) folder: OwnedFd,
    /// The device on which the sizes of files are known to be true.
    device: Option<u64>,
    resolver: Resolver,
    names: NameMapping,
}

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
    pub(super) fn folder(location: &Path, prefix: Option<&str>) -> io::Result<Self> {
        let folder = open_folder(location)?;
        let prefix = prefix.map(str::to_owned);
        Ok(Self {
            location: location.canonicalize()?,
            resolver: Resolver::detect(&folder),
            device: device_on_blocks(&folder),
            folder,
            names: prefix.map_or(NameMapping::Same, NameMapping::Prefix),
        })
    }

    /// Shares a single file of a folder.
    pub(super) fn file(folder: &Path, name: &str) -> io::Result<Self> {
        let location = folder.to_owned();
        let folder = open_folder(folder)?;
        Ok(Self {
            location,
            device: device_on_blocks(&folder),
            folder,
            // A link to another file of the folder, which is not shared, must not be
            // followed.
            resolver: Resolver::Componentwise,
            names: NameMapping::SingleFile(name.to_owned()),
        })
    }

    /// Opens a file by its shared name.
    ///
    /// # Errors
    /// `ENODEV` for a file whose size is not that of its content.
    pub(super) fn open(&self, name: &str) -> io::Result<RegularFile> {
        let path = self.path_of(name).ok_or(Errno::NOENT)?;
        let opened = self.resolver.open(&self.folder, path)?;
        if self.device != Some(opened.identity.device) && !opened.file.has_true_size() {
            return Err(Errno::NODEV.into());
        }
        Ok(opened)
    }

    /// Opens a folder by its path, to list it.
    pub(super) fn open_folder(&self, path: &str) -> Result<OwnedFd, Errno> {
        let path = if path.is_empty() { "." } else { path };
        self.resolver.open_folder(&self.folder, path)
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

    /// A path to the open folder, by its descriptor: the watched folder must be the
    /// one that is served, even after a rename.
    pub(super) fn fd_path(&self) -> PathBuf {
        let path = format!("/proc/self/fd/{}", self.folder.as_raw_fd());
        if Path::new(&path).is_dir() {
            path.into()
        } else {
            // /proc is not mounted.
            self.location.clone()
        }
    }
}

/// The device of a folder if the sizes of its files are true.
pub(super) fn device_on_blocks(folder: &impl AsFd) -> Option<u64> {
    let stat = fstat(folder).ok().filter(|_| is_on_blocks(folder))?;
    Some(FileIdentity::from(&stat).device)
}

fn open_folder(path: &Path) -> io::Result<OwnedFd> {
    let folder = rustix::fs::open(path, READ_FLAGS | OFlags::DIRECTORY, Mode::empty())?;
    Ok(folder)
}
