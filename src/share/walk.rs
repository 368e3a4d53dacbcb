//! Walks through all that is shared, to list it.

use std::sync::Arc;

use rustix::fs::{AtFlags, Dir, DirEntry, FileType, statat};
use rustix::io::Errno;

use crate::protocol::FileName;
use crate::share::identity::Identity;
use crate::share::root::Root;
use crate::share::roots::Roots;
use crate::share::watch::Watch;

/// What to walk through.
pub(super) struct Walk<'a> {
    pub(super) roots: &'a Roots,
    /// The most files to find.
    pub(super) max_files: usize,
    /// Watches each folder before its files are listed.
    pub(super) watch: &'a Watch,
}

/// What was found.
#[derive(Default)]
pub(super) struct Found {
    /// In the order of the names' bytes.
    pub(super) files: Vec<(String, Identity)>,
    pub(super) left_out: LeftOut,
    /// There are more files than may be found.
    pub(super) is_cut: bool,
}

/// What the user should know about.
#[derive(Default)]
pub(super) struct LeftOut {
    pub(super) count: usize,
    pub(super) first: String,
}

/// Descriptors ran out: that says nothing about the files.
pub(super) struct Short;

impl Walk<'_> {
    /// Finds all files that are there.
    pub(super) fn everywhere(&self) -> Result<Found, Short> {
        let mut found = Found::default();
        for root in self.roots.iter() {
            match root.only() {
                Some(name) => self.one(root, name, &mut found)?,
                None => self.folder(root, "", &mut found)?,
            }
            if found.is_cut {
                break;
            }
        }
        Ok(found.in_order())
    }

    /// Finds the file of this name, or those in the folder of this name.
    pub(super) fn within(&self, name: &FileName<'_>) -> Result<Found, Short> {
        let mut found = Found::default();
        let name = name.as_str();
        if let Some(root) = self.roots.owner(name) {
            if root.only().is_some() {
                self.one(root, name, &mut found)?;
            } else if let Some(identity) = opened_identity(root, name)? {
                found.add(name.to_owned(), identity, self.max_files);
            } else if let Some(folder) = root.inside(name) {
                self.folder(root, folder, &mut found)?;
            }
        }
        Ok(found.in_order())
    }

    fn one(&self, root: &Arc<Root>, name: &str, found: &mut Found) -> Result<(), Short> {
        // By its folder a file is noticed that is replaced, or comes back.
        self.watch.add(&root.opened_path());
        if let Some(identity) = opened_identity(root, name)? {
            found.add(name.to_owned(), identity, self.max_files);
        }
        Ok(())
    }

    fn folder(&self, root: &Arc<Root>, start: &str, found: &mut Found) -> Result<(), Short> {
        let path = root.opened_path();
        // Those inside that are still to be listed.
        let mut folders = vec![start.to_owned()];
        while let Some(folder) = folders.pop()
            && !found.is_cut
        {
            self.watch.add(&path.join(&folder));
            match root.open_folder(&folder).and_then(Dir::new) {
                Ok(entries) => self.list(root, &folder, entries, &mut folders, found)?,
                Err(error) if is_short(error) => return Err(Short),
                Err(error) => found.left_out.note(&format!("{folder}: {error}")),
            }
        }
        Ok(())
    }

    /// Adds the files of one folder to those found, and its folders to the others.
    fn list(
        &self,
        root: &Arc<Root>,
        folder: &str,
        mut entries: Dir,
        folders: &mut Vec<String>,
        found: &mut Found,
    ) -> Result<(), Short> {
        while let Some(entry) = entries.read()
            && !found.is_cut
        {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) if is_short(error) => return Err(Short),
                Err(error) => {
                    found.left_out.note(&format!("{folder}: {error}"));
                    break;
                }
            };
            let entry_name = entry.file_name();
            if matches!(entry_name.to_bytes(), b"." | b"..")
                || self.roots.leaves_out(entry_name.to_bytes())
            {
                continue;
            }
            let inside = match entry_name.to_str() {
                Ok(name) if folder.is_empty() => name.to_owned(),
                Ok(name) => format!("{folder}/{name}"),
                Err(_) => {
                    found.left_out.note(&entry_name.to_string_lossy());
                    continue;
                }
            };
            let name = root.outside(&inside);
            let owner = self.roots.owner(&name);
            if !owner.is_some_and(|owner| Arc::ptr_eq(owner, root)) {
                continue;
            }
            match what_is(root, &name, &entries, &entry)? {
                There::Folder => folders.push(inside),
                _ if FileName::parse(&name).is_err() => found.left_out.note(&name),
                There::File(identity) => found.add(name.into_owned(), identity, self.max_files),
                There::Nothing => {}
            }
        }
        Ok(())
    }
}

impl Found {
    fn in_order(mut self) -> Self {
        self.files.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        self
    }

    fn add(&mut self, name: String, identity: Identity, max_files: usize) {
        if self.files.len() == max_files {
            self.left_out.note(&name);
            self.is_cut = true;
        } else {
            self.files.push((name, identity));
        }
    }
}

impl LeftOut {
    fn note(&mut self, name: &str) {
        if self.count == 0 {
            name.clone_into(&mut self.first);
        }
        self.count += 1;
    }
}

/// What an entry of a folder leads to.
enum There {
    Folder,
    File(Identity),
    /// It is gone already, or nothing that can be shared.
    Nothing,
}

fn what_is(root: &Root, name: &str, folder: &Dir, entry: &DirEntry) -> Result<There, Short> {
    let mut kind = entry.file_type();
    let mut stat = None;
    if matches!(kind, FileType::RegularFile | FileType::Unknown) {
        // By its folder a file is found faster than by its whole name.
        let found = folder
            .fd()
            .and_then(|folder| statat(folder, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW));
        let Ok(found) = found else {
            return Ok(There::Nothing);
        };
        kind = FileType::from_raw_mode(found.st_mode);
        stat = Some(found);
    }
    let identity = match kind {
        FileType::Directory => return Ok(There::Folder),
        FileType::RegularFile => stat.as_ref().map(Identity::from),
        // What it leads to, if that is a file inside.
        FileType::Symlink => opened_identity(root, name)?,
        _ => None,
    };
    Ok(identity.map_or(There::Nothing, There::File))
}

/// The file that a name leads to. What cannot be opened is not there.
fn opened_identity(root: &Root, name: &str) -> Result<Option<Identity>, Short> {
    match root.open(name) {
        Ok(opened) => Ok(Some(opened.identity)),
        Err(error) if Errno::from_io_error(&error).is_some_and(is_short) => Err(Short),
        Err(_) => Ok(None),
    }
}

fn is_short(error: Errno) -> bool {
    matches!(error, Errno::MFILE | Errno::NFILE | Errno::NOMEM)
}
