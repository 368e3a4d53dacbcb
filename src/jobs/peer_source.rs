//! Where nodes and files are looked up: at relays, and at nodes that answer for their own
//! files. The jobs ask all of them at once, and do not care where an answer came from.

use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::jobs::relay_query::Query;
use crate::protocol::{NodeAddress, NodeItem, Port, canonical};
use crate::tls::KeyId;

/// A source that was silent while others answered, or that has shown a key that is not listed, is
/// passed over for this time.
pub(super) const PASSED_OVER_FOR: Duration = Duration::from_secs(30);

/// A relay, or a node that is asked as if it were the relay of its own files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PeerSource {
    /// For people: as the user wrote it, such as `relay.example:8888`.
    pub name: String,
    /// Tried in turn. One source at least has an address; the name of another one may not
    /// have been resolved yet.
    pub addresses: Vec<SocketAddr>,
    /// Whether it is a node.
    pub is_node: bool,
    /// The key that the node must have, if it has announced one.
    pub id: Option<KeyId>,
}

impl PeerSource {
    /// A relay.
    #[must_use]
    pub fn relay(name: impl Into<String>, addresses: Vec<SocketAddr>) -> Self {
        Self {
            name: name.into(),
            addresses,
            is_node: false,
            id: None,
        }
    }

    /// A node.
    #[must_use]
    pub fn node(name: impl Into<String>, addresses: Vec<SocketAddr>) -> Self {
        Self {
            is_node: true,
            ..Self::relay(name, addresses)
        }
    }

    /// What it is, for people.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.is_node {
            true => "node",
            false => "relay",
        }
    }

    /// The addresses at which content can be requested, if it is a node.
    fn node_addresses(&self) -> impl Iterator<Item = NodeAddress> {
        let addresses = self.addresses.iter().filter(|_| self.is_node);
        addresses.filter_map(|address| node_address(*address))
    }
}

/// For people, such as `relay relay.example:8888`.
impl fmt::Display for PeerSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind(), self.name)
    }
}

/// The address of a node, as it is listed.
pub(super) fn node_address(address: SocketAddr) -> Option<NodeAddress> {
    NodeAddress::new(address.ip(), Port::new(address.port())?).ok()
}

/// The sources of a user, in the user's order. A source has its index there.
pub(super) struct PeerSources(Vec<ListedSource>);

struct ListedSource {
    source: PeerSource,
    /// The index of the address that answered last: the next query goes there.
    address: usize,
    /// See [`PASSED_OVER_FOR`].
    passed_over_until: Option<Instant>,
    /// The user knows that it fails.
    is_failure_known: bool,
    /// It has shown a key that the user does not accept, so its files are not wanted.
    is_untrusted: bool,
}

impl PeerSources {
    pub(super) fn new(sources: Vec<PeerSource>) -> Self {
        let mut all = Self(Vec::new());
        all.add(sources);
        all
    }

    pub(super) fn add(&mut self, sources: Vec<PeerSource>) {
        let listed = |source| ListedSource {
            source,
            address: 0,
            passed_over_until: None,
            is_failure_known: false,
            is_untrusted: false,
        };
        self.0.extend(sources.into_iter().map(listed));
    }

    /// Whether there is more than one.
    pub(super) fn are_several(&self) -> bool {
        self.0.len() > 1
    }

    /// Whether there is somebody to ask: for a message, a relay.
    pub(super) fn can_answer(&self, query: &Query) -> bool {
        let can_answer = |listed: &ListedSource| !(listed.source.is_node && query.needs_relay());
        self.0.iter().any(can_answer)
    }

    /// Whether all of them are nodes.
    pub(super) fn are_nodes(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(|listed| listed.source.is_node)
    }

    /// Whether all of them are on this machine.
    pub(super) fn are_on_loopback(&self) -> bool {
        let mut addresses = self.0.iter().flat_map(|listed| &listed.source.addresses);
        addresses.all(|address| address.ip().is_loopback())
    }

    /// Whether one of them does not answer, or is not asked: the others do not know all files.
    pub(super) fn are_incomplete(&self) -> bool {
        let is_missing = |listed: &ListedSource| {
            let has_failed = listed.is_failure_known && !listed.is_untrusted;
            has_failed || listed.source.addresses.is_empty()
        };
        self.0.iter().any(is_missing)
    }

    /// Those that are nodes.
    pub(super) fn nodes(&self) -> Vec<NodeItem> {
        let sources = self.0.iter();
        let items = sources.flat_map(|ListedSource { source, .. }| {
            let item = |address| NodeItem {
                id: source.id,
                ..NodeItem::from(address)
            };
            source.node_addresses().map(item)
        });
        items.collect()
    }

    /// Those to ask. If all were silent, all of them.
    pub(super) fn usable(&self, now: Instant) -> Vec<usize> {
        let has_address = |index: &usize| !self.0[*index].source.addresses.is_empty();
        let is_passed_over = |index: &usize| {
            let until = self.0[*index].passed_over_until;
            until.is_some_and(|until| until > now)
        };
        let all = (0..self.0.len()).filter(has_address);
        let usable: Vec<usize> = all.clone().filter(|index| !is_passed_over(index)).collect();
        match usable.is_empty() {
            true => all.collect(),
            false => usable,
        }
    }

    pub(super) fn get(&self, index: usize) -> &PeerSource {
        &self.0[index].source
    }

    /// The index of the address to try first.
    pub(super) fn first_address(&self, index: usize) -> usize {
        self.0[index].address
    }

    pub(super) fn address_count(&self, index: usize) -> usize {
        self.0[index].source.addresses.len()
    }

    /// One of the addresses. A source may have got others since the index was chosen.
    pub(super) fn address(&self, index: usize, address: usize) -> SocketAddr {
        let addresses = &self.0[index].source.addresses;
        addresses[address % addresses.len()]
    }

    /// Whether the source is a node.
    pub(super) fn is_node(&self, index: usize) -> bool {
        self.0[index].source.is_node
    }

    /// The node at this address, if the source is a node.
    pub(super) fn node(&self, index: usize, address: usize) -> Option<NodeAddress> {
        let is_node = self.0[index].source.is_node;
        let address = self.address(index, address);
        is_node.then(|| node_address(address)).flatten()
    }

    /// Whether the source at this address is on this machine.
    pub(super) fn is_on_loopback(&self, index: usize, address: usize) -> bool {
        canonical(self.address(index, address).ip()).is_loopback()
    }

    /// The source has answered at this address.
    pub(super) fn on_answer(&mut self, index: usize, address: usize) {
        let listed = &mut self.0[index];
        listed.address = address % listed.source.addresses.len();
        listed.passed_over_until = None;
        listed.is_failure_known = false;
        listed.is_untrusted = false;
    }

    /// The source has failed. Returns whether that is news to the user.
    pub(super) fn on_failure(&mut self, index: usize) -> bool {
        !std::mem::replace(&mut self.0[index].is_failure_known, true)
    }

    /// The source has shown a key that is not listed.
    pub(super) fn on_untrusted(&mut self, index: usize, now: Instant) {
        self.0[index].is_untrusted = true;
        self.pass_over(index, now);
    }

    /// The source is silent, and others are not.
    pub(super) fn pass_over(&mut self, index: usize, now: Instant) {
        self.0[index].passed_over_until = Some(now + PASSED_OVER_FOR);
    }

    /// The source has these addresses now.
    pub(super) fn set_addresses(&mut self, index: usize, addresses: Vec<SocketAddr>) {
        if let Some(listed) = self.0.get_mut(index)
            && !addresses.is_empty()
            && listed.source.addresses != addresses
        {
            listed.source.addresses = addresses;
            listed.address = 0;
        }
    }

    /// The relays that have addresses, each with its index. The address that answered last is
    /// the first.
    pub(super) fn relays(&self) -> Vec<(usize, PeerSource)> {
        let is_relay = |source: &PeerSource| !source.is_node && !source.addresses.is_empty();
        let all = self.0.iter().enumerate();
        let relays = all.filter(|(_, listed)| is_relay(&listed.source));
        let relays = relays.map(|(index, listed)| {
            let mut relay = listed.source.clone();
            relay.addresses.rotate_left(listed.address);
            (index, relay)
        });
        relays.collect()
    }
}
