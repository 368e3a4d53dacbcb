//! A registered node, as the directory keeps it.

use std::collections::BTreeMap;
use std::net::IpAddr;

use crate::protocol::{NodeAddress, NodeItem};
use crate::relay::table::{Keyed, SlotId};
use crate::tls::KeyId;

/// The number of a block of the list of nodes. Later blocks have higher numbers.
pub(super) type BlockNumber = u32;

/// A node.
pub(super) struct NodeEntry {
    pub(super) address: NodeAddress,
    /// The address that registered the node; only this address may unregister it, unless the
    /// node has a key.
    pub(super) source: IpAddr,
    /// The number of the registration that created the entry: its position in the list.
    pub(super) first_registration: u64,
    /// The newest registration that announced files; older connections are stale.
    pub(super) last_announcer: u32,
    /// Its block of the list.
    pub(super) block: BlockNumber,
    pub(super) is_live: bool,
    pub(super) has_key: bool,
}

/// How far a number may be behind the newest one: numbers of 32 bits wrap around, and a larger
/// distance would soon look like the future (RFC 1982).
pub(super) const MAX_NUMBER_DISTANCE: u32 = 1 << 30;

impl NodeEntry {
    /// Registers the node again. `number` is the newest one.
    pub(super) fn renew(&mut self, source: IpAddr, number: u64) {
        self.source = source;
        let number = number as u32;
        if number.wrapping_sub(self.last_announcer) > MAX_NUMBER_DISTANCE {
            self.last_announcer = number.wrapping_sub(MAX_NUMBER_DISTANCE);
        }
    }

    /// The entry of this slot in a list.
    pub(super) fn item(&self, slot: SlotId, ids: &BTreeMap<SlotId, KeyId>) -> NodeItem {
        NodeItem {
            address: self.address,
            id: match self.has_key {
                true => ids.get(&slot).copied(),
                false => None,
            },
        }
    }
}

impl Keyed for NodeEntry {
    type Key = NodeAddress;

    fn key(&self) -> &NodeAddress {
        &self.address
    }
}
