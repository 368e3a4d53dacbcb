//! All places that are shared: the node's folder, and what was added at run time.
//!
//! The first part of a name decides where it belongs, so no name is in two places.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::sync::Arc;

use crate::escaped::Escaped;
use crate::node::AddError;
use crate::protocol::FileName;
use crate::share::root::Root;

/// Where each name belongs. Who looks at one while it is changed keeps what it was.
#[derive(Clone)]
pub(super) struct Roots {
    own: RootPath,
    /// By the first part of their names.
    added: BTreeMap<String, RootPath>,
    /// Names that start with a dot are shared as well.
    hidden: bool,
}

/// A root, and what is not shared of it.
#[derive(Clone)]
struct RootPath {
    root: Arc<Root>,
    /// Files, and folders with all that is in them.
    withheld: BTreeSet<String>,
}

impl Roots {
    /// The node's folder alone.
    pub(super) fn new(own: Root, hidden: bool) -> Self {
        Self {
            own: own.into(),
            added: BTreeMap::new(),
            hidden,
        }
    }

    /// The node's folder.
    pub(super) fn own(&self) -> &Root {
        &self.own.root
    }

    /// The node's folder first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Root>> {
        let places = std::iter::once(&self.own).chain(self.added.values());
        places.map(|place| &place.root)
    }

    /// Whether what is called so on the disk is left out: it is hidden, or, as
    /// `.NAME.part`, a file that is still being fetched into the share.
    pub(super) fn leaves_out(&self, name: &[u8]) -> bool {
        name.starts_with(b".") && (!self.hidden || name.ends_with(b".part"))
    }

    /// Where a file of this name would be, if it may be shared.
    pub(super) fn find(&self, name: &FileName<'_>) -> Option<&Arc<Root>> {
        let mut parts = name.as_str().split('/');
        let may_be = !parts.any(|part| self.leaves_out(part.as_bytes()));
        self.owner(name.as_str()).filter(|_| may_be)
    }

    /// Where a file or folder of this name would be, unless it is withheld.
    pub(super) fn owner(&self, name: &str) -> Option<&Arc<Root>> {
        let place = self.added.get(first_part(name)).unwrap_or(&self.own);
        (!place.withholds(name)).then_some(&place.root)
    }

    /// Whether a file of this name would be in the node's folder.
    pub(super) fn is_own(&self, name: &FileName<'_>) -> bool {
        !self.added.contains_key(first_part(name.as_str()))
    }

    /// Whether it was added under this name.
    pub(super) fn is_added(&self, name: &FileName<'_>) -> bool {
        self.added.contains_key(name.as_str())
    }

    /// Shares what lies at `path`, and tells its name.
    pub(super) fn add(&mut self, path: &str) -> Result<FileName<'static>, AddError> {
        let refused = |why: &dyn fmt::Display| {
            let path = Escaped::text(path);
            AddError(format!("cannot share {path}: {why}"))
        };
        let place = fs::canonicalize(path).map_err(|error| refused(&error))?;
        let metadata = place.metadata().map_err(|error| refused(&error))?;
        if !metadata.is_file() && !metadata.is_dir() {
            return Err(refused(&"it is neither a file nor a folder"));
        }
        let known = self.iter().find_map(|root| root.name_of(&place));
        let name = match &known {
            Some(name) if name.is_empty() => {
                return Err(refused(&"it is the node's folder, which is shared already"));
            }
            Some(name) => name,
            None => place
                .file_name()
                .and_then(|name| name.to_str())
                .ok_or_else(|| refused(&"it has no name that can be shared"))?,
        };
        let name = FileName::parse(name).map_err(|why| refused(&why))?;
        if name.is_hidden() && !self.hidden {
            return Err(refused(
                &"names that start with a dot are shared with --hidden only",
            ));
        }
        if known.is_some() {
            self.restore(name.as_str()).map_err(|why| refused(&why))?;
            return Ok(name.into_owned());
        }
        if self.is_taken(&name) {
            return Err(refused(&format_args!(
                "{name} is shared already; unshare that first, or give this another name"
            )));
        }
        let root = match place.parent() {
            Some(folder) if metadata.is_file() => Root::file(folder, name.as_str()),
            _ => Root::folder(&place, Some(name.as_str())),
        };
        let root = root.map_err(|error| refused(&error))?;
        self.added.insert(name.to_string(), root.into());
        Ok(name.into_owned())
    }

    fn is_taken(&self, name: &FileName<'_>) -> bool {
        self.is_added(name) || (self.owner(name.as_str()).is_some() && self.own.has(name))
    }

    /// What was withheld is shared again.
    fn restore(&mut self, name: &str) -> Result<(), String> {
        let place = self.place(name);
        if let Some(folder) = parents(name).find(|folder| place.withheld.contains(*folder)) {
            return Err(format!(
                "it is in {folder}, which is not shared; share that first"
            ));
        }
        let before = place.withheld.len();
        place.withheld.retain(|other| !is_within(other, name));
        if place.withheld.len() == before {
            return Err(format!("it is shared already, as {name}"));
        }
        Ok(())
    }

    /// Shares a name no longer, with all that is below it.
    pub(super) fn remove(&mut self, name: &FileName<'_>) {
        // What has come into the folder under this name does not take its place
        // unsolicited.
        if self.added.remove(name.as_str()).is_none() || self.own.has(name) {
            let place = self.place(name.as_str());
            place.withheld.insert(name.to_string());
        }
    }

    fn place(&mut self, name: &str) -> &mut RootPath {
        self.added
            .get_mut(first_part(name))
            .unwrap_or(&mut self.own)
    }
}

impl From<Root> for RootPath {
    fn from(root: Root) -> Self {
        Self {
            root: Arc::new(root),
            withheld: BTreeSet::new(),
        }
    }
}

impl RootPath {
    fn withholds(&self, name: &str) -> bool {
        let mut names = parents(name).chain([name]);
        !self.withheld.is_empty() && names.any(|name| self.withheld.contains(name))
    }

    /// Whether anything has this name there.
    fn has(&self, name: &FileName<'_>) -> bool {
        let path = self.root.opened_path().join(name.as_str());
        path.symlink_metadata().is_ok()
    }
}

fn first_part(name: &str) -> &str {
    name.split('/').next().unwrap_or(name)
}

/// The folders that a name is in: `a`, then `a/b` for `a/b/c`.
fn parents(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices('/').map(|(end, _)| &name[..end])
}

/// Whether a name is `folder`, or in that folder.
pub(super) fn is_within(name: &str, folder: &str) -> bool {
    name.strip_prefix(folder)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
