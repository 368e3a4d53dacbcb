//! The announced relays that a node knows, each by who it claims to be.

use std::net::SocketAddr;

use crate::discovery::ServiceIdentity;

/// The most addresses of a relay: those that it has had before come last, and fall off.
const MAX_ADDRESSES: usize = 16;

/// The relays of a node, of which some have announced themselves.
pub(super) struct AnnouncedRelays {
    known: Vec<KnownAnnouncement>,
    /// The most that are known.
    max: usize,
    /// How many the node has: the index of the next one.
    used: usize,
}

struct KnownAnnouncement {
    /// None if the user has written its address.
    identity: Option<ServiceIdentity>,
    addresses: Vec<SocketAddr>,
    /// The index of the relay in the node, if it is used there.
    index: Option<usize>,
}

impl AnnouncedRelays {
    /// With the relays that the node has at the start: who they are, and their addresses.
    pub(super) fn new(
        relays: impl IntoIterator<Item = (Option<ServiceIdentity>, Vec<SocketAddr>)>,
        max: usize,
    ) -> Self {
        let relays = relays.into_iter().enumerate();
        let known = relays.map(|(index, (identity, addresses))| KnownAnnouncement {
            identity,
            addresses,
            index: Some(index),
        });
        let known: Vec<_> = known.collect();
        let used = known.len();
        Self { known, max, used }
    }

    /// This relay is announced at these addresses. Calls `add` if it is new, which
    /// says whether the node uses it. Returns its index and all its addresses if it is not new,
    /// but has further ones. One that shares only some addresses with another relay is new:
    /// otherwise, whoever announces the addresses of a relay first would hide it.
    pub(super) fn on_announced(
        &mut self,
        identity: &ServiceIdentity,
        addresses: &[SocketAddr],
        add: impl FnOnce() -> bool,
    ) -> Option<(usize, Vec<SocketAddr>)> {
        let is_it = |known: &&mut KnownAnnouncement| known.identity.as_ref() == Some(identity);
        if let Some(known) = self.known.iter_mut().find(is_it) {
            let is_changed = known.add_addresses(addresses);
            let index = known.index.filter(|_| is_changed)?;
            return Some((index, known.addresses.clone()));
        }
        let is_at_same = |known: &KnownAnnouncement| is_same(&known.addresses, addresses);
        if self.known.len() < self.max && !self.known.iter().any(is_at_same) {
            let index = add().then_some(self.used);
            self.used += usize::from(index.is_some());
            self.known.push(KnownAnnouncement {
                identity: Some(identity.clone()),
                addresses: addresses.to_vec(),
                index,
            });
        }
        None
    }
}

impl KnownAnnouncement {
    /// Puts these addresses before the others. Returns whether there is a new one. Those that
    /// are not announced any more stay: anybody can announce this name and id.
    fn add_addresses(&mut self, announced: &[SocketAddr]) -> bool {
        let mut addresses = announced.to_vec();
        addresses.truncate(MAX_ADDRESSES);
        if addresses.iter().all(|new| self.addresses.contains(new)) {
            return false;
        }
        self.addresses.retain(|old| !addresses.contains(old));
        addresses.append(&mut self.addresses);
        addresses.truncate(MAX_ADDRESSES);
        self.addresses = addresses;
        true
    }
}

/// Whether both have the same addresses, in any order.
fn is_same(one: &[SocketAddr], other: &[SocketAddr]) -> bool {
    one.len() == other.len() && one.iter().all(|address| other.contains(address))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::KeyId;

    fn at(ports: &[u16]) -> Vec<SocketAddr> {
        let address = |port: &u16| SocketAddr::from(([192, 0, 2, 1], *port));
        ports.iter().map(address).collect()
    }

    /// Whether the relay is new, and otherwise what changes.
    fn announce(
        relays: &mut AnnouncedRelays,
        name: &str,
        ports: &[u16],
    ) -> (bool, Option<(usize, Vec<SocketAddr>)>) {
        let mut is_new = false;
        let identity = identity(name, None);
        let changed = relays.on_announced(&identity, &at(ports), || {
            is_new = true;
            name != "refused"
        });
        (is_new, changed)
    }

    fn relays(max: usize) -> AnnouncedRelays {
        let announced = Some(identity("a", None));
        AnnouncedRelays::new([(None, at(&[1])), (announced, at(&[2, 3]))], max)
    }

    fn identity(name: &str, id: Option<KeyId>) -> ServiceIdentity {
        let name = name.into();
        ServiceIdentity { name, id }
    }

    #[test]
    fn a_relay_that_is_announced_elsewhere_has_further_addresses() {
        let mut relays = relays(9);
        for known in [&[2, 3][..], &[3, 2], &[3]] {
            assert_eq!(announce(&mut relays, "a", known), (false, None));
        }
        let changed = Some((1, at(&[4, 3, 2])));
        assert_eq!(announce(&mut relays, "a", &[4, 3]), (false, changed));
        assert_eq!(announce(&mut relays, "a", &[2]), (false, None));
        // Only the last ones stay.
        for port in 5..100 {
            announce(&mut relays, "a", &[port]);
        }
        let (_, changed) = announce(&mut relays, "a", &[100]);
        let last: Vec<u16> = (100 - 15..=100).rev().collect();
        assert_eq!(changed, Some((1, at(&last))));
    }

    #[test]
    fn a_relay_is_known_at_the_same_addresses_only() {
        let mut relays = relays(9);
        assert_eq!(announce(&mut relays, "b", &[1]), (false, None));
        assert_eq!(announce(&mut relays, "b", &[3, 2]), (false, None));
        // A stranger announces the relay's address beside his own one before the relay does.
        assert_eq!(announce(&mut relays, "stranger", &[8, 9]), (true, None));
        assert_eq!(announce(&mut relays, "b", &[9]), (true, None));
        let changed = Some((3, at(&[7, 9])));
        assert_eq!(announce(&mut relays, "b", &[7]), (false, changed));
    }

    #[test]
    fn a_relay_that_the_node_does_not_use_has_no_index() {
        let mut relays = relays(9);
        assert_eq!(announce(&mut relays, "refused", &[5]), (true, None));
        assert_eq!(announce(&mut relays, "refused", &[6]), (false, None));
        assert_eq!(announce(&mut relays, "b", &[7]), (true, None));
        let changed = Some((2, at(&[8, 7])));
        assert_eq!(announce(&mut relays, "b", &[8]), (false, changed));
    }

    #[test]
    fn a_relay_has_no_address_that_is_announced_with_another_id() {
        let [right, wrong] = [&b"right"[..], b"wrong"].map(KeyId::of);
        let relay = Some(identity("a", Some(right)));
        let mut relays = AnnouncedRelays::new([(relay, at(&[1]))], 9);
        for (id, port) in [(None, 2), (Some(wrong), 3)] {
            let mut is_new = false;
            let add = || {
                is_new = true;
                true
            };
            let changed = relays.on_announced(&identity("a", id), &at(&[port]), add);
            assert_eq!((changed, is_new), (None, true));
        }
        let changed = relays.on_announced(&identity("a", Some(right)), &at(&[4]), || false);
        assert_eq!(changed, Some((0, at(&[4, 1]))));
    }

    #[test]
    fn further_relays_are_left_out_but_known_ones_still_move() {
        let mut relays = relays(2);
        assert_eq!(announce(&mut relays, "b", &[5]), (false, None));
        let changed = Some((1, at(&[6, 2, 3])));
        assert_eq!(announce(&mut relays, "a", &[6]), (false, changed));
    }
}
