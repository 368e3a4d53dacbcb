//! The directory of registered nodes. An entry lives as long as its lease.

mod shared;

use std::collections::BTreeMap;
use std::hint::black_box;
use std::net::IpAddr;
use std::time::Instant;

use crate::protocol::{NodeAddress, NodeItem, address_group};
use crate::relay::node_entry::NodeEntry;
use crate::relay::node_list::NodeList;
use crate::relay::registrant::{DirectoryError, Registrant};
use crate::relay::table::{Keyed, SlotId, Table};
use crate::session::line_codec::RenderedList;
use crate::timers::{TimerKind, Timers};
use crate::tls::KeyId;

/// All leases have the same length: one timer kind holds them in order of expiry.
const LEASE: TimerKind = 0;
/// Those that other relays renew end a little later, in an order of their own.
const REMOTE_LEASE: TimerKind = 1;

/// The nodes, in the order in which this relay learned of them.
pub(super) struct Directory {
    /// Also departed nodes until their files are removed; `find` does not see these.
    nodes: Table<NodeEntry>,
    /// The keys of the live nodes that have shown one. A tree, because a large hash table
    /// would take long to grow.
    ids: BTreeMap<SlotId, KeyId>,
    /// Nodes that left and whose files may still be in the index.
    departed: Vec<SlotId>,
    addresses: Table<AddressNodes>,
    leases: Timers,
    list: NodeList,
    loopback_nodes: usize,
}

/// An address with at least one node.
struct AddressNodes {
    /// See [`address_group`].
    group: IpAddr,
    nodes: u32,
}

impl Keyed for AddressNodes {
    type Key = IpAddr;

    fn key(&self) -> &IpAddr {
        &self.group
    }
}

impl Directory {
    /// An empty directory. All its deadlines are later than `now`.
    #[must_use]
    pub(super) fn new(now: Instant) -> Self {
        Self {
            nodes: Table::default(),
            ids: BTreeMap::new(),
            departed: Vec::new(),
            addresses: Table::default(),
            leases: Timers::new(now, 2),
            list: NodeList::default(),
            loopback_nodes: 0,
        }
    }

    /// Number of nodes visible to clients on loopback, or to others.
    #[must_use]
    pub(super) fn len(&self, on_loopback: bool) -> usize {
        if on_loopback {
            self.nodes.len()
        } else {
            self.nodes.len() - self.loopback_nodes
        }
    }

    /// Whether a node is registered at this address.
    pub(super) fn has_nodes_of(&self, ip: IpAddr) -> bool {
        self.addresses.find(&address_group(ip)).is_some()
    }

    /// Adds a node with a lease until `end`, or renews its lease. `number` is the
    /// serial number of this registration. A node that shows its key for the first time is a
    /// new one: what was announced without the key is not announced by the node.
    ///
    /// # Errors
    /// [`DirectoryError::DirectoryFull`] if the node is new and there are `max` nodes,
    /// [`DirectoryError::AddressFull`] if there are `max_per_address` at its address,
    /// [`DirectoryError::OtherKey`].
    pub(super) fn register(
        &mut self,
        (address, by, number): (NodeAddress, Registrant, u64),
        end: Instant,
        max: usize,
        max_per_address: usize,
    ) -> Result<SlotId, DirectoryError> {
        let slot = match self.nodes.find(&address) {
            Some(slot) if self.has_other_key(slot, by.key) => {
                return Err(DirectoryError::OtherKey);
            }
            Some(slot) if self.nodes[slot].has_key || by.key.is_none() => {
                self.nodes[slot].renew(by.source, number);
                slot
            }
            Some(slot) => {
                self.remove(slot);
                // The limit holds already, or does not hold for the one who added the node.
                self.add(address, by, number, usize::MAX)?
            }
            None if self.nodes.len() >= max => return Err(DirectoryError::DirectoryFull),
            None => self.add(address, by, number, max_per_address)?,
        };
        self.leases.set(slot as usize, LEASE, end);
        Ok(slot)
    }

    /// Loads the memory that [`Directory::register`] reads into the CPU cache.
    pub(super) fn prefetch(&self, addresses: &[NodeAddress]) {
        let slots = self.nodes.prefetch(addresses.iter());
        for slot in &slots {
            black_box(
                self.nodes
                    .get(*slot)
                    .map(|node| (node.address.port(), node.block)),
            );
        }
        self.leases
            .prefetch(slots.into_iter().map(|slot| slot as usize));
    }

    /// The slot of a live node, if `by` may act for it.
    ///
    /// # Errors
    /// [`DirectoryError::UnknownNode`], [`DirectoryError::NotOwner`] or
    /// [`DirectoryError::OtherKey`].
    pub(super) fn owned_slot(
        &self,
        address: &NodeAddress,
        by: Registrant,
    ) -> Result<SlotId, DirectoryError> {
        let slot = self.nodes.find(address);
        let slot = slot.ok_or(DirectoryError::UnknownNode)?;
        let node = &self.nodes[slot];
        match node.has_key {
            true if self.has_other_key(slot, by.key) => Err(DirectoryError::OtherKey),
            false if node.source != by.source => Err(DirectoryError::NotOwner),
            true | false => Ok(slot),
        }
    }

    /// The key of a live node, if it has shown one.
    pub(super) fn id_at(&self, address: &NodeAddress) -> Option<KeyId> {
        self.item(self.nodes.find(address)?).id
    }

    fn item(&self, slot: SlotId) -> NodeItem {
        self.nodes[slot].item(slot, &self.ids)
    }

    /// Claims the node's files for the connection of the registration `number`. Returns
    /// false if a later registration has claimed them: then the connection is stale.
    pub(super) fn claim_files(&mut self, slot: SlotId, number: u64) -> bool {
        let node = &mut self.nodes[slot];
        let number = number as u32;
        // Serial number arithmetic (RFC 1982): the numbers wrap around.
        if number.wrapping_sub(node.last_announcer).cast_signed() > 0 {
            node.last_announcer = number;
        }
        node.last_announcer == number
    }

    /// The number of the registration that created an entry.
    pub(super) fn first_registration(&self, slot: SlotId) -> u64 {
        self.nodes[slot].first_registration
    }

    /// Whether a node is visible to requesters on loopback only.
    pub(super) fn is_on_loopback(&self, slot: SlotId) -> bool {
        self.nodes[slot].address.is_loopback()
    }

    /// Whether the node in a slot has not left.
    pub(super) fn is_live(&self, slot: SlotId) -> bool {
        self.nodes.get(slot).is_some_and(|node| node.is_live)
    }

    /// A node, unless it has left.
    pub(super) fn live_node(&self, slot: SlotId) -> Option<NodeItem> {
        self.is_live(slot).then(|| self.item(slot))
    }

    /// One of the departed nodes.
    pub(super) fn next_departed(&self) -> Option<SlotId> {
        self.departed.last().copied()
    }

    /// Frees the slot of [`Directory::next_departed`], whose files are removed.
    pub(super) fn release_departed(&mut self) {
        if let Some(slot) = self.departed.pop() {
            self.nodes.remove(slot);
        }
    }

    /// The slot of a node, if `by` may remove it: as one that may act for it, or as a trusted
    /// address if the node has no key.
    ///
    /// # Errors
    /// See [`Directory::owned_slot`].
    pub(super) fn removable_slot(
        &self,
        address: &NodeAddress,
        mut by: Registrant,
        is_trusted: bool,
    ) -> Result<SlotId, DirectoryError> {
        if is_trusted && let Some(slot) = self.nodes.find(address) {
            by.source = self.nodes[slot].source;
        }
        self.owned_slot(address, by)
    }

    /// Removes a node, whoever registered it.
    pub(super) fn evict(&mut self, address: &NodeAddress) {
        if let Some(slot) = self.nodes.find(address) {
            self.remove(slot);
        }
    }

    /// When the next lease expires.
    #[must_use]
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.leases.next()
    }

    /// Removes one node whose lease has expired.
    pub(super) fn expire_one(&mut self, now: Instant) -> Option<NodeAddress> {
        let slot = self.leases.take_due(now)?;
        Some(self.remove(slot as SlotId))
    }

    /// The reply to `LIST`.
    pub(super) fn rendered_list(&mut self, on_loopback: bool) -> RenderedList {
        let total = self.len(on_loopback);
        let (nodes, ids) = (&self.nodes, &self.ids);
        self.list
            .reply(on_loopback, total, |slot| nodes[slot].item(slot, ids))
    }

    /// The nodes visible to clients on loopback, or to others.
    pub(super) fn visible_nodes(&self, on_loopback: bool) -> impl Iterator<Item = NodeItem> {
        let nodes = self.list.slots().map(|slot| self.item(slot));
        nodes.filter(move |node| on_loopback || !node.address.is_loopback())
    }

    /// The live nodes that such requesters see, in the order of the list: those whose entry is
    /// newer than the registration `after`.
    pub(super) fn slots_after(
        &self,
        after: u64,
        on_loopback: bool,
    ) -> impl Iterator<Item = SlotId> {
        let is_before = move |slot: SlotId| self.nodes[slot].first_registration <= after;
        let slots = self.list.slots_from(is_before);
        slots.filter(move |slot| on_loopback || !self.is_on_loopback(*slot))
    }

    /// When the lease of a node ends.
    pub(super) fn lease_end(&self, slot: SlotId) -> Option<Instant> {
        self.leases.due(slot as usize)
    }

    fn add(
        &mut self,
        address: NodeAddress,
        by: Registrant,
        number: u64,
        max_per_address: usize,
    ) -> Result<SlotId, DirectoryError> {
        let group = address_group(address.ip());
        match self.addresses.find(&group) {
            Some(at) if self.addresses[at].nodes as usize >= max_per_address => {
                return Err(DirectoryError::AddressFull);
            }
            Some(at) => self.addresses[at].nodes += 1,
            None => {
                self.addresses.insert(AddressNodes { group, nodes: 1 });
            }
        }
        let slot = self.nodes.insert(NodeEntry {
            address,
            source: by.source,
            first_registration: number,
            last_announcer: number as u32,
            block: 0,
            is_live: true,
            has_key: by.key.is_some(),
        });
        self.ids.extend(by.key.map(|key| (slot, key)));
        self.nodes[slot].block = self.list.push(slot);
        self.loopback_nodes += usize::from(address.is_loopback());
        Ok(slot)
    }

    fn remove(&mut self, slot: SlotId) -> NodeAddress {
        self.leases.clear(slot as usize);
        self.nodes.remove_key(slot);
        self.departed.push(slot);
        let node = &mut self.nodes[slot];
        node.is_live = false;
        if std::mem::take(&mut node.has_key) {
            self.ids.remove(&slot);
        }
        let address = node.address;
        self.list.remove(slot, &mut self.nodes);
        if let Some(at) = self.addresses.find(&address_group(address.ip())) {
            self.addresses[at].nodes -= 1;
            if self.addresses[at].nodes == 0 {
                self.addresses.remove(at);
            }
        }
        self.loopback_nodes -= usize::from(address.is_loopback());
        address
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_node_that_announced_nothing_for_billions_of_registrations_may_announce() {
        let now = Instant::now();
        let source = IpAddr::from([192, 0, 2, 1]);
        let by = Registrant { source, key: None };
        let address = NodeAddress::parse("192.0.2.1 1").expect("an address");
        let mut directory = Directory::new(now);
        for number in (1..1_u64 << 33).step_by(1 << 28) {
            let registration = (address, by, number);
            let slot = directory.register(registration, now, 9, 9).expect("room");
            if number % 5 == 1 {
                assert!(directory.claim_files(slot, number), "{number}");
                assert!(!directory.claim_files(slot, number - 1), "{number}");
            }
        }
    }

    proptest! {
        #[test]
        fn the_list_is_in_order_of_first_registration(
            steps in prop::collection::vec((1..9_u16, any::<bool>()), 0..60)
        ) {
            let now = Instant::now();
            let source = IpAddr::from([192, 0, 2, 1]);
            let by = Registrant { source, key: None };
            let mut directory = Directory::new(now);
            let mut model: Vec<String> = Vec::new();
            for (port, stays) in steps {
                let line = format!("{source} {port}");
                let address = NodeAddress::parse(&line).expect("an address");
                if stays {
                    directory.register((address, by, 1), now, 9, 9).expect("room");
                    if !model.contains(&line) {
                        model.push(line);
                    }
                } else if directory.removable_slot(&address, by, false).is_ok() {
                    directory.evict(&address);
                    model.retain(|other| *other != line);
                    // The slot may be reused.
                    directory.release_departed();
                }
                let mut expected = format!("NODES {}\n", model.len());
                expected.extend(model.iter().map(|line| format!("{line}\n")));
                let list = directory.rendered_list(false);
                let text: Vec<u8> = list.parts().flat_map(|part| part.iter().copied()).collect();
                prop_assert_eq!(String::from_utf8(text).expect("text"), expected);
            }
        }
    }
}
