//! A slab of entries with a hash index over a key inside each entry. The key is
//! stored once, so that a million entries stay small.
//!
//! The index has many shards, each a hash table of its own. A hash table that grows moves
//! all of its entries at once: in one table of millions, nobody would be answered
//! meanwhile.

use std::hash::{BuildHasher, Hash, RandomState};
use std::ops::{Index, IndexMut};

use hashbrown::HashTable;
use slab::Slab;

/// The shards of the index: one of ten million entries moves ten thousand at once.
const SHARDS: usize = 1024;

/// An entry that contains its own key. The key must not change.
pub(super) trait Keyed {
    type Key: Hash + Eq + ?Sized;

    fn key(&self) -> &Self::Key;
}

/// The number of an entry. It is reused after the entry is removed.
pub(super) type SlotId = u32;

/// The hash of a key in one table.
#[derive(Clone, Copy)]
pub(super) struct KeyHash(u64);

/// Entries by slot and by key.
pub(super) struct Table<T> {
    entries: Slab<T>,
    /// The slots by the hash of the key; see [`shard`].
    by_key: Box<[HashTable<SlotId>]>,
    /// Number of slots in all shards.
    keys: usize,
    /// Randomly keyed: the keys come from the network.
    hasher: RandomState,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            entries: Slab::new(),
            by_key: (0..SHARDS).map(|_| HashTable::new()).collect(),
            keys: 0,
            hasher: RandomState::new(),
        }
    }
}

impl<T: Keyed> Table<T> {
    /// Number of entries that can be found by key.
    pub(super) fn len(&self) -> usize {
        self.keys
    }

    /// For [`Table::find_hashed`] and [`Table::insert_hashed`].
    pub(super) fn hash(&self, key: &T::Key) -> KeyHash {
        KeyHash(self.hasher.hash_one(key))
    }

    pub(super) fn find(&self, key: &T::Key) -> Option<SlotId> {
        self.find_hashed(self.hash(key), key)
    }

    pub(super) fn find_hashed(&self, KeyHash(hash): KeyHash, key: &T::Key) -> Option<SlotId> {
        let is_match = |slot: &SlotId| self[*slot].key() == key;
        self.by_key[shard(hash)].find(hash, is_match).copied()
    }

    /// Loads the memory that [`Table::find`] reads for these keys into the CPU cache.
    /// Returns the probable slots; each may be wrong.
    pub(super) fn prefetch<'a>(&self, keys: impl Iterator<Item = &'a T::Key>) -> Vec<SlotId>
    where
        T::Key: 'a,
    {
        // All hashes first, so that the memory accesses of the probes overlap.
        let hashes: Vec<u64> = keys.map(|key| self.hasher.hash_one(key)).collect();
        let probe = |hash: u64| self.by_key[shard(hash)].find(hash, |_| true).copied();
        hashes.into_iter().filter_map(probe).collect()
    }

    /// Adds an entry whose key is not in the table.
    pub(super) fn insert(&mut self, entry: T) -> SlotId {
        let hash = self.hash(entry.key());
        self.insert_hashed(hash, entry)
    }

    /// As [`Table::insert`], with the hash of the key.
    pub(super) fn insert_hashed(&mut self, KeyHash(hash): KeyHash, entry: T) -> SlotId {
        let slot = self.entries.insert(entry) as SlotId;
        let Self {
            entries, hasher, ..
        } = self;
        self.by_key[shard(hash)].insert_unique(hash, slot, |slot| {
            hasher.hash_one(entries[*slot as usize].key())
        });
        self.keys += 1;
        slot
    }

    /// Removes the entry from the key index; it stays accessible by its slot.
    pub(super) fn remove_key(&mut self, slot: SlotId) {
        let hash = self.hasher.hash_one(self[slot].key());
        let found = self.by_key[shard(hash)].find_entry(hash, |other| *other == slot);
        if let Ok(occupied) = found {
            occupied.remove();
            self.keys -= 1;
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

/// The index of the shard for a hash. Within a shard, hashbrown uses the lowest and the
/// highest bits.
fn shard(hash: u64) -> usize {
    (hash >> 32) as usize % SHARDS
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
