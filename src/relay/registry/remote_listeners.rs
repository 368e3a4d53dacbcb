//! The listeners of other relays.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use crate::protocol::NodeAddress;
use crate::relay::registry::InstanceId;

/// A relay that published nothing for this long is gone, and its listeners with it.
const MAX_SILENCE: Duration = Duration::from_secs(10);

/// The most listeners of other relays: as many as connections of many relays.
const MAX_LISTENERS: usize = 1_000_000;

/// The other relays, and where their listeners are.
#[derive(Default)]
pub(super) struct RemoteListeners {
    by_address: BTreeMap<NodeAddress, InstanceId>,
    relays: HashMap<InstanceId, OtherRelay>,
}

struct OtherRelay {
    last_seen: Instant,
    /// None until the first batch.
    last_number: Option<u64>,
}

impl RemoteListeners {
    /// A relay has published its batch of this number, or it has listeners. Returns false
    /// if batches before this one were missed.
    pub(super) fn on_batch(
        &mut self,
        relay: InstanceId,
        number: Option<u64>,
        now: Instant,
    ) -> bool {
        let other = self.relays.entry(relay).or_insert(OtherRelay {
            last_seen: now,
            last_number: None,
        });
        other.last_seen = now;
        let Some(number) = number else {
            return true;
        };
        // The number is the engine's: any.
        let expected = other.last_number.map(|last| last.wrapping_add(1));
        other.last_number = Some(number);
        number == 1 || expected.is_none_or(|expected| expected == number)
    }

    /// Forgets the numbers of batches: records that were read since are newer.
    pub(super) fn forget_numbers(&mut self) {
        for relay in self.relays.values_mut() {
            relay.last_number = None;
        }
    }

    /// Removes the relays that have been silent for long. Returns their number.
    pub(super) fn remove_silent(&mut self, now: Instant) -> usize {
        let before = self.relays.len();
        self.relays
            .retain(|_, other| now.saturating_duration_since(other.last_seen) <= MAX_SILENCE);
        let removed = before - self.relays.len();
        if removed > 0 {
            self.by_address
                .retain(|_, relay| self.relays.contains_key(relay));
        }
        removed
    }

    /// Adds a listener. Returns false if there is no room.
    pub(super) fn insert(&mut self, address: NodeAddress, relay: InstanceId) -> bool {
        let has_room = self.by_address.len() < MAX_LISTENERS;
        if has_room {
            self.by_address.insert(address, relay);
        }
        has_room
    }

    /// Removes a listener, unless another relay has one there by now.
    pub(super) fn remove(&mut self, address: &NodeAddress, relay: InstanceId) {
        if self.by_address.get(address) == Some(&relay) {
            self.by_address.remove(address);
        }
    }

    pub(super) fn contains(&self, address: &NodeAddress) -> bool {
        self.by_address.contains_key(address)
    }

    /// Forgets the listeners; those that are left follow.
    pub(super) fn clear(&mut self) {
        self.by_address.clear();
    }

    /// Their addresses, in order.
    pub(super) fn addresses(&self) -> impl Iterator<Item = NodeAddress> {
        self.by_address.keys().copied()
    }

    /// The number of other relays.
    pub(super) fn relay_count(&self) -> usize {
        self.relays.len()
    }
}
