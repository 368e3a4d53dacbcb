//! A slab of entries with a hash index over a key inside each entry. The key is
//! stored once, so that a million entries stay small.

use std::hash::{BuildHasher, Hash, RandomState};
use std::ops::{Index, IndexMut};

use hashbrown::HashTable;
use slab::Slab;

/// An entry that contains its own key. The key must not change.
pub(super) trait Keyed {
    type Key: Hash + Eq + ?Sized;

    fn key(&self) -> &Self::Key;
}

/// The number of an entry. It is reused after the entry is removed.
pub(super) type SlotId = u32;

/// Entries by slot and by key.
pub(super) struct Table<T> {
    entries: Slab<T>,
    by_key: HashTable<SlotId>,
    /// Randomly keyed: the keys come from the network.
    hasher: RandomState,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            entries: Slab::new(),
            by_key: HashTable::new(),
            hasher: RandomState::new(),
        }
    }
}

impl<T: Keyed> Table<T> {
    /// Number of entries that can be found by key.
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    pub(super) fn find(&self, key: &T::Key) -> Option<SlotId> {
        let is_match = |slot: &SlotId| self[*slot].key() == key;
        self.by_key
            .find(self.hasher.hash_one(key), is_match)
            .copied()
    }

    /// Loads the memory that [`Table::find`] reads for these keys into the CPU cache.
    /// Returns the probable slots; each may be wrong.
    pub(super) fn prefetch<'a>(&self, keys: impl Iterator<Item = &'a T::Key>) -> Vec<SlotId>
    where
        T::Key: 'a,
    {
        // All hashes first, so that the memory accesses of the probes overlap.
        let hashes: Vec<u64> = keys.map(|key| self.hasher.hash_one(key)).collect();
        let probe = |hash: u64| self.by_key.find(hash, |_| true).copied();
        hashes.into_iter().filter_map(probe).collect()
    }

    /// Adds an entry whose key is not in the table.
    pub(super) fn insert(&mut self, entry: T) -> SlotId {
        let hash = self.hasher.hash_one(entry.key());
        let slot = self.entries.insert(entry) as SlotId;
        let Self {
            entries, hasher, ..
        } = self;
        self.by_key.insert_unique(hash, slot, |slot| {
            hasher.hash_one(entries[*slot as usize].key())
        });
        slot
    }

    /// Removes the entry from the key index; it stays accessible by its slot.
    pub(super) fn remove_key(&mut self, slot: SlotId) {
        let hash = self.hasher.hash_one(self[slot].key());
        if let Ok(occupied) = self.by_key.find_entry(hash, |other| *other == slot) {
            occupied.remove();
        }
    }

    /// Removes an entry, with or without its key.
    pub(super) fn remove(&mut self, slot: SlotId) {
        self.remove_key(slot);
        self.entries.remove(slot as usize);
    }

    pub(super) fn get(&self, slot: SlotId) -> Option<&T> {
        self.entries.get(slot as usize)
    }
}

impl<T> Index<SlotId> for Table<T> {
    type Output = T;

    fn index(&self, slot: SlotId) -> &T {
        &self.entries[slot as usize]
    }
}

impl<T> IndexMut<SlotId> for Table<T> {
    fn index_mut(&mut self, slot: SlotId) -> &mut T {
        &mut self.entries[slot as usize]
    }
}
