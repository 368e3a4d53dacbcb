//! Merges the lists of files of several sources into one, sorted by name.

use std::collections::{BTreeMap, HashMap};

use crate::protocol::{FileItem, FileName};

/// The files that several sources list. Each source sends them sorted by name, so a name is
/// complete once every source that still sends has got past it.
#[derive(Default)]
pub(super) struct MergedFiles {
    /// The contents of each name that is not complete.
    files: BTreeMap<FileName<'static>, Vec<FileItem<'static>>>,
    /// The last name of each source that still sends, or none before the first one.
    positions: HashMap<usize, Option<FileName<'static>>>,
    /// Whether each source is a node, which lists its own files.
    are_nodes: bool,
}

impl MergedFiles {
    pub(super) fn new(sources: &[usize], are_nodes: bool) -> Self {
        Self {
            files: BTreeMap::new(),
            positions: sources.iter().map(|source| (*source, None)).collect(),
            are_nodes,
        }
    }

    /// A source lists a file. How many nodes have a content is known of each source alone: of
    /// relays, the largest number is taken, because most of them are the same nodes.
    pub(super) fn insert(&mut self, source: usize, file: &FileItem<'_>) {
        let name = file.name.clone().into_owned();
        let contents = self.files.entry(name.clone()).or_default();
        let is_same =
            |other: &&mut FileItem<'_>| (other.hash, other.size) == (file.hash, file.size);
        match contents.iter_mut().find(is_same) {
            Some(same) if self.are_nodes => {
                same.holders = same.holders.saturating_add(file.holders);
            }
            Some(same) => same.holders = same.holders.max(file.holders),
            None => contents.push(FileItem {
                name: name.clone(),
                ..*file
            }),
        }
        self.positions.insert(source, Some(name));
    }

    /// The source sends no more files.
    pub(super) fn on_end(&mut self, source: usize) {
        self.positions.remove(&source);
    }

    /// Takes the contents of the next name of the merged list, if that is complete.
    pub(super) fn next_name(&mut self) -> Option<Vec<FileItem<'static>>> {
        let first = self.files.first_entry()?;
        let mut positions = self.positions.values();
        let is_past = |position: &Option<FileName<'_>>| position.as_ref() > Some(first.key());
        if !positions.all(is_past) {
            return None;
        }
        let mut contents = first.remove();
        // The order must not depend on which source was faster.
        contents.sort_by_key(|file| (file.size, file.hash));
        Some(contents)
    }
}
