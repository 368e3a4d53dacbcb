//! Things that are found by a key and known by a small number: the key lies only
//! in the thing itself, so that a million of them stay small.

use std::hash::{BuildHasher, Hash, RandomState};
use std::ops::{Index, IndexMut};

use hashbrown::HashTable;
use slab::Slab;

/// What is found by a key of its own, which never changes.
pub(super) trait Keyed {
    type Key: Hash + Eq + ?Sized;

    fn key(&self) -> &Self::Key;
}

/// The number of a thing; free again when the thing is removed.
pub(super) type SlotId = u32;

pub(super) struct Table<T> {
    things: Slab<T>,
    by_key: HashTable<SlotId>,
    /// Keyed at random: the keys come from strangers.
    hasher: RandomState,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self {
            things: Slab::new(),
            by_key: HashTable::new(),
            hasher: RandomState::new(),
        }
    }
}

impl<T: Keyed> Table<T> {
    /// How many can be found.
    pub(super) fn len(&self) -> usize {
        self.by_key.len()
    }

    pub(super) fn find(&self, key: &T::Key) -> Option<SlotId> {
        let is_it = |place: &SlotId| self[*place].key() == key;
        self.by_key.find(self.hasher.hash_one(key), is_it).copied()
    }

    /// Brings what [`Table::find`] will look at into the processor's cache, for all
    /// these keys at once. Returns where they seem to be: each place may be wrong.
    pub(super) fn prefetch<'a>(&self, keys: impl Iterator<Item = &'a T::Key>) -> Vec<SlotId>
    where
        T::Key: 'a,
    {
        // Step by step, so that no look-up waits in another's way.
        let hashes: Vec<u64> = keys.map(|key| self.hasher.hash_one(key)).collect();
        let probe = |hash: u64| self.by_key.find(hash, |_| true).copied();
        hashes.into_iter().filter_map(probe).collect()
    }

    /// Adds a thing whose key is new.
    pub(super) fn insert(&mut self, thing: T) -> SlotId {
        let hash = self.hasher.hash_one(thing.key());
        let place = self.things.insert(thing) as SlotId;
        let Self { things, hasher, .. } = self;
        self.by_key.insert_unique(hash, place, |place| {
            hasher.hash_one(things[*place as usize].key())
        });
        place
    }

    /// From now on it is known by its place only.
    pub(super) fn hide(&mut self, place: SlotId) {
        let hash = self.hasher.hash_one(self[place].key());
        if let Ok(entry) = self.by_key.find_entry(hash, |other| *other == place) {
            entry.remove();
        }
    }

    /// Takes a thing out, found by its key or hidden.
    pub(super) fn remove(&mut self, place: SlotId) {
        self.hide(place);
        self.things.remove(place as usize);
    }

    pub(super) fn get(&self, place: SlotId) -> Option<&T> {
        self.things.get(place as usize)
    }
}

impl<T> Index<SlotId> for Table<T> {
    type Output = T;

    fn index(&self, place: SlotId) -> &T {
        &self.things[place as usize]
    }
}

impl<T> IndexMut<SlotId> for Table<T> {
    fn index_mut(&mut self, place: SlotId) -> &mut T {
        &mut self.things[place as usize]
    }
}
