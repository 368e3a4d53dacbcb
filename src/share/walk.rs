//! Lists the files of a share by walking through its folders.

use std::sync::Arc;

use rustix::fs::{AtFlags, Dir, DirEntry, FileType, statat};
use rustix::io::Errno;

use crate::protocol::FileName;
use crate::share::file_identity::FileIdentity;
use crate::share::root::Root;
use crate::share::roots::Roots;
use crate::share::watch::FolderWatch;

/// The settings of a walk.
pub(super) struct Walk<'a> {
    pub(super) roots: &'a Roots,
    /// The most files in the result.
    pub(super) max_files: usize,
    /// Watches each folder before the folder is listed.
    pub(super) watch: &'a FolderWatch,
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

/// Files and folders that cannot be shared or read, for a warning.
#[derive(Default)]
pub(super) struct SkippedEntries {
    pub(super) count: usize,
    pub(super) first: String,
}

/// The system is out of descriptors or memory. A walk that fails so says nothing
/// about the files.
pub(super) struct OutOfResources;

impl Walk<'_> {
    /// Lists all files.
    pub(super) fn all(&self) -> Result<WalkResult, OutOfResources> {
        let mut result = WalkResult::default();
        for root in self.roots.iter() {
            match root.single_file() {
                Some(name) => self.add_single_file(root, name, &mut result)?,
                None => self.add_folder(root, "", &mut result)?,
            }
            if result.is_truncated {
                break;
            }
        }
        Ok(result.sorted())
    }

    /// Lists the file of this name, or the files in the folder of this name.
    pub(super) fn within(&self, name: &FileName<'_>) -> Result<WalkResult, OutOfResources> {
        let mut result = WalkResult::default();
        let name = name.as_str();
        if let Some(root) = self.roots.root_of(name) {
            if root.single_file().is_some() {
                self.add_single_file(root, name, &mut result)?;
            } else if let Some(identity) = file_identity(root, name)? {
                result.add(name.to_owned(), identity, self.max_files);
            } else if let Some(path) = root.path_of(name) {
                self.add_folder(root, path, &mut result)?;
            }
        }
        Ok(result.sorted())
    }

    fn add_single_file(
        &self,
        root: &Arc<Root>,
        name: &str,
        result: &mut WalkResult,
    ) -> Result<(), OutOfResources> {
        // The folder is watched, not the file: it may be replaced or come back.
        self.watch.add(&root.fd_path());
        if let Some(identity) = file_identity(root, name)? {
            result.add(name.to_owned(), identity, self.max_files);
        }
        Ok(())
    }

    /// Adds the files of a folder and its sub-folders.
    fn add_folder(
        &self,
        root: &Arc<Root>,
        path: &str,
        result: &mut WalkResult,
    ) -> Result<(), OutOfResources> {
        let fd_path = root.fd_path();
        let mut pending = vec![path.to_owned()];
        while let Some(folder) = pending.pop()
            && !result.is_truncated
        {
            self.watch.add(&fd_path.join(&folder));
            match root.open_folder(&folder).and_then(Dir::new) {
                Ok(entries) => self.add_entries(root, &folder, entries, &mut pending, result)?,
                Err(error) if is_out_of_resources(error) => return Err(OutOfResources),
                Err(error) => result.skipped.add(&format!("{folder}: {error}")),
            }
        }
        Ok(())
    }

    /// Adds the files of one folder to the result, and its sub-folders to `pending`.
    fn add_entries(
        &self,
        root: &Arc<Root>,
        folder: &str,
        mut entries: Dir,
        pending: &mut Vec<String>,
        result: &mut WalkResult,
    ) -> Result<(), OutOfResources> {
        while let Some(entry) = entries.read()
            && !result.is_truncated
        {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) if is_out_of_resources(error) => return Err(OutOfResources),
                Err(error) => {
                    result.skipped.add(&format!("{folder}: {error}"));
                    break;
                }
            };
            let entry_name = entry.file_name();
            if matches!(entry_name.to_bytes(), b"." | b"..")
                || self.roots.skips(entry_name.to_bytes())
            {
                continue;
            }
            let path = match entry_name.to_str() {
                Ok(name) if folder.is_empty() => name.to_owned(),
                Ok(name) => format!("{folder}/{name}"),
                Err(_) => {
                    result.skipped.add(&entry_name.to_string_lossy());
                    continue;
                }
            };
            let name = root.name_of(&path);
            // Another root may have this name, or the name is excluded.
            let owner = self.roots.root_of(&name);
            if !owner.is_some_and(|owner| Arc::ptr_eq(owner, root)) {
                continue;
            }
            match classify(root, &name, &entries, &entry)? {
                EntryKind::Folder => pending.push(path),
                _ if FileName::parse(&name).is_err() => result.skipped.add(&name),
                EntryKind::File(identity) => {
                    result.add(name.into_owned(), identity, self.max_files);
                }
                EntryKind::Other => {}
            }
        }
        Ok(())
    }
}

impl WalkResult {
    fn sorted(mut self) -> Self {
        self.files.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        self
    }

    fn add(&mut self, name: String, identity: FileIdentity, max_files: usize) {
        if self.files.len() == max_files {
            self.skipped.add(&name);
            self.is_truncated = true;
        } else {
            self.files.push((name, identity));
        }
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

/// A folder's entry, after its symbolic link was followed.
enum EntryKind {
    Folder,
    File(FileIdentity),
    /// Nothing that can be shared, or deleted meanwhile.
    Other,
}

fn classify(
    root: &Root,
    name: &str,
    folder: &Dir,
    entry: &DirEntry,
) -> Result<EntryKind, OutOfResources> {
    let mut kind = entry.file_type();
    let mut stat = None;
    if matches!(kind, FileType::RegularFile | FileType::Unknown) {
        // A look-up in its folder is faster than one of the whole path.
        let found = folder
            .fd()
            .and_then(|folder| statat(folder, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW));
        let Ok(found) = found else {
            return Ok(EntryKind::Other);
        };
        kind = FileType::from_raw_mode(found.st_mode);
        stat = Some(found);
    }
    let identity = match kind {
        FileType::Directory => return Ok(EntryKind::Folder),
        FileType::RegularFile => stat.as_ref().map(FileIdentity::from),
        // Only a link to a file inside the root can be opened.
        FileType::Symlink => file_identity(root, name)?,
        _ => None,
    };
    Ok(identity.map_or(EntryKind::Other, EntryKind::File))
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
