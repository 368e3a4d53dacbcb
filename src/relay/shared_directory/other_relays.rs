//! The other relays that share the directory: whether they are there, and whether all that
//! they have published has arrived.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::relay::shared_directory::InstanceId;

/// A relay that published nothing for this long is gone, and its listeners with it.
const MAX_SILENCE: Duration = Duration::from_secs(10);

/// A relay that published nothing for this long may be gone: it publishes each second.
const MAX_PAUSE: Duration = Duration::from_secs(3);

#[derive(Default)]
pub(super) struct OtherRelays {
    relays: HashMap<InstanceId, OtherRelay>,
}

struct OtherRelay {
    last_seen: Instant,
    /// None until the first batch.
    last_number: Option<u64>,
}

impl OtherRelays {
    /// A relay is there.
    pub(super) fn on_sign_of_life(&mut self, relay: InstanceId, now: Instant) {
        self.entry(relay, now);
    }

    /// A relay has published its batch of this number. Returns false if batches before this
    /// one were missed.
    pub(super) fn on_batch(&mut self, relay: InstanceId, number: u64, now: Instant) -> bool {
        let last = self.entry(relay, now).last_number.replace(number);
        // The number is the engine's: any.
        let expected = last.map(|last| last.wrapping_add(1));
        number == 1 || expected.is_none_or(|expected| expected == number)
    }

    fn entry(&mut self, relay: InstanceId, now: Instant) -> &mut OtherRelay {
        let other = self.relays.entry(relay).or_insert(OtherRelay {
            last_seen: now,
            last_number: None,
        });
        other.last_seen = now;
        other
    }

    /// Forgets the numbers of batches: records that were read since are newer.
    pub(super) fn forget_numbers(&mut self) {
        for relay in self.relays.values_mut() {
            relay.last_number = None;
        }
    }

    /// Removes the relays that have been silent for long. Returns whether there were some.
    pub(super) fn remove_silent(&mut self, now: Instant) -> bool {
        let before = self.relays.len();
        self.relays
            .retain(|_, other| now.saturating_duration_since(other.last_seen) <= MAX_SILENCE);
        self.relays.len() < before
    }

    /// Whether this relay has published something lately. Listeners in the engine are no sign of
    /// that: they stay for a while when their relay is gone.
    pub(super) fn is_alive(&self, relay: InstanceId, now: Instant) -> bool {
        let is_recent = |at| now.saturating_duration_since(at) <= MAX_PAUSE;
        self.relays
            .get(&relay)
            .is_some_and(|other| other.last_number.is_some() && is_recent(other.last_seen))
    }

    /// Whether this relay is one of them.
    pub(super) fn contains(&self, relay: InstanceId) -> bool {
        self.relays.contains_key(&relay)
    }

    /// Their number.
    pub(super) fn len(&self) -> usize {
        self.relays.len()
    }
}
