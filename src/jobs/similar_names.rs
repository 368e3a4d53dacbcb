//! Names that look like a name that was not found: a person cannot see whether a
//! character is composed, and seldom remembers its case, or that a folder ends with a
//! slash.

use crate::protocol::fold;

/// The most searches of a program whose user is not there to learn from them.
pub(super) const MAX_SEARCHES: u32 = 16;
/// The most names that are told.
const MAX_NAMES: usize = 3;
/// The most files that are examined: a search also finds longer names.
const MAX_FILES: usize = 10_000;

/// Collects names that are equal to a name but for case and composition, and the folder
/// of that name.
pub(super) struct SimilarNames {
    name: String,
    folded: String,
    names: Vec<String>,
    examined_files: usize,
}

impl SimilarNames {
    pub(super) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            folded: fold(name).into_owned(),
            names: Vec::new(),
            examined_files: 0,
        }
    }

    /// Takes the next name of the relay's list. Returns whether more names are wanted.
    pub(super) fn on_name(&mut self, name: &str) -> bool {
        self.examined_files += 1;
        if let Some(rest) = name.strip_prefix(&self.name)
            && rest.starts_with('/')
        {
            let folder = format!("{}/", self.name);
            if !self.names.contains(&folder) {
                self.names.push(folder);
            }
        }
        let is_new = self.names.last().is_none_or(|last| last != name);
        if is_new && name != self.name && fold(name) == self.folded {
            self.names.push(name.to_owned());
        }
        self.examined_files < MAX_FILES && self.names.len() < MAX_NAMES
    }

    pub(super) fn names(&self) -> &[String] {
        &self.names
    }
}
