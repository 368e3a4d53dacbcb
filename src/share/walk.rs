//! Walks through all that is shared, to list it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustix::io::Errno;
use walkdir::{DirEntry, WalkDir};

use super::identity::Identity;
use super::root::Root;
use super::roots::Roots;
use crate::protocol::FileName;

/// What to walk through, and who is told of it.
pub(super) struct Walk<'a> {
    pub(super) roots: &'a Roots,
    /// The most files to find.
    pub(super) max_files: usize,
    /// Is told of each folder before its files are listed.
    pub(super) each_folder: &'a mut dyn FnMut(&Path),
}

/// What was found.
#[derive(Default)]
pub(super) struct Found {
    /// In no order.
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
    /// Finds the files that are there.
    pub(super) fn go(mut self) -> Result<Found, Short> {
        let mut found = Found::default();
        for root in self.roots.iter() {
            match root.only() {
                Some(name) => self.one(root, name, &mut found)?,
                None => self.folder(root, &mut found)?,
            }
            if found.is_cut {
                break;
            }
        }
        Ok(found)
    }

    fn one(&mut self, root: &Arc<Root>, name: &str, found: &mut Found) -> Result<(), Short> {
        // By its folder a file is noticed that is replaced, or comes back.
        (self.each_folder)(&root.opened_path());
        if let Some(identity) = unless_short(root.open(name).map(|opened| opened.identity))? {
            found.add(name.to_owned(), identity, self.max_files);
        }
        Ok(())
    }

    fn folder(&mut self, root: &Arc<Root>, found: &mut Found) -> Result<(), Short> {
        let path = root.opened_path();
        (self.each_folder)(&path);
        let mut entries = WalkDir::new(&path).min_depth(1).into_iter();
        while let Some(entry) = entries.next() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) if error.io_error().is_some_and(is_short) => return Err(Short),
                Err(error) => {
                    found.left_out.note(&error.to_string());
                    continue;
                }
            };
            let inside = entry.path().strip_prefix(&path).unwrap_or(entry.path());
            let name = inside.to_str().map(|inside| root.outside(inside));
            let belongs = |name: &str| {
                let owner = self.roots.owner(name);
                owner.is_some_and(|owner| Arc::ptr_eq(owner, root))
            };
            let is_left = is_hidden(&entry) && !self.roots.with_hidden();
            if is_left || name.as_deref().is_some_and(|name| !belongs(name)) {
                if entry.file_type().is_dir() {
                    entries.skip_current_dir();
                }
                continue;
            }
            if entry.file_type().is_dir() {
                (self.each_folder)(entry.path());
                continue;
            }
            let valid = name.as_deref().and_then(|name| FileName::parse(name).ok());
            let Some(name) = valid else {
                found.left_out.note(&inside.to_string_lossy());
                continue;
            };
            let identity = if entry.path_is_symlink() {
                // What it leads to, if that is a file inside.
                unless_short(root.open(name.as_str()).map(|opened| opened.identity))?
            } else if entry.file_type().is_file() {
                entry.path().metadata().ok().map(|m| Identity::from(&m))
            } else {
                None
            };
            if let Some(identity) = identity {
                found.add(name.to_string(), identity, self.max_files);
                if found.is_cut {
                    break;
                }
            }
        }
        Ok(())
    }
}

impl Found {
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

/// What cannot be opened is not there.
fn unless_short<T>(result: io::Result<T>) -> Result<Option<T>, Short> {
    match result {
        Err(error) if is_short(&error) => Err(Short),
        result => Ok(result.ok()),
    }
}

fn is_short(error: &io::Error) -> bool {
    let error = Errno::from_io_error(error);
    matches!(error, Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM))
}

fn is_hidden(entry: &DirEntry) -> bool {
    entry.file_name().as_encoded_bytes().starts_with(b".")
}
