//! Lists the files of a share by walking through its folders.

use std::sync::Arc;

use rustix::fs::{AtFlags, Dir, DirEntry, FileType, Stat, statat};
use rustix::io::Errno;

use crate::protocol::FileName;
use crate::share::file_identity::FileIdentity;
use crate::share::root::{Root, device_on_blocks};
use crate::share::roots::Roots;
use crate::share::watch::FolderWatch;

/// A walk through the folders of a share.
pub(super) struct Walk<'a> {
    roots: &'a Roots,
    /// The most files in the result.
    max_files: usize,
    /// Watches each folder before the folder is listed.
    watch: &'a FolderWatch,
    result: WalkResult,
}

/// The files of a walk.
#[derive(Default)]
pub(super) struct WalkResult {
    /// By name, in byte order.
    pub(super) files: Vec<(String, FileIdentity)>,
    pub(super) skipped: SkippedEntries,
    /// There are more than `max_files` files.
    pub(super) is_truncated: bool,
}

/// Files and folders that cannot be shared or read. The user is warned about them.
#[derive(Default)]
pub(super) struct SkippedEntries {
    pub(super) count: usize,
    pub(super) first: String,
}

/// The system is out of descriptors or memory. The list of files is incomplete.
pub(super) struct OutOfResources;

impl<'a> Walk<'a> {
    pub(super) fn new(roots: &'a Roots, max_files: usize, watch: &'a FolderWatch) -> Self {
        Self {
            roots,
            max_files,
            watch,
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
        Ok(self.sorted_result())
    }

    /// Lists the file of this name, or the files in the folder of this name.
    pub(super) fn within(mut self, name: &FileName<'_>) -> Result<WalkResult, OutOfResources> {
        let name = name.as_str();
        if let Some(root) = self.roots.root_of(name) {
            if root.single_file().is_some() {
                self.add_single_file(root, name)?;
            } else if let Some(identity) = file_identity(root, name)? {
                self.add(name.to_owned(), identity);
            } else if let Some(path) = root.path_of(name) {
                self.add_folder(root, path)?;
            }
        }
        Ok(self.sorted_result())
    }

    fn sorted_result(mut self) -> WalkResult {
        self.result.files.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        self.result
    }

    fn add_single_file(&mut self, root: &Root, name: &str) -> Result<(), OutOfResources> {
        // The folder is watched, not the file: it may be replaced or come back.
        self.watch.add(&root.fd_path());
        if let Some(identity) = file_identity(root, name)? {
            self.add(name.to_owned(), identity);
        }
        Ok(())
    }

    /// Adds the files of a folder and its sub-folders.
    fn add_folder(&mut self, root: &Arc<Root>, path: &str) -> Result<(), OutOfResources> {
        let fd_path = root.fd_path();
        let mut pending = vec![path.to_owned()];
        while let Some(folder) = pending.pop()
            && !self.result.is_truncated
        {
            self.watch.add(&fd_path.join(&folder));
            match root.open_folder(&folder).and_then(Dir::new) {
                Ok(entries) => self.add_entries(root, &folder, entries, &mut pending)?,
                Err(error) => self.skip_folder(&folder, error)?,
            }
        }
        Ok(())
    }

    /// Adds the files of one folder to the result, and its sub-folders to `pending`.
    fn add_entries(
        &mut self,
        root: &Arc<Root>,
        folder: &str,
        mut entries: Dir,
        pending: &mut Vec<String>,
    ) -> Result<(), OutOfResources> {
        let device = entries.fd().ok().and_then(|fd| device_on_blocks(&fd));
        while let Some(entry) = entries.read()
            && !self.result.is_truncated
        {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => return self.skip_folder(folder, error),
            };
            let leaf = entry.file_name();
            if matches!(leaf.to_bytes(), b"." | b"..") || self.roots.skips(leaf.to_bytes()) {
                continue;
            }
            let path = match leaf.to_str() {
                Ok(leaf) if folder.is_empty() => leaf.to_owned(),
                Ok(leaf) => format!("{folder}/{leaf}"),
                Err(_) => {
                    self.result.skipped.add(&leaf.to_string_lossy());
                    continue;
                }
            };
            let name = root.name_of(&path);
            // Another root may have this name, or the name is excluded.
            let owner = self.roots.root_of(&name);
            if !owner.is_some_and(|owner| Arc::ptr_eq(owner, root)) {
                continue;
            }
            let (kind, stat) = kind_and_stat(&entries, &entry);
            let identity = match kind {
                FileType::Directory => {
                    pending.push(path);
                    continue;
                }
                FileType::RegularFile => {
                    let identity = stat.as_ref().map(FileIdentity::from);
                    match identity.filter(|identity| device != Some(identity.device)) {
                        None => identity,
                        // The open checks the size.
                        Some(_) => file_identity(root, &name)?,
                    }
                }
                // Only a link to a file inside the root can be opened.
                FileType::Symlink => file_identity(root, &name)?,
                _ => None,
            };
            match identity {
                _ if FileName::parse(&name).is_err() => self.result.skipped.add(&name),
                Some(identity) => self.add(name.into_owned(), identity),
                None => {}
            }
        }
        Ok(())
    }

    fn add(&mut self, name: String, identity: FileIdentity) {
        if self.result.files.len() == self.max_files {
            self.result.skipped.add(&name);
            self.result.is_truncated = true;
        } else {
            self.result.files.push((name, identity));
        }
    }

    /// Counts a folder that cannot be read.
    fn skip_folder(&mut self, folder: &str, error: Errno) -> Result<(), OutOfResources> {
        if is_out_of_resources(error) {
            return Err(OutOfResources);
        }
        self.result.skipped.add(&format!("{folder}: {error}"));
        Ok(())
    }
}

impl SkippedEntries {
    fn add(&mut self, name: &str) {
        if self.count == 0 {
            name.clone_into(&mut self.first);
        }
        self.count += 1;
    }
}

/// The type of an entry, and its status if it is a regular file.
fn kind_and_stat(folder: &Dir, entry: &DirEntry) -> (FileType, Option<Stat>) {
    let kind = entry.file_type();
    if !matches!(kind, FileType::RegularFile | FileType::Unknown) {
        return (kind, None);
    }
    // A look-up in its folder is faster than one of the whole path.
    let folder = folder.fd();
    match folder.and_then(|folder| statat(folder, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW)) {
        Ok(stat) => (FileType::from_raw_mode(stat.st_mode), Some(stat)),
        // The entry was deleted meanwhile.
        Err(_) => (FileType::Unknown, None),
    }
}

/// The identity of the file of this name, if it can be opened.
fn file_identity(root: &Root, name: &str) -> Result<Option<FileIdentity>, OutOfResources> {
    match root.open(name) {
        Ok(file) => Ok(Some(file.identity)),
        Err(error) if Errno::from_io_error(&error).is_some_and(is_out_of_resources) => {
            Err(OutOfResources)
        }
        Err(_) => Ok(None),
    }
}

fn is_out_of_resources(error: Errno) -> bool {
    matches!(error, Errno::MFILE | Errno::NFILE | Errno::NOMEM)
}
