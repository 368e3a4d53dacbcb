//! All roots of a share: the node's folder, and what was added at run time.
//!
//! The first component of a name decides its root, so a name has only one root.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::io;
use std::sync::Arc;

use rustix::io::Errno;

use crate::escaped::Escaped;
use crate::protocol::{FileName, is_part_file};
use crate::share::open_beneath::RegularFile;
use crate::share::root::Root;
use crate::system_error::Reason;

/// The root of each shared name. A change creates a new value, so that a scan in
/// progress keeps its own.
#[derive(Clone)]
pub(super) struct Roots {
    /// The node's folder.
    main: PartialRoot,
    /// By the first component of their names.
    added: BTreeMap<String, PartialRoot>,
    /// Whether hidden files are shared: a component of their name starts with a dot.
    shares_hidden: bool,
}

/// A root without some of its files.
#[derive(Clone)]
struct PartialRoot {
    root: Arc<Root>,
    /// The names of files and of whole folders that are not shared.
    excluded: BTreeSet<String>,
}

impl Roots {
    /// The node's folder alone.
    pub(super) fn new(main: Root, shares_hidden: bool) -> Self {
        Self {
            main: main.into(),
            added: BTreeMap::new(),
            shares_hidden,
        }
    }

    /// The node's folder.
    pub(super) fn main(&self) -> &Root {
        &self.main.root
    }

    /// All roots, the node's folder first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Root>> {
        let roots = std::iter::once(&self.main).chain(self.added.values());
        roots.map(|partial| &partial.root)
    }

    /// These roots at the folders to which their paths lead now. None if all are the same.
    pub(super) fn reopened(&self) -> Option<Self> {
        let mut roots = self.clone();
        let mut is_changed = false;
        for partial in std::iter::once(&mut roots.main).chain(roots.added.values_mut()) {
            if let Some(root) = partial.root.reopened() {
                partial.root = Arc::new(root);
                is_changed = true;
            }
        }
        is_changed.then_some(roots)
    }

    /// Whether the path of a root leads to another folder now.
    pub(super) fn lead_elsewhere(&self) -> bool {
        self.iter().any(|root| root.has_moved())
    }

    /// Whether files and folders with this component in their name are never shared:
    /// hidden ones, and `.….part` and `.….part.state`, which belong to a file that is
    /// being fetched into the share.
    pub(super) fn skips(&self, component: &[u8]) -> bool {
        component.starts_with(b".") && (!self.shares_hidden || is_part_file(component))
    }

    fn skips_name(&self, name: &str) -> bool {
        let mut components = name.split('/');
        components.any(|component| self.skips(component.as_bytes()))
    }

    /// Opens a file by a name from the network.
    pub(super) fn open(&self, name: &FileName<'_>) -> io::Result<RegularFile> {
        let root = self.root_of(name.as_str()).ok_or(Errno::NOENT)?;
        root.open(name.as_str())
    }

    /// The root of a file or folder, unless names like this one are never shared, or it is
    /// excluded.
    pub(super) fn root_of(&self, name: &str) -> Option<&Arc<Root>> {
        let partial = self.added.get(first_component(name)).unwrap_or(&self.main);
        let is_shared = !self.skips_name(name) && !partial.excludes(name);
        is_shared.then_some(&partial.root)
    }

    /// Whether the name belongs to the node's folder.
    pub(super) fn is_in_main(&self, name: &str) -> bool {
        !self.added.contains_key(first_component(name))
    }

    /// Whether a file of this name in the node's folder is shared.
    pub(super) fn shares_in_main(&self, name: &str) -> bool {
        self.is_in_main(name) && self.root_of(name).is_some()
    }

    /// Whether a root was added under this name.
    pub(super) fn is_added(&self, name: &FileName<'_>) -> bool {
        self.added.contains_key(name.as_str())
    }

    /// Shares the file or folder at `path`. Returns its name.
    pub(super) fn add(&mut self, path: &str) -> Result<FileName<'static>, String> {
        let error = |why: &dyn fmt::Display| add_error(path, why);
        let location = fs::canonicalize(path).map_err(|why| error(&Reason(&why)))?;
        let metadata = location.metadata().map_err(|why| error(&Reason(&why)))?;
        if !metadata.is_file() && !metadata.is_dir() {
            return Err(error(&"it is neither a file nor a folder"));
        }
        let existing = self
            .iter()
            .find_map(|root| root.name_of_location(&location));
        let name = match &existing {
            Some(name) if name.is_empty() => {
                return Err(error(&"it is the node's folder, which is shared already"));
            }
            Some(name) => name,
            None => location
                .file_name()
                .and_then(|name| name.to_str())
                .ok_or_else(|| error(&"it has no name that can be shared"))?,
        };
        let name = FileName::parse(name).map_err(|why| error(&why))?;
        if self.skips_name(name.as_str()) {
            return Err(error(match self.shares_hidden {
                true => &"it is a file that is being fetched",
                false => &"names that start with a dot are shared with --hidden only",
            }));
        }
        if existing.is_some() {
            self.include(name.as_str()).map_err(|why| error(&why))?;
            return Ok(name.into_owned());
        }
        if self.is_taken(&name) {
            return Err(error(&format_args!(
                "{name} is shared already; unshare that first, or give this another name"
            )));
        }
        let root = match location.parent() {
            Some(folder) if metadata.is_file() => Root::file(folder, name.as_str()),
            _ => Root::whole_folder(&location, Some(name.as_str())),
        };
        let root = root.map_err(|why| error(&Reason(&why)))?;
        self.added.insert(name.to_string(), root.into());
        Ok(name.into_owned())
    }

    fn is_taken(&self, name: &FileName<'_>) -> bool {
        self.is_added(name)
            || (self.root_of(name.as_str()).is_some() && self.main.root.has(name.as_str()))
    }

    /// Shares a name again that was excluded.
    fn include(&mut self, name: &str) -> Result<(), String> {
        let partial = self.partial_mut(name);
        if let Some(folder) = ancestors(name).find(|folder| partial.excluded.contains(*folder)) {
            return Err(format!(
                "it is in {folder}, which is not shared; share that first"
            ));
        }
        let before = partial.excluded.len();
        partial.excluded.retain(|other| !is_within(other, name));
        if partial.excluded.len() == before {
            return Err(format!("it is shared already, as {name}"));
        }
        Ok(())
    }

    /// Stops sharing a file, or a folder with all its files.
    pub(super) fn remove(&mut self, name: &FileName<'_>) {
        // A file of the same name in the node's folder does not take its place, unless
        // the user adds that file.
        if self.added.remove(name.as_str()).is_none() || self.main.root.has(name.as_str()) {
            let partial = self.partial_mut(name.as_str());
            partial.excluded.insert(name.to_string());
        }
    }

    fn partial_mut(&mut self, name: &str) -> &mut PartialRoot {
        self.added
            .get_mut(first_component(name))
            .unwrap_or(&mut self.main)
    }
}

impl From<Root> for PartialRoot {
    fn from(root: Root) -> Self {
        Self {
            root: Arc::new(root),
            excluded: BTreeSet::new(),
        }
    }
}

impl PartialRoot {
    fn excludes(&self, name: &str) -> bool {
        let mut names = ancestors(name).chain([name]);
        !self.excluded.is_empty() && names.any(|name| self.excluded.contains(name))
    }
}

pub(super) fn add_error(path: &str, why: &dyn fmt::Display) -> String {
    format!("cannot share {}: {why}", Escaped::text(path))
}

fn first_component(name: &str) -> &str {
    name.split('/').next().unwrap_or(name)
}

/// The folders that contain a name: `a`, then `a/b` for `a/b/c`.
pub(super) fn ancestors(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices('/').map(|(end, _)| &name[..end])
}

/// Whether a name is `folder`, or in that folder.
pub(super) fn is_within(name: &str, folder: &str) -> bool {
    name.strip_prefix(folder)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
