//! The index of shared files: exact look-up by name and search by a part of it.
//!
//! An entry lives as long as its node's lease. When a node leaves, its files are
//! removed in bounded steps by [`Index::remove_files`].

mod found;
mod holders;
#[cfg(test)]
mod model;
mod needle;
mod pages;
mod search;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};
use std::hint::black_box;

pub(super) use holders::Holder;
pub(super) use search::{PAGES_PER_STEP, Search, SearchPage, Visibility};

use crate::protocol::FileName;
use crate::relay::index::holders::Holders;
use crate::relay::index::pages::Pages;
use crate::relay::table::{Keyed, SlotId, Table};

/// The number of a name in the index.
type NameId = SlotId;

/// File names, their holders, and the names in byte order.
#[derive(Default)]
pub(super) struct Index {
    entries: Table<NameEntry>,
    pages: Pages,
    /// By the node's slot in the directory.
    shares: HashMap<SlotId, NodeFiles>,
    /// Files of all nodes together.
    file_count: u64,
    /// Names whose holders have different contents.
    ambiguous_names: usize,
}

/// A name and its holders.
struct NameEntry {
    name: Box<str>,
    holders: Holders,
}

impl Keyed for NameEntry {
    type Key = str;

    fn key(&self) -> &str {
        &self.name
    }
}

/// The files of one node.
#[derive(Default)]
struct NodeFiles {
    names: HashSet<NameId>,
    /// Length of all its names together.
    bytes: u64,
}

/// How much nodes may share.
#[derive(Clone, Copy, Debug)]
pub struct Quota {
    /// Files per node.
    pub files: u64,
    /// Bytes of file names per node.
    pub bytes: u64,
    /// Files of all nodes together.
    pub all: u64,
}

impl Index {
    /// Number of names.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Number of files of one node.
    pub(super) fn file_count(&self, node: SlotId) -> u64 {
        self.shares
            .get(&node)
            .map_or(0, |share| share.names.len() as u64)
    }

    /// Whether all nodes together have reached their limit of files.
    pub(super) fn is_full(&self, quota: Quota) -> bool {
        self.file_count >= quota.all
    }

    /// The holders of the file with exactly this name.
    pub(super) fn holders(&self, name: &FileName<'_>) -> &[Holder] {
        self.entries
            .find(name.as_str())
            .map_or(&[], |id| self.entries[id].holders.list())
    }

    /// Loads the memory that [`Index::holders`] reads into the CPU cache.
    pub(super) fn prefetch(&self, names: &[FileName<'_>]) {
        for id in self.entries.prefetch(names.iter().map(FileName::as_str)) {
            if let Some(entry) = self.entries.get(id) {
                // A name or an entry may span two cache lines.
                let name = entry.name.as_bytes();
                let size = entry.holders.list().last().map(|holder| holder.size);
                black_box((name.first().copied(), name.last().copied(), size));
            }
        }
    }

    /// Adds a file, or replaces the node's entry under this name. Returns false
    /// if a new entry would exceed the quota.
    pub(super) fn insert(&mut self, name: &FileName<'_>, holder: Holder, quota: Quota) -> bool {
        let name = name.as_str();
        let known = self.entries.find(name);
        let share = self.shares.entry(holder.node).or_default();
        if known.is_none_or(|id| !share.names.contains(&id)) {
            let bytes = share.bytes + name.len() as u64;
            let is_full = share.names.len() as u64 >= quota.files || bytes > quota.bytes;
            if is_full || self.file_count >= quota.all {
                return false;
            }
            share.bytes = bytes;
        }
        let id = match known {
            Some(id) => {
                let holders = &mut self.entries[id].holders;
                let was_ambiguous = holders.is_ambiguous();
                holders.put(holder);
                let is_ambiguous = holders.is_ambiguous();
                self.ambiguous_names =
                    self.ambiguous_names + usize::from(is_ambiguous) - usize::from(was_ambiguous);
                id
            }
            None => self.add(name, holder),
        };
        let share = self.shares.entry(holder.node).or_default();
        self.file_count += u64::from(share.names.insert(id));
        true
    }

    /// Removes a file of a node. Returns false if the node has no such file.
    pub(super) fn remove(&mut self, node: SlotId, name: &FileName<'_>) -> bool {
        let Some(id) = self.entries.find(name.as_str()) else {
            return false;
        };
        let Some(share) = self.shares.get_mut(&node) else {
            return false;
        };
        if !share.names.remove(&id) {
            return false;
        }
        share.bytes -= name.as_str().len() as u64;
        self.file_count -= 1;
        self.remove_holder(id, node);
        true
    }

    /// Removes at most `max` files of a node that has left. Returns the number of
    /// files removed.
    pub(super) fn remove_files(&mut self, node: SlotId, max: usize) -> usize {
        let Some(share) = self.shares.get_mut(&node) else {
            return 0;
        };
        let ids: Vec<NameId> = share.names.iter().copied().take(max).collect();
        for id in &ids {
            share.names.remove(id);
        }
        self.file_count -= ids.len() as u64;
        if share.names.is_empty() {
            self.shares.remove(&node);
        }
        for id in &ids {
            self.remove_holder(*id, node);
        }
        ids.len()
    }

    fn add(&mut self, name: &str, holder: Holder) -> NameId {
        let id = self.entries.insert(NameEntry {
            name: name.into(),
            holders: Holders::One(holder),
        });
        let entries = &self.entries;
        let name_of = |id: NameId| &*entries[id].name;
        self.pages.insert(id, name, name_of);
        id
    }

    fn remove_holder(&mut self, id: NameId, node: SlotId) {
        let entry = &mut self.entries[id];
        let was_ambiguous = entry.holders.is_ambiguous();
        if entry.holders.remove(node) {
            let is_ambiguous = entry.holders.is_ambiguous();
            self.ambiguous_names =
                self.ambiguous_names + usize::from(is_ambiguous) - usize::from(was_ambiguous);
            return;
        }
        let entries = &self.entries;
        let name_of = |id: NameId| &*entries[id].name;
        self.pages.remove(name_of(id), name_of);
        self.entries.remove(id);
    }
}
