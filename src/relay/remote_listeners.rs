//! At which addresses other relays have listeners, and which one is the latest. Those that end
//! together leave in bounded steps.

use std::collections::BTreeMap;

use crate::protocol::NodeAddress;
use crate::relay::shared_directory::InstanceId;

/// The most listeners of other relays: as many as connections of many relays.
const MAX_REMOTE_LISTENERS: usize = 1_000_000;

/// Several relays may have a listener at the same address, and each ends for itself.
type RemoteListener = (NodeAddress, InstanceId);

/// The listeners of other relays.
#[derive(Default)]
pub(super) struct RemoteListeners {
    /// With the number of insertions before.
    listeners: BTreeMap<RemoteListener, u64>,
    insertions: u64,
    /// Those that have ended all at once, and whose addresses are still listed.
    ended: Vec<BTreeMap<RemoteListener, u64>>,
    /// The next one of which to check whether its relay is gone.
    next_check: Option<RemoteListener>,
}

impl RemoteListeners {
    /// Returns false if there is no room.
    pub(super) fn insert(&mut self, address: NodeAddress, relay: InstanceId) -> bool {
        let has_room = self.listeners.len() < MAX_REMOTE_LISTENERS;
        if has_room {
            self.listeners.insert((address, relay), self.insertions);
            self.insertions += 1;
        }
        has_room
    }

    pub(super) fn remove(&mut self, address: &NodeAddress, relay: InstanceId) {
        self.listeners.remove(&(*address, relay));
    }

    /// Whether there is one at this address.
    pub(super) fn contains(&self, address: &NodeAddress) -> bool {
        self.at(address).next().is_some()
    }

    /// The relay of the latest listener at this address. One at a relay that `is_alive` comes
    /// before others.
    pub(super) fn latest(
        &self,
        address: &NodeAddress,
        is_alive: impl Fn(InstanceId) -> bool,
    ) -> Option<InstanceId> {
        let listeners = self.at(address);
        listeners
            .max_by_key(|(relay, number)| (is_alive(*relay), *number))
            .map(|(relay, _)| relay)
    }

    /// The listeners at this address: their relays and numbers.
    fn at(&self, address: &NodeAddress) -> impl Iterator<Item = (InstanceId, u64)> {
        let all_relays = (*address, InstanceId(0))..=(*address, InstanceId(u64::MAX));
        let listeners = self.listeners.range(all_relays);
        listeners.map(|((_, relay), number)| (*relay, *number))
    }

    /// All of them end.
    pub(super) fn end_all(&mut self) {
        self.ended.push(std::mem::take(&mut self.listeners));
        self.next_check = None;
    }

    /// Some relays are gone: [`RemoteListeners::remove_ended`] removes their listeners.
    pub(super) fn check_relays(&mut self) {
        self.next_check = self.listeners.keys().next().copied();
    }

    /// Whether there is work for [`RemoteListeners::remove_ended`].
    pub(super) fn have_ended(&self) -> bool {
        !self.ended.is_empty() || self.next_check.is_some()
    }

    /// Looks at no more than `max` listeners. Returns the addresses of those that have ended.
    pub(super) fn remove_ended(
        &mut self,
        max: usize,
        is_there: impl Fn(InstanceId) -> bool,
    ) -> Vec<NodeAddress> {
        let mut removed = Vec::new();
        while removed.len() < max
            && let Some(last) = self.ended.last_mut()
        {
            match last.pop_first() {
                Some(((address, _), _)) => removed.push(address),
                None => _ = self.ended.pop(),
            }
        }
        if let Some(next) = self.next_check {
            let room = max - removed.len();
            let rest = self.listeners.range(next..);
            let rest = rest.map(|(listener, _)| *listener);
            let mut checked: Vec<RemoteListener> = rest.take(room + 1).collect();
            self.next_check = (checked.len() > room).then(|| checked.pop()).flatten();
            checked.retain(|(_, relay)| !is_there(*relay));
            for listener in checked {
                self.listeners.remove(&listener);
                removed.push(listener.0);
            }
        }
        removed
    }
}
