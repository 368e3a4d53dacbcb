//! Which files the nodes have: exact look-up by name, and search by a part of it.
//!
//! A file lives as long as its node's lease. When a node goes, its files are
//! taken out little by little: [`Index::forget`] does a bounded part of the work.

mod holders;
#[cfg(test)]
mod model;
mod needle;
mod pages;
mod search;

use std::collections::{HashMap, HashSet};
use std::hint::black_box;

pub(super) use holders::Holder;
pub(super) use search::{PAGES_AT_ONCE, Search, Seen};

use crate::protocol::FileName;
use crate::relay::index::holders::Holders;
use crate::relay::index::pages::Pages;
use crate::relay::table::{Keyed, SlotId, Table};

/// A name's place in the index.
type NameId = SlotId;

/// Names, who has them, and in which order they are listed.
#[derive(Default)]
pub(super) struct Index {
    entries: Table<NameEntry>,
    pages: Pages,
    /// By the node's place in the directory.
    shares: HashMap<SlotId, SharedFile>,
    /// The files of all shares.
    files: u64,
    /// Names under which there are different contents.
    ambiguous: usize,
}

/// A name and who has it; at least one has.
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

/// What one node has.
#[derive(Default)]
struct SharedFile {
    names: HashSet<NameId>,
    /// The length of all its names together.
    bytes: u64,
}

/// How much one node may share.
#[derive(Clone, Copy, Debug)]
pub struct Quota {
    /// Files.
    pub files: u64,
    /// Bytes of their names.
    pub bytes: u64,
    /// Files of all nodes together.
    pub all: u64,
}

impl Index {
    /// How many names are known.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many files a node has.
    pub(super) fn files(&self, node: SlotId) -> u64 {
        self.shares
            .get(&node)
            .map_or(0, |share| share.names.len() as u64)
    }

    /// Whether all nodes together have as many files as they may have.
    pub(super) fn is_full(&self, quota: Quota) -> bool {
        self.files >= quota.all
    }

    /// Who has a file of this name.
    pub(super) fn find(&self, name: &FileName<'_>) -> &[Holder] {
        self.entries
            .find(name.as_str())
            .map_or(&[], |id| self.entries[id].holders.list())
    }

    /// Brings what [`Index::find`] will look at into the processor's cache.
    pub(super) fn prefetch(&self, names: &[FileName<'_>]) {
        for id in self.entries.prefetch(names.iter().map(FileName::as_str)) {
            if let Some(entry) = self.entries.get(id) {
                // A name may begin in one line of the cache and end in the next, and
                // so may an entry.
                let name = entry.name.as_bytes();
                let size = entry.holders.list().last().map(|holder| holder.size);
                black_box((name.first().copied(), name.last().copied(), size));
            }
        }
    }

    /// Adds a file, or replaces what its node had under the name. Returns false
    /// if that would be more than the node may have.
    pub(super) fn share(&mut self, name: &FileName<'_>, holder: Holder, quota: Quota) -> bool {
        let name = name.as_str();
        let known = self.entries.find(name);
        let share = self.shares.entry(holder.node).or_default();
        if known.is_none_or(|id| !share.names.contains(&id)) {
            let bytes = share.bytes + name.len() as u64;
            let is_full = share.names.len() as u64 >= quota.files || bytes > quota.bytes;
            if is_full || self.files >= quota.all {
                return false;
            }
            share.bytes = bytes;
        }
        let id = match known {
            Some(id) => {
                let holders = &mut self.entries[id].holders;
                let was = holders.is_ambiguous();
                holders.put(holder);
                let is = holders.is_ambiguous();
                self.ambiguous = self.ambiguous + usize::from(is) - usize::from(was);
                id
            }
            None => self.add(name, holder),
        };
        let share = self.shares.entry(holder.node).or_default();
        self.files += u64::from(share.names.insert(id));
        true
    }

    /// Takes a node's file out. Returns false if it had none of that name.
    pub(super) fn unshare(&mut self, node: SlotId, name: &FileName<'_>) -> bool {
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
        self.files -= 1;
        self.remove_holder(id, node);
        true
    }

    /// Takes out at most so many files of a node that is gone. Returns how many
    /// that were.
    pub(super) fn forget(&mut self, node: SlotId, at_most: usize) -> usize {
        let Some(share) = self.shares.get_mut(&node) else {
            return 0;
        };
        let ids: Vec<NameId> = share.names.iter().copied().take(at_most).collect();
        for id in &ids {
            share.names.remove(id);
        }
        self.files -= ids.len() as u64;
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
        let was = entry.holders.is_ambiguous();
        if entry.holders.remove(node) {
            let is = entry.holders.is_ambiguous();
            self.ambiguous = self.ambiguous + usize::from(is) - usize::from(was);
            return;
        }
        let entries = &self.entries;
        let name_of = |id: NameId| &*entries[id].name;
        self.pages.remove(name_of(id), name_of);
        self.entries.remove(id);
    }
}
