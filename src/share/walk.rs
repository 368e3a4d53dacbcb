//! Lists the files of a share by walking through its folders.

use std::collections::HashSet;
use std::fmt;
use std::io;
use std::mem;
use std::sync::Arc;

use rustix::fs::{Access, AtFlags, Dir, DirEntry, FileType, Mode, Stat, accessat, statat};
use rustix::io::Errno;

use crate::node::Unavailable;
use crate::protocol::{FileName, MAX_NAME};
use crate::share::content_reader::unavailable;
use crate::share::file_identity::FileIdentity;
use crate::share::open_beneath::RegularFile;
use crate::share::root::{Root, device_on_blocks};
use crate::share::roots::{Roots, ancestors};
use crate::share::skipped_entries::SkippedEntries;
use crate::share::walked_devices::WalkedDevices;
use crate::share::watch::{FolderWatch, WatchId, WrittenFiles};
use crate::system_error::Reason;

/// A walk through the folders of a share.
pub(super) struct Walk<'a> {
    roots: &'a Roots,
    /// The most files in the result.
    max_files: usize,
    /// Watches each folder before the folder is listed.
    watch: &'a FolderWatch,
    /// The files that were written since the last walk.
    written: &'a WrittenFiles,
    /// The watched folders.
    watched: HashSet<WatchId>,
    result: WalkResult,
}

/// The files of a walk.
#[derive(Default)]
pub(super) struct WalkResult {
    /// By name, in byte order.
    pub(super) files: Vec<(String, FileIdentity)>,
    /// The names of files whose content may have changed without a change of identity.
    pub(super) written: HashSet<String>,
    pub(super) devices: WalkedDevices,
    pub(super) skipped: SkippedEntries,
    /// The names of files and folders, empty for the node's folder, that could not be read
    /// for a reason that may pass, such as an error of the disk. What is known of them stays
    /// in the list.
    pub(super) unread: HashSet<String>,
    /// How many more files may be in the list.
    pub(super) room: usize,
    /// There are more than `max_files` files.
    pub(super) is_truncated: bool,
}

impl WalkResult {
    /// Adds those of the `known` files that could not be read, as they were.
    pub(super) fn add_unread<'k>(
        &mut self,
        known: impl Iterator<Item = (&'k str, FileIdentity)>,
        is_in_main: impl Fn(&str) -> bool,
    ) {
        if self.unread.is_empty() {
            return;
        }
        let is_unread = |name: &str| {
            let mut folders = ancestors(name).chain([name]);
            folders.any(|folder| self.unread.contains(folder))
                || (self.unread.contains("") && is_in_main(name))
        };
        // A part of a folder may have been read.
        let is_read = |name: &str| {
            self.files
                .binary_search_by(|file| (*file.0).cmp(name))
                .is_ok()
        };
        let unread = known.filter(|(name, _)| is_unread(name) && !is_read(name));
        let unread = unread.map(|(name, identity)| (name.to_owned(), identity));
        let unread: Vec<_> = unread.take(self.room).collect();
        self.files.extend(unread);
        self.files.sort_by(|a, b| a.0.cmp(&b.0));
    }
}

/// A folder that is being listed.
struct OpenFolder<'r> {
    root: &'r Arc<Root>,
    /// Its path in the root.
    path: &'r str,
    /// None if it is not watched.
    watch: Option<WatchId>,
    /// See [`device_on_blocks`].
    device: Option<u64>,
}

/// The system is out of descriptors or memory. The list of files is incomplete.
pub(super) struct OutOfResources;

impl<'a> Walk<'a> {
    pub(super) fn new(
        roots: &'a Roots,
        max_files: usize,
        watch: &'a FolderWatch,
        written: &'a WrittenFiles,
    ) -> Self {
        Self {
            roots,
            max_files,
            watch,
            written,
            watched: HashSet::new(),
            result: WalkResult::default(),
        }
    }

    /// Lists all files.
    pub(super) fn all(mut self) -> Result<WalkResult, OutOfResources> {
        for root in self.roots.iter() {
            match root.single_file() {
                Some(name) => self.add_single_file(root, name)?,
                None => self.add_folder(root, "")?,
            }
            if self.result.is_truncated {
                break;
            }
        }
        self.watch.keep_only(mem::take(&mut self.watched));
        Ok(self.sorted_result())
    }

    /// Lists the file of this name, or the files in the folder of this name.
    pub(super) fn within(mut self, name: &FileName<'_>) -> Result<WalkResult, OutOfResources> {
        let name = name.as_str();
        if let Some(root) = self.roots.root_of(name) {
            if root.single_file().is_some() {
                self.add_single_file(root, name)?;
            } else if let Some(identity) = self.opened(root, name)? {
                self.add(name.to_owned(), identity);
            } else if let Some(path) = root.path_of(name) {
                self.add_folder(root, path)?;
            }
        }
        Ok(self.sorted_result())
    }

    fn sorted_result(mut self) -> WalkResult {
        self.result.files.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        self.result.room = self.max_files - self.result.files.len();
        self.result
    }

    fn add_single_file(&mut self, root: &Root, name: &str) -> Result<(), OutOfResources> {
        // The folder is watched, not the file: it may be replaced or come back.
        let folder = root.folder().ok();
        let watch = folder.and_then(|folder| self.watch.add(folder, || root.location.clone()));
        self.watched.extend(watch);
        if let Some(identity) = self.opened(root, name)? {
            self.add(name.to_owned(), identity);
            if self.written.contains(watch, name.as_bytes()) {
                self.result.written.insert(name.to_owned());
            }
        }
        Ok(())
    }

    /// Adds the files of a folder and its sub-folders.
    fn add_folder(&mut self, root: &Arc<Root>, path: &str) -> Result<(), OutOfResources> {
        let mut pending = vec![path.to_owned()];
        while let Some(path) = pending.pop()
            && !self.result.is_truncated
        {
            let open = root.open_folder(&path).and_then(|fd| {
                let folder = OpenFolder {
                    root,
                    path: &path,
                    watch: self.watch.add(&fd, || root.location.join(&path)),
                    device: device_on_blocks(&fd),
                };
                if let Some(device) = folder.device {
                    self.result.devices.add(device, &fd);
                }
                Ok((folder, Dir::new(fd)?))
            });
            match open {
                Ok((folder, entries)) => {
                    self.watched.extend(folder.watch);
                    self.add_entries(&folder, entries, &mut pending)?;
                }
                // It was removed or replaced meanwhile.
                Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) if !path.is_empty() => {}
                Err(error) => self.skip_folder(root, &path, error)?,
            }
        }
        Ok(())
    }

    /// Adds the files of one folder to the result, and its sub-folders to `pending`.
    fn add_entries(
        &mut self,
        folder: &OpenFolder<'_>,
        mut entries: Dir,
        pending: &mut Vec<String>,
    ) -> Result<(), OutOfResources> {
        while let Some(entry) = entries.read()
            && !self.result.is_truncated
        {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => return self.skip_folder(folder.root, folder.path, error),
            };
            let leaf = entry.file_name();
            if matches!(leaf.to_bytes(), b"." | b"..") || self.roots.skips(leaf.to_bytes()) {
                continue;
            }
            let path = match leaf.to_str() {
                Ok(leaf) if folder.path.is_empty() => leaf.to_owned(),
                Ok(leaf) => format!("{}/{leaf}", folder.path),
                Err(_) => {
                    self.skip(&leaf.to_string_lossy(), "the name is not UTF-8");
                    continue;
                }
            };
            let name = folder.root.name_of(&path);
            // Another root may have this name, or the name is excluded.
            let owner = self.roots.root_of(&name);
            if !owner.is_some_and(|owner| Arc::ptr_eq(owner, folder.root)) {
                continue;
            }
            let Some((kind, stat)) = self.readable(&entries, &entry, &name)? else {
                continue;
            };
            if kind == FileType::Directory {
                // The paths that the system accepts are not much longer than the names.
                if has_valid_length(&name) {
                    pending.push(path);
                } else {
                    self.skip(&name, "the name is too long");
                }
                continue;
            }
            let identity = self.identity(folder, &name, kind, stat.as_ref())?;
            match (identity, FileName::parse(&name)) {
                (_, Err(error)) => self.skip(&name, error),
                (Some(identity), Ok(_)) => {
                    if self.written.contains(folder.watch, leaf.to_bytes()) {
                        self.result.written.insert(name.to_string());
                    }
                    self.add(name.into_owned(), identity);
                }
                (None, Ok(_)) => {}
            }
        }
        Ok(())
    }

    /// The type of an entry, and its status if it is a regular file. None if it cannot be
    /// read: then it is counted.
    fn readable(
        &mut self,
        folder: &Dir,
        entry: &DirEntry,
        name: &str,
    ) -> Result<Option<(FileType, Option<Stat>)>, OutOfResources> {
        match kind_and_stat(folder, entry).map_err(io::Error::from) {
            Ok((_, Some(stat))) if !is_readable(folder, entry, &stat) => {
                self.skip(name, NOT_READABLE);
                Ok(None)
            }
            Ok(found) => Ok(Some(found)),
            Err(error) => self.skip_file(name, &error),
        }
    }

    /// The identity of an entry that is a file, or a link to a file.
    fn identity(
        &mut self,
        folder: &OpenFolder<'_>,
        name: &str,
        kind: FileType,
        stat: Option<&Stat>,
    ) -> Result<Option<FileIdentity>, OutOfResources> {
        let identity = stat.map(FileIdentity::from);
        match kind {
            FileType::RegularFile => {}
            // Only a link to a file inside the root can be opened.
            FileType::Symlink => return self.opened(folder.root, name),
            _ => return Ok(None),
        }
        if identity.is_none_or(|identity| folder.device == Some(identity.device)) {
            return Ok(identity);
        }
        match folder.root.open(name) {
            Ok(file) => Ok(Some(self.identity_of(&file))),
            Err(error) if matches!(unavailable(&error), Unavailable::NotFound) => {
                self.skip(name, "it cannot be opened, or its size is not true");
                Ok(None)
            }
            Err(error) => self.skip_file(name, &error),
        }
    }

    /// The identity of the file of this name, if it can be opened.
    fn opened(&mut self, root: &Root, name: &str) -> Result<Option<FileIdentity>, OutOfResources> {
        match root.open(name) {
            Ok(file) => Ok(Some(self.identity_of(&file))),
            Err(error) => self.skip_file(name, &error),
        }
    }

    fn identity_of(&mut self, file: &RegularFile) -> FileIdentity {
        self.result.devices.add(file.identity.device, &file.file);
        file.identity
    }

    fn add(&mut self, name: String, identity: FileIdentity) {
        if self.result.files.len() == self.max_files {
            self.skip(&name, "it and others are beyond --max-files");
            self.result.skipped.is_incomplete = true;
            self.result.is_truncated = true;
        } else {
            self.result.files.push((name, identity));
        }
    }

    /// Counts a folder that cannot be read.
    fn skip_folder(&mut self, root: &Root, path: &str, error: Errno) -> Result<(), OutOfResources> {
        let error = io::Error::from(error);
        let (name, shown_name) = match path {
            "" => (root.own_name(), root.location.to_string_lossy()),
            path => (root.name_of(path), root.name_of(path)),
        };
        match unavailable(&error) {
            Unavailable::Busy => return Err(OutOfResources),
            Unavailable::Failed(_) => {
                self.result.unread.insert(name.into_owned());
            }
            Unavailable::NotFound | Unavailable::Incomplete | Unavailable::NotAllowed => {}
        }
        self.skip(&shown_name, Reason(&error));
        self.result.skipped.is_incomplete = true;
        Ok(())
    }

    /// Counts a file that cannot be read, unless it is gone or not to be shared. Returns that
    /// there is none.
    fn skip_file<T>(&mut self, name: &str, error: &io::Error) -> Result<Option<T>, OutOfResources> {
        match unavailable(error) {
            Unavailable::Busy => return Err(OutOfResources),
            Unavailable::NotAllowed => self.skip(name, NOT_READABLE),
            Unavailable::Failed(reason) => {
                self.skip(name, reason);
                self.result.skipped.is_incomplete = true;
                self.result.unread.insert(name.to_owned());
            }
            Unavailable::NotFound | Unavailable::Incomplete => {}
        }
        Ok(None)
    }

    fn skip(&mut self, name: &str, why: impl fmt::Display) {
        self.result.skipped.add(name, why);
    }
}

/// Why a file is not shared.
const NOT_READABLE: &str = "the node may not read it";

/// Whether a folder can have files with valid names, as far as the length matters.
fn has_valid_length(name: &str) -> bool {
    name.len() + "/x".len() <= MAX_NAME
}

/// The type of an entry, and its status if it is a regular file.
fn kind_and_stat(folder: &Dir, entry: &DirEntry) -> Result<(FileType, Option<Stat>), Errno> {
    let kind = entry.file_type();
    if !matches!(kind, FileType::RegularFile | FileType::Unknown) {
        return Ok((kind, None));
    }
    // A look-up in its folder is faster than one of the whole path.
    let folder = folder.fd();
    match folder.and_then(|folder| statat(folder, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)) {
        Ok(stat) => Ok((FileType::from_raw_mode(stat.st_mode), Some(stat))),
        // The entry was deleted meanwhile.
        Err(Errno::NOENT) => Ok((FileType::Unknown, None)),
        Err(error) => Err(error),
    }
}

/// Whether this process may read a file. Asks the system only if the mode does not say so.
fn is_readable(folder: &Dir, entry: &DirEntry, stat: &Stat) -> bool {
    let everybody = Mode::RUSR | Mode::RGRP | Mode::ROTH;
    if Mode::from_raw_mode(stat.st_mode).contains(everybody) {
        return true;
    }
    let access = |folder| accessat(folder, entry.file_name(), Access::READ_OK, AtFlags::EACCESS);
    // Other errors are told when the file is opened.
    folder.fd().and_then(access) != Err(Errno::ACCESS)
}
