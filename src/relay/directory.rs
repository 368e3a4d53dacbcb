//! The nodes that the relay knows, each for as long as its lease lasts.

use std::hint::black_box;
use std::iter;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::protocol::{Count, NodeAddress, Reply, address_group};
use crate::relay::table::{Keyed, SlotId, Table};
use crate::session::server::say;
use crate::timers::{TimerKind, Timers};

/// All leases are equally long: one lane holds them in the order of their ends.
const LEASES: TimerKind = 0;
/// No node: the end of the list.
const NONE: SlotId = SlotId::MAX;

/// Addresses of live nodes, in the order of their first registration.
pub(super) struct Directory {
    /// Those that left stay, hidden, until their files are taken out of the index.
    nodes: Table<NodeEntry>,
    left: Vec<SlotId>,
    hosts: Table<Host>,
    leases: Timers,
    /// The ends of the list in the order of first registration.
    first: SlotId,
    last: SlotId,
    loopback_nodes: usize,
    /// The list as clients elsewhere and clients on loopback see it, until it changes.
    rendered: [Option<Arc<[u8]>>; 2],
}

struct NodeEntry {
    address: NodeAddress,
    /// Who registered it: nobody else may take it away.
    source: IpAddr,
    /// Which registration was the last whose connection told its files.
    last_announcer: u64,
    /// Its neighbours in the order of first registration.
    previous: SlotId,
    next: SlotId,
    is_live: bool,
}

impl Keyed for NodeEntry {
    type Key = NodeAddress;

    fn key(&self) -> &NodeAddress {
        &self.address
    }
}

/// A host that has nodes.
struct Host {
    /// What counts as one host, see [`address_group`].
    group: IpAddr,
    nodes: u32,
}

impl Keyed for Host {
    type Key = IpAddr;

    fn key(&self) -> &IpAddr {
        &self.group
    }
}

/// Why an entry was not made or not taken away.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Refusal {
    /// There is no such node.
    Unknown,
    /// Somebody else registered it.
    NotYours,
    /// The directory has as many nodes as it may have.
    Full,
    /// The host has as many nodes as one may have.
    HostFull,
}

impl Directory {
    /// An empty directory; no deadline in it will be before `now`.
    #[must_use]
    pub(super) fn new(now: Instant) -> Self {
        Self {
            nodes: Table::default(),
            left: Vec::new(),
            hosts: Table::default(),
            leases: Timers::new(now, 1),
            first: NONE,
            last: NONE,
            loopback_nodes: 0,
            rendered: [None, None],
        }
    }

    /// How many nodes `on_loopback` clients, or others, see.
    #[must_use]
    pub(super) fn len(&self, on_loopback: bool) -> usize {
        if on_loopback {
            self.nodes.len()
        } else {
            self.nodes.len() - self.loopback_nodes
        }
    }

    /// Adds a node until `end`, or renews its lease. Registrations are numbered:
    /// this one is `number`.
    ///
    /// # Errors
    /// [`Refusal::Full`] if it is new and there are `max` already, and
    /// [`Refusal::HostFull`] if its host has `max_of_host`.
    pub(super) fn register(
        &mut self,
        address: NodeAddress,
        source: IpAddr,
        number: u64,
        end: Instant,
        max: usize,
        max_of_host: usize,
    ) -> Result<SlotId, Refusal> {
        let place = match self.nodes.find(&address) {
            Some(place) => {
                self.nodes[place].source = source;
                place
            }
            None if self.nodes.len() >= max => return Err(Refusal::Full),
            None => self.add(address, source, number, max_of_host)?,
        };
        self.leases.set(place as usize, LEASES, end);
        Ok(place)
    }

    /// Brings what [`Directory::register`] will look at into the processor's cache.
    pub(super) fn prefetch(&self, addresses: &[NodeAddress]) {
        let places = self.nodes.prefetch(addresses.iter());
        for place in &places {
            black_box(
                self.nodes
                    .get(*place)
                    .map(|node| (node.address.port(), node.next)),
            );
        }
        self.leases
            .prefetch(places.into_iter().map(|place| place as usize));
    }

    /// Where the node is, if it is there and was registered by `source`.
    pub(super) fn place(&self, address: &NodeAddress, source: IpAddr) -> Option<SlotId> {
        let place = self.nodes.find(address)?;
        (self.nodes[place].source == source).then_some(place)
    }

    /// Whether the connection that made the registration `number` may tell the
    /// node's files. Once a later one has told any, what an earlier one still
    /// says has come late, and is not true any more.
    pub(super) fn may_tell(&mut self, place: SlotId, number: u64) -> bool {
        let node = &mut self.nodes[place];
        node.last_announcer = node.last_announcer.max(number);
        node.last_announcer == number
    }

    /// The node at a place, unless it has left or is hidden from the asker.
    pub(super) fn seen(&self, place: SlotId, on_loopback: bool) -> Option<NodeAddress> {
        let node = self.nodes.get(place)?;
        (node.is_live && (on_loopback || !node.address.is_loopback())).then_some(node.address)
    }

    /// Whether the asker sees every node of which there may be files.
    pub(super) fn all_seen(&self, on_loopback: bool) -> bool {
        self.left.is_empty() && (on_loopback || self.loopback_nodes == 0)
    }

    /// A node that has left and whose files may still be in the index.
    pub(super) fn left(&self) -> Option<SlotId> {
        self.left.last().copied()
    }

    /// Its files are out of the index: the place may be used again.
    pub(super) fn release_left(&mut self) {
        if let Some(place) = self.left.pop() {
            self.nodes.remove(place);
        }
    }

    /// Takes a node out. `source` must be who registered it, or `may_all`.
    ///
    /// # Errors
    /// [`Refusal::Unknown`] or [`Refusal::NotYours`].
    pub(super) fn unregister(
        &mut self,
        address: &NodeAddress,
        source: IpAddr,
        may_all: bool,
    ) -> Result<(), Refusal> {
        let place = self.nodes.find(address).ok_or(Refusal::Unknown)?;
        if self.nodes[place].source != source && !may_all {
            return Err(Refusal::NotYours);
        }
        self.leases.clear(place as usize);
        self.remove(place);
        Ok(())
    }

    /// When the next lease ends.
    #[must_use]
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.leases.next()
    }

    /// Takes out one node whose lease has ended.
    pub(super) fn expire_one(&mut self, now: Instant) -> Option<NodeAddress> {
        let place = self.leases.take_due(now)?;
        Some(self.remove(place as SlotId))
    }

    /// The whole answer to `LIST`, made once for each change of the directory.
    pub(super) fn list(&mut self, on_loopback: bool) -> Arc<[u8]> {
        if let Some(list) = &self.rendered[usize::from(on_loopback)] {
            return Arc::clone(list);
        }
        let mut text = Vec::new();
        self.write_list(&mut text, on_loopback, usize::MAX);
        let list: Arc<[u8]> = text.into();
        self.rendered[usize::from(on_loopback)] = Some(Arc::clone(&list));
        list
    }

    /// Appends the answer to `LIST`. It stops where it is longer than `room` bytes:
    /// whoever has little room must not cost more.
    pub(super) fn write_list(&self, text: &mut Vec<u8>, on_loopback: bool, room: usize) {
        let start = text.len();
        say(text, Reply::Nodes(Count::all(self.len(on_loopback) as u64)));
        let place = |place: SlotId| (place != NONE).then_some(place);
        let in_order = iter::successors(place(self.first), |at| place(self.nodes[*at].next));
        for node in in_order.filter_map(|place| self.seen(place, on_loopback)) {
            say(text, node);
            if text.len() - start > room {
                break;
            }
        }
    }

    fn add(
        &mut self,
        address: NodeAddress,
        source: IpAddr,
        number: u64,
        max_of_host: usize,
    ) -> Result<SlotId, Refusal> {
        let group = address_group(address.ip());
        match self.hosts.find(&group) {
            Some(host) if self.hosts[host].nodes as usize >= max_of_host => {
                return Err(Refusal::HostFull);
            }
            Some(host) => self.hosts[host].nodes += 1,
            None => {
                self.hosts.insert(Host { group, nodes: 1 });
            }
        }
        let place = self.nodes.insert(NodeEntry {
            address,
            source,
            last_announcer: number,
            previous: self.last,
            next: NONE,
            is_live: true,
        });
        self.join(self.last, place);
        self.join(place, NONE);
        self.loopback_nodes += usize::from(address.is_loopback());
        self.rendered = [None, None];
        Ok(place)
    }

    fn remove(&mut self, place: SlotId) -> NodeAddress {
        self.nodes.hide(place);
        self.left.push(place);
        let node = &mut self.nodes[place];
        node.is_live = false;
        let (address, previous, next) = (node.address, node.previous, node.next);
        self.join(previous, next);
        if let Some(host) = self.hosts.find(&address_group(address.ip())) {
            self.hosts[host].nodes -= 1;
            if self.hosts[host].nodes == 0 {
                self.hosts.remove(host);
            }
        }
        self.loopback_nodes -= usize::from(address.is_loopback());
        self.rendered = [None, None];
        address
    }

    /// Makes two nodes neighbours, or one the end of the list.
    fn join(&mut self, previous: SlotId, next: SlotId) {
        match previous {
            NONE => self.first = next,
            previous => self.nodes[previous].next = next,
        }
        match next {
            NONE => self.last = previous,
            next => self.nodes[next].previous = previous,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn the_list_is_in_the_order_of_first_registration_whoever_leaves(
            steps in prop::collection::vec((1..9_u16, any::<bool>()), 0..60)
        ) {
            let now = Instant::now();
            let source = IpAddr::from([192, 0, 2, 1]);
            let mut directory = Directory::new(now);
            let mut model: Vec<String> = Vec::new();
            for (port, stays) in steps {
                let line = format!("{source} {port}");
                let address = NodeAddress::parse(&line).expect("an address");
                if stays {
                    directory.register(address, source, 1, now, 9, 9).expect("room");
                    if !model.contains(&line) {
                        model.push(line);
                    }
                } else if directory.unregister(&address, source, false).is_ok() {
                    model.retain(|other| *other != line);
                    // The place may be another's.
                    directory.release_left();
                }
                let mut expected = format!("NODES {}\n", model.len());
                expected.extend(model.iter().map(|line| format!("{line}\n")));
                let list = directory.list(false);
                prop_assert_eq!(std::str::from_utf8(&list), Ok(expected.as_str()));
            }
        }
    }
}
