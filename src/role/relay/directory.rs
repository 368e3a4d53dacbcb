//! The nodes that the relay knows, each for as long as its lease lasts.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::Write;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Instant;

use slab::Slab;

use super::index::Place;
use crate::limits::address_group;
use crate::protocol::{Count, NodeAddress, Reply};
use crate::timers::{Lane, Timers};

/// All leases are equally long: one lane holds them in the order of their ends.
const LEASES: Lane = 0;

/// Addresses of live nodes, in the order of their first registration.
pub(super) struct Directory {
    /// Those that left stay until their files are taken out of the index.
    nodes: Slab<Node>,
    left: Vec<Place>,
    places: HashMap<NodeAddress, usize>,
    /// How many nodes each host has.
    hosts: HashMap<IpAddr, usize>,
    leases: Timers,
    /// The next node's place in the order of first registration.
    next_serial: u64,
    loopback_nodes: usize,
    /// The list as clients elsewhere and clients on loopback see it, until it changes.
    rendered: [Option<Arc<[u8]>>; 2],
}

struct Node {
    address: NodeAddress,
    /// Who registered it: nobody else may take it away.
    source: IpAddr,
    serial: u64,
    is_live: bool,
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
            nodes: Slab::new(),
            left: Vec::new(),
            places: HashMap::new(),
            hosts: HashMap::new(),
            leases: Timers::new(now, 1),
            next_serial: 0,
            loopback_nodes: 0,
            rendered: [None, None],
        }
    }

    /// How many nodes `on_loopback` clients, or others, see.
    #[must_use]
    pub(super) fn len(&self, on_loopback: bool) -> usize {
        if on_loopback {
            self.places.len()
        } else {
            self.places.len() - self.loopback_nodes
        }
    }

    /// Adds a node until `end`, or renews its lease.
    ///
    /// # Errors
    /// [`Refusal::Full`] if it is new and there are `max` already, and
    /// [`Refusal::HostFull`] if its host has `max_of_host`.
    pub(super) fn register(
        &mut self,
        address: NodeAddress,
        source: IpAddr,
        end: Instant,
        max: usize,
        max_of_host: usize,
    ) -> Result<(), Refusal> {
        let host = address_group(address.ip());
        let of_host = self.hosts.get(&host).copied().unwrap_or(0);
        let place = match self.places.get(&address) {
            Some(place) => {
                self.nodes[*place].source = source;
                *place
            }
            None if self.places.len() >= max => return Err(Refusal::Full),
            None if of_host >= max_of_host => return Err(Refusal::HostFull),
            None => self.add(address, source),
        };
        self.leases.set(place, LEASES, end);
        Ok(())
    }

    /// Where the node is, if it is there and was registered by `source`.
    pub(super) fn place(&self, address: &NodeAddress, source: IpAddr) -> Option<Place> {
        let place = *self.places.get(address)?;
        (self.nodes[place].source == source).then_some(place as Place)
    }

    /// The node at a place, unless it has left or is hidden from the asker.
    pub(super) fn seen(&self, place: Place, on_loopback: bool) -> Option<NodeAddress> {
        let node = self.nodes.get(place as usize)?;
        (node.is_live && (on_loopback || !node.address.is_loopback())).then_some(node.address)
    }

    /// Whether the asker sees every node of which there may be files.
    pub(super) fn all_seen(&self, on_loopback: bool) -> bool {
        self.left.is_empty() && (on_loopback || self.loopback_nodes == 0)
    }

    /// A node that has left and whose files may still be in the index.
    pub(super) fn left(&self) -> Option<Place> {
        self.left.last().copied()
    }

    /// Its files are out of the index: the place may be used again.
    pub(super) fn release_left(&mut self) {
        if let Some(place) = self.left.pop() {
            self.nodes.remove(place as usize);
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
        let place = *self.places.get(address).ok_or(Refusal::Unknown)?;
        if self.nodes[place].source != source && !may_all {
            return Err(Refusal::NotYours);
        }
        self.leases.clear(place);
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
        Some(self.remove(place))
    }

    /// The whole answer to `LIST`, made once for each change of the directory.
    pub(super) fn list(&mut self, on_loopback: bool) -> Arc<[u8]> {
        if let Some(list) = &self.rendered[usize::from(on_loopback)] {
            return Arc::clone(list);
        }
        let list: Arc<[u8]> = self.render(on_loopback).into();
        self.rendered[usize::from(on_loopback)] = Some(Arc::clone(&list));
        list
    }

    fn render(&self, on_loopback: bool) -> Vec<u8> {
        let mut seen: Vec<&Node> = self
            .nodes
            .iter()
            .map(|(_, node)| node)
            .filter(|node| node.is_live)
            .filter(|node| on_loopback || !node.address.is_loopback())
            .collect();
        seen.sort_unstable_by_key(|node| node.serial);
        // Writing to a Vec cannot fail.
        let mut text = Vec::new();
        let _ = writeln!(text, "{}", Reply::Nodes(Count::all(seen.len() as u64)));
        for node in seen {
            let _ = writeln!(text, "{}", node.address);
        }
        text
    }

    fn add(&mut self, address: NodeAddress, source: IpAddr) -> usize {
        let place = self.nodes.insert(Node {
            address,
            source,
            serial: self.next_serial,
            is_live: true,
        });
        self.next_serial += 1;
        self.places.insert(address, place);
        *self.hosts.entry(address_group(address.ip())).or_default() += 1;
        self.loopback_nodes += usize::from(address.is_loopback());
        self.rendered = [None, None];
        place
    }

    fn remove(&mut self, place: usize) -> NodeAddress {
        let node = &mut self.nodes[place];
        node.is_live = false;
        self.left.push(place as Place);
        self.places.remove(&node.address);
        if let Entry::Occupied(mut host) = self.hosts.entry(address_group(node.address.ip())) {
            *host.get_mut() -= 1;
            if *host.get() == 0 {
                host.remove();
            }
        }
        self.loopback_nodes -= usize::from(node.address.is_loopback());
        self.rendered = [None, None];
        node.address
    }
}
