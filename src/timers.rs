//! Deadlines, in order: set, clear, next, take what is due.
//!
//! A server waits for thousands of things that all take equally long: every
//! lease, every idle connection. Deadlines of one kind therefore arrive nearly
//! in order, and a sorted list that is searched from its end sets, moves and
//! clears one in constant time. Each kind is a [`TimerKind`]; a key has at most one
//! deadline, in one lane.

use std::hint::black_box;
use std::time::{Duration, Instant};

/// A kind of deadline: the number of its list.
pub type TimerKind = u8;

/// Keys for which there is room from the start: beyond it the table grows by
/// moving pages, not by copying and leaving holes behind (malloc(3), M_MMAP_THRESHOLD).
const FIRST_KEYS: usize = 16 * 1024;
/// No entry: the end of a list.
const NONE: u32 = u32::MAX;
/// The lane of a key without a deadline: what is left for it beside [`DUE_BITS`].
const UNSET: TimerKind = 15;
/// Bits of a deadline's nanoseconds: they last for 36 years.
const DUE_BITS: u32 = 60;

/// Deadlines of things that are known by small numbers, such as the keys of a slab.
pub struct Timers {
    /// Deadlines are kept as nanoseconds after this.
    origin: Instant,
    lanes: Vec<List>,
    entries: Vec<TimerEntry>,
}

#[derive(Clone, Copy)]
struct List {
    first: u32,
    last: u32,
}

#[derive(Clone, Copy)]
struct TimerEntry {
    deadline: Deadline,
    previous: u32,
    next: u32,
}

/// A lane and a time in one number, since there may be a million of them.
#[derive(Clone, Copy)]
struct Deadline(u64);

impl Deadline {
    const NONE: Self = Self((UNSET as u64) << DUE_BITS);

    fn new(lane: TimerKind, due: u64) -> Self {
        Self(u64::from(lane) << DUE_BITS | due)
    }

    fn lane(self) -> TimerKind {
        // Four bits are left.
        (self.0 >> DUE_BITS) as TimerKind
    }

    /// Nanoseconds after the origin.
    fn due(self) -> u64 {
        self.0 & ((1 << DUE_BITS) - 1)
    }
}

impl Timers {
    /// No deadlines yet, in at most 15 lanes; `origin` is not later than any to come.
    #[must_use]
    pub fn new(origin: Instant, lanes: TimerKind) -> Self {
        let empty = List {
            first: NONE,
            last: NONE,
        };
        Self {
            origin,
            lanes: vec![empty; usize::from(lanes)],
            entries: Vec::with_capacity(FIRST_KEYS),
        }
    }

    /// Sets the deadline of `key`; an earlier one is forgotten.
    pub fn set(&mut self, key: usize, lane: TimerKind, due: Instant) {
        self.clear(key);
        if key >= self.entries.len() {
            let unset = TimerEntry {
                deadline: Deadline::NONE,
                previous: NONE,
                next: NONE,
            };
            self.entries.resize(key + 1, unset);
        }
        let due = self.nanos(due);
        let mut previous = self.lanes[usize::from(lane)].last;
        while previous != NONE && self.entries[previous as usize].deadline.due() > due {
            previous = self.entries[previous as usize].previous;
        }
        let next = match previous {
            NONE => self.lanes[usize::from(lane)].first,
            previous => self.entries[previous as usize].next,
        };
        self.entries[key] = TimerEntry {
            deadline: Deadline::new(lane, due),
            previous,
            next,
        };
        self.join(lane, previous, Some(key), next);
    }

    /// Brings what [`Timers::set`] will look at into the processor's cache, for all
    /// these keys at once.
    pub fn prefetch(&self, keys: impl Iterator<Item = usize>) {
        for entry in keys.filter_map(|key| self.entries.get(key)) {
            let neighbour = |key: u32| self.entries.get(key as usize).map(|entry| entry.next);
            black_box((neighbour(entry.previous), neighbour(entry.next)));
        }
    }

    /// Forgets the deadline of `key`, if it has one.
    pub fn clear(&mut self, key: usize) {
        let Some(entry) = self.entries.get_mut(key) else {
            return;
        };
        let TimerEntry {
            deadline,
            previous,
            next,
        } = *entry;
        if deadline.lane() != UNSET {
            entry.deadline = Deadline::NONE;
            self.join(deadline.lane(), previous, None, next);
        }
    }

    /// The lane in which `key` waits.
    #[must_use]
    pub fn lane(&self, key: usize) -> Option<TimerKind> {
        let lane = self.entries.get(key)?.deadline.lane();
        (lane != UNSET).then_some(lane)
    }

    /// The earliest deadline of all.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        let due = self.firsts().map(|(due, _)| due).min()?;
        Some(self.origin + Duration::from_nanos(due))
    }

    /// Takes out one key whose deadline is not after `now`, the earliest first.
    pub fn take_due(&mut self, now: Instant) -> Option<usize> {
        let now = self.nanos(now);
        let (_, key) = self.firsts().filter(|(due, _)| *due <= now).min()?;
        self.clear(key);
        Some(key)
    }

    /// The first deadline of each lane.
    fn firsts(&self) -> impl Iterator<Item = (u64, usize)> {
        self.lanes
            .iter()
            .filter(|list| list.first != NONE)
            .map(|list| {
                let key = list.first as usize;
                (self.entries[key].deadline.due(), key)
            })
    }

    /// Makes `previous`, perhaps `key`, and `next` neighbours.
    fn join(&mut self, lane: TimerKind, previous: u32, key: Option<usize>, next: u32) {
        // A slab of connections or nodes never has four thousand million entries.
        let key = key.map(|key| key as u32);
        let list = &mut self.lanes[usize::from(lane)];
        let after = key.unwrap_or(next);
        match previous {
            NONE => list.first = after,
            previous => self.entries[previous as usize].next = after,
        }
        let before = key.unwrap_or(previous);
        match next {
            NONE => list.last = before,
            next => self.entries[next as usize].previous = before,
        }
    }

    fn nanos(&self, at: Instant) -> u64 {
        let nanos = at.saturating_duration_since(self.origin).as_nanos() as u64;
        nanos.min((1 << DUE_BITS) - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    #[test]
    fn the_earliest_comes_first_whatever_its_lane() {
        let origin = Instant::now();
        let at = |seconds| origin + Duration::from_secs(seconds);
        let mut timers = Timers::new(origin, 2);
        timers.set(7, 0, at(30));
        timers.set(3, 1, at(10));
        timers.set(4, 0, at(20));
        assert_eq!(timers.next(), Some(at(10)));
        assert_eq!(timers.take_due(at(9)), None);
        assert_eq!(timers.take_due(at(25)), Some(3));
        assert_eq!(timers.take_due(at(25)), Some(4));
        assert_eq!(timers.take_due(at(25)), None);
        assert_eq!(timers.lane(7), Some(0));
        timers.clear(7);
        assert_eq!(timers.next(), None);
    }

    proptest! {
        #[test]
        fn they_equal_a_table_of_deadlines(
            steps in prop::collection::vec((0_usize..8, 0_u8..3, 0_u64..50, any::<bool>()), 0..200)
        ) {
            let origin = Instant::now();
            let mut timers = Timers::new(origin, 3);
            let mut model: HashMap<usize, u64> = HashMap::new();
            for (key, lane, seconds, set) in steps {
                if set {
                    timers.set(key, lane, origin + Duration::from_secs(seconds));
                    model.insert(key, seconds);
                } else {
                    let now = origin + Duration::from_secs(seconds / 4);
                    match timers.take_due(now) {
                        Some(due) => {
                            let at = model.remove(&due).expect("it was set");
                            prop_assert!(at <= seconds / 4);
                            prop_assert!(model.values().all(|other| *other >= at));
                        }
                        None => prop_assert!(model.values().all(|at| *at > seconds / 4)),
                    }
                }
                let next = model.values().min().map(|s| origin + Duration::from_secs(*s));
                prop_assert_eq!(timers.next(), next);
            }
        }
    }
}
