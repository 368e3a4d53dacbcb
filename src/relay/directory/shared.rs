//! What a registry does to the directory: it changes entries that other relays have accepted.

use std::time::Instant;

use crate::protocol::NodeAddress;
use crate::relay::directory::{Directory, REMOTE_LEASE};
use crate::relay::node_entry::MAX_NUMBER_DISTANCE;
use crate::relay::registrant::Registrant;
use crate::relay::table::SlotId;
use crate::tls::KeyId;

impl Directory {
    /// The slot of a live node.
    pub(in crate::relay) fn find(&self, address: &NodeAddress) -> Option<SlotId> {
        self.nodes.find(address)
    }

    /// The address of a live node.
    pub(in crate::relay) fn live_address(&self, slot: SlotId) -> Option<NodeAddress> {
        self.live_node(slot).map(|node| node.address)
    }

    /// Who registered a node.
    pub(in crate::relay) fn registrant(&self, slot: SlotId) -> Registrant {
        Registrant {
            source: self.nodes[slot].source,
            key: self.ids.get(&slot).copied(),
        }
    }

    /// Whether a node has shown a key, and this is not it.
    pub(in crate::relay) fn has_other_key(&self, slot: SlotId, key: Option<KeyId>) -> bool {
        self.nodes[slot].has_key && self.ids.get(&slot) != key.as_ref()
    }

    /// Changes who registered a node.
    pub(in crate::relay) fn set_registrant(&mut self, slot: SlotId, by: Registrant) {
        let is_other_key = self.ids.get(&slot) != by.key.as_ref();
        let node = &mut self.nodes[slot];
        node.source = by.source;
        node.has_key = by.key.is_some();
        match by.key {
            Some(key) => _ = self.ids.insert(slot, key),
            None => _ = self.ids.remove(&slot),
        }
        if is_other_key {
            let block = self.nodes[slot].block;
            self.list.forget_lines(block);
        }
    }

    /// Changes when the lease of a node ends, because another relay has renewed it.
    pub(in crate::relay) fn set_lease(&mut self, slot: SlotId, end: Instant) {
        // A record that only repeats the end leaves the lease among those of this relay.
        if self.leases.due(slot as usize) != Some(end) {
            self.leases.set(slot as usize, REMOTE_LEASE, end);
        }
    }

    /// Lets each connection of a node announce its files, whatever the number of its
    /// registration: the entry is younger than the connection.
    pub(in crate::relay) fn admit_any_announcer(&mut self, slot: SlotId) {
        let node = &mut self.nodes[slot];
        node.last_announcer = (node.first_registration as u32).wrapping_sub(MAX_NUMBER_DISTANCE);
    }
}
