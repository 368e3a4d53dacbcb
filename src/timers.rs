//! Deadlines in order: set, clear, find the next, take those that are due.
//!
//! Thousands of timers of a server run equally long, such as the leases or the
//! idle limits. Deadlines of one kind are therefore set nearly in order, and a
//! sorted list that is searched from its end sets, moves and clears a deadline in
//! constant time. Each [`TimerKind`] has a list of its own. A key has at most one
//! deadline, of one kind.
//!
//! Some deadlines come in no order, such as the leases that a relay reads from its
//! registry when it starts. One whose place is more than `MAX_STEPS` from the end of
//! its list is kept in a tree, in logarithmic time.

use std::collections::BTreeSet;
use std::hint::black_box;
use std::time::{Duration, Instant};

/// A kind of deadline, from 0 on.
pub type TimerKind = u8;

/// Initial capacity in keys. An allocation of this size grows by moving pages, not
/// by copying them and fragmenting the heap (malloc(3), M_MMAP_THRESHOLD).
const INITIAL_KEYS: usize = 16 * 1024;
/// Deadlines of a list that are passed over in search of a place. Each may be in a cache line
/// of its own; a tree costs about as much.
const MAX_STEPS: usize = 16;
/// The kind of a key without a deadline: the highest that fits beside [`DUE_BITS`].
const UNSET: TimerKind = 15;
/// Bits of a deadline's nanoseconds, enough for 36 years.
const DUE_BITS: u32 = 60;

/// Deadlines of keys that are small numbers, such as the keys of a slab.
pub struct Timers {
    /// Deadlines are stored as nanoseconds after this time.
    origin: Instant,
    /// The number of kinds.
    kinds: usize,
    /// For each kind, the head of a circular list of its deadlines in order. Behind the
    /// heads, for each key, its place in a list. A deadline in `unordered` has no neighbours:
    /// both are the entry itself.
    entries: Vec<TimerEntry>,
    /// Deadlines of all kinds that came in no order, and the index of their entries.
    unordered: BTreeSet<(u64, u32)>,
}

#[derive(Clone, Copy)]
struct TimerEntry {
    deadline: Deadline,
    previous: u32,
    next: u32,
}

/// A kind and a time in one number: there may be a million deadlines.
#[derive(Clone, Copy)]
struct Deadline(u64);

impl Deadline {
    fn new(kind: TimerKind, due: u64) -> Self {
        Self(u64::from(kind) << DUE_BITS | due)
    }

    fn kind(self) -> TimerKind {
        // The remaining four bits.
        (self.0 >> DUE_BITS) as TimerKind
    }

    /// Nanoseconds after the origin.
    fn due(self) -> u64 {
        self.0 & ((1 << DUE_BITS) - 1)
    }
}

impl Timers {
    /// Makes timers of at most 15 kinds. No deadline may be before `origin`.
    #[must_use]
    pub fn new(origin: Instant, kinds: TimerKind) -> Self {
        let mut entries = Vec::with_capacity(INITIAL_KEYS);
        // A head is before every deadline of its list.
        entries.extend((0..kinds).map(|kind| TimerEntry {
            deadline: Deadline::new(kind, 0),
            previous: kind.into(),
            next: kind.into(),
        }));
        Self {
            origin,
            kinds: kinds.into(),
            entries,
            unordered: BTreeSet::new(),
        }
    }

    /// Sets the deadline of `key` and replaces an earlier one.
    pub fn set(&mut self, key: usize, kind: TimerKind, due: Instant) {
        self.clear(key);
        let index = self.kinds + key;
        if index >= self.entries.len() {
            let unset = TimerEntry {
                deadline: Deadline::new(UNSET, 0),
                previous: 0,
                next: 0,
            };
            self.entries.resize(index + 1, unset);
        }
        let due = self.nanos(due);
        let deadline = Deadline::new(kind, due);
        // A slab of connections or nodes never has 2^32 entries.
        let place = index as u32;
        let Some(previous) = self.predecessor(kind, due) else {
            self.unordered.insert((due, place));
            self.entries[index] = TimerEntry {
                deadline,
                previous: place,
                next: place,
            };
            return;
        };
        let next = self.entries[previous as usize].next;
        self.entries[index] = TimerEntry {
            deadline,
            previous,
            next,
        };
        self.entries[previous as usize].next = place;
        self.entries[next as usize].previous = place;
    }

    /// The entry in the list of `kind` after which a deadline belongs, if it is near the end.
    fn predecessor(&self, kind: TimerKind, due: u64) -> Option<u32> {
        let mut previous = self.entries[usize::from(kind)].previous;
        for _ in 0..MAX_STEPS {
            let entry = &self.entries[previous as usize];
            // The head of a list is not after any deadline.
            if entry.deadline.due() <= due {
                return Some(previous);
            }
            previous = entry.previous;
        }
        None
    }

    /// Loads the entries that [`Timers::set`] of these keys reads into the CPU cache,
    /// all at once.
    pub fn prefetch(&self, keys: impl Iterator<Item = usize>) {
        for entry in keys.filter_map(|key| self.entries.get(self.kinds + key)) {
            let neighbour = |index: u32| self.entries[index as usize].next;
            black_box((neighbour(entry.previous), neighbour(entry.next)));
        }
    }

    /// Removes the deadline of `key`, if it has one.
    pub fn clear(&mut self, key: usize) {
        if self.kind(key).is_none() {
            return;
        }
        let index = self.kinds + key;
        let unset = Deadline::new(UNSET, 0);
        let entry = &mut self.entries[index];
        let deadline = std::mem::replace(&mut entry.deadline, unset);
        let (previous, next) = (entry.previous, entry.next);
        if next as usize == index {
            self.unordered.remove(&(deadline.due(), next));
        } else {
            self.entries[previous as usize].next = next;
            self.entries[next as usize].previous = previous;
        }
    }

    /// The kind of the deadline of `key`, if it has one.
    #[must_use]
    pub fn kind(&self, key: usize) -> Option<TimerKind> {
        let kind = self.entries.get(self.kinds + key)?.deadline.kind();
        (kind != UNSET).then_some(kind)
    }

    /// The deadline of `key`, if it has one.
    #[must_use]
    pub fn due(&self, key: usize) -> Option<Instant> {
        self.kind(key)?;
        let due = self.entries[self.kinds + key].deadline.due();
        Some(self.origin + Duration::from_nanos(due))
    }

    /// The earliest deadline.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        let (due, _) = self.earliest()?;
        Some(self.origin + Duration::from_nanos(due))
    }

    /// Removes the earliest deadline if it is not after `now`, and returns its key.
    pub fn take_due(&mut self, now: Instant) -> Option<usize> {
        let now = self.nanos(now);
        let (_, key) = self.earliest().filter(|(due, _)| *due <= now)?;
        self.clear(key);
        Some(key)
    }

    /// The earliest deadline, with its key.
    fn earliest(&self) -> Option<(u64, usize)> {
        let firsts = self.entries[..self.kinds].iter().filter_map(|head| {
            let first = head.next as usize;
            // The head of an empty list is followed by itself.
            let key = first.checked_sub(self.kinds)?;
            Some((self.entries[first].deadline.due(), key))
        });
        let unordered = self.unordered.first();
        let unordered = unordered.map(|(due, index)| (*due, *index as usize - self.kinds));
        firsts.chain(unordered).min()
    }

    fn nanos(&self, at: Instant) -> u64 {
        let nanos = at.saturating_duration_since(self.origin).as_nanos() as u64;
        nanos.min((1 << DUE_BITS) - 1)
    }
}
