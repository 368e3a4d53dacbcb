//! Accepted connections by the address that they come from: how many there may be, and
//! how the loop's turns are shared.
//!
//! Turns are shared by address, not by connection; see [`turns`].
//! Places are shared likewise: the last ones are reserved for addresses that the role knows,
//! and for the first connection of an address.

mod turns;

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use slab::Slab;

use crate::close_reason::ResourceLimit;
use crate::protocol::address_group;
use crate::reactor::address_groups::turns::DueGroups;
pub(super) use crate::reactor::address_groups::turns::ROUND_WORK;

/// One place in so many is reserved for addresses that the role knows, and as many for first
/// connections.
const PLACES_PER_RESERVED: usize = 32;
/// The most places that are reserved for each of them.
const MAX_RESERVED: usize = 128;
/// Connections of an address that count as first ones: a client that connects again may
/// come before the end of its last connection is seen.
const FIRST_CONNECTIONS: usize = 2;
/// An address that the role knows has no right to a reserved place beyond so many connections.
const KNOWN_CONNECTIONS: usize = 4;

/// Identifies the group of a connection.
pub(super) type GroupId = u32;

/// The group of connections that we opened.
pub(super) const OUTBOUND: GroupId = 0;
/// The group of connections that are being refused.
pub(super) const REFUSED: GroupId = 1;

/// All groups.
pub(super) struct AddressGroups {
    max: usize,
    max_per_address: usize,
    /// Files that may be open for sending.
    max_files: usize,
    /// Accepted connections.
    open: usize,
    /// Files that are open for sending.
    files: usize,
    groups: Slab<AddressGroup>,
    by_address: HashMap<IpAddr, GroupId>,
    /// The groups whose connections are due in this round.
    current: DueGroups,
    /// The same for the next round.
    next: DueGroups,
    /// The number of this round.
    round: u32,
    /// The work that each group may do in this round.
    share: usize,
    /// The work that is left for all.
    work_left: usize,
    /// The last turn was that of a light group.
    was_light: bool,
}

/// The connections from one address.
#[derive(Default)]
struct AddressGroup {
    /// None if they do not come from one address.
    address: Option<IpAddr>,
    open: usize,
    /// Files that are open for sending.
    files: usize,
    /// Handshakes of TLS that are under way.
    handshakes: usize,
    /// The slots of connections whose turn is due.
    due: VecDeque<u32>,
    /// The last round with a turn.
    round: u32,
    /// Connections that may have a turn in it.
    turns_left: usize,
    /// The work in it.
    work: usize,
    /// The share was used up in it.
    is_heavy: bool,
    /// The group is in one of the queues.
    is_queued: bool,
}

impl AddressGroups {
    pub(super) fn new(max: usize, max_per_address: usize, max_files: usize) -> Self {
        let mut groups = Slab::new();
        for group in [OUTBOUND, REFUSED] {
            let key = groups.insert(AddressGroup::default());
            debug_assert_eq!(key, group as usize);
        }
        Self {
            max,
            max_per_address,
            max_files,
            open: 0,
            files: 0,
            groups,
            by_address: HashMap::new(),
            current: DueGroups::default(),
            next: DueGroups::default(),
            round: 0,
            share: ROUND_WORK,
            work_left: 0,
            was_light: false,
        }
    }

    /// The number of accepted connections.
    pub(super) fn open(&self) -> usize {
        self.open
    }

    /// Counts a new connection, and returns its group. `is_known` says whether the role
    /// knows the address.
    ///
    /// # Errors
    /// The limit that leaves no room.
    pub(super) fn acquire(
        &mut self,
        ip: IpAddr,
        is_known: impl FnOnce() -> bool,
    ) -> Result<GroupId, ResourceLimit> {
        let address = address_group(ip);
        let id = self.by_address.get(&address).copied();
        let open_here = id.map_or(0, |id| self.groups[id as usize].open);
        let reserved = (self.max / PLACES_PER_RESERVED).min(MAX_RESERVED);
        let free = self.max.saturating_sub(self.open);
        let has_place = match free {
            0 => false,
            _ if free > 2 * reserved => true,
            _ if free > reserved && open_here < FIRST_CONNECTIONS => true,
            _ => open_here < KNOWN_CONNECTIONS && is_known(),
        };
        if !has_place {
            return Err(ResourceLimit::Connections);
        }
        if open_here >= self.max_per_address && !ip.to_canonical().is_loopback() {
            return Err(ResourceLimit::ConnectionsPerAddress);
        }
        let id = id.unwrap_or_else(|| {
            let group = AddressGroup {
                address: Some(address),
                ..AddressGroup::default()
            };
            let id = self.groups.insert(group) as GroupId;
            self.by_address.insert(address, id);
            id
        });
        self.groups[id as usize].open += 1;
        self.open += 1;
        Ok(id)
    }

    /// A connection that was accepted is closed.
    pub(super) fn release(&mut self, id: GroupId) {
        self.open -= 1;
        self.groups[id as usize].open -= 1;
        self.remove_if_unused(id);
    }

    /// Whether a connection of this group may send another file, beside `pending` ones
    /// that are not counted yet. An address may have as many as are left for others.
    pub(super) fn may_open_file(&self, id: GroupId, pending: usize) -> bool {
        let left = self.max_files.saturating_sub(self.files + pending);
        self.groups[id as usize].files + pending < left
    }

    /// The number of files that an outbox of the group holds has changed.
    pub(super) fn change_files(&mut self, id: GroupId, before: usize, after: usize) {
        let group = &mut self.groups[id as usize];
        debug_assert!(group.files + after >= before);
        group.files = (group.files + after).saturating_sub(before);
        self.files = (self.files + after).saturating_sub(before);
    }

    /// The number of handshakes of this group that are under way.
    pub(super) fn handshakes(&mut self, id: GroupId) -> &mut usize {
        &mut self.groups[id as usize].handshakes
    }

    fn remove_if_unused(&mut self, id: GroupId) {
        let group = &self.groups[id as usize];
        if let Some(address) = group.address
            && group.open == 0
            && !group.is_queued
        {
            self.by_address.remove(&address);
            self.groups.remove(id as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn acquire(groups: &mut AddressGroups, ip: &str) -> Result<GroupId, ResourceLimit> {
        groups.acquire(ip.parse().expect("an address"), || false)
    }

    #[test]
    fn one_address_cannot_take_all_connections_but_loopback_can() {
        let mut groups = AddressGroups::new(5, 2, 9);
        let first = acquire(&mut groups, "192.0.2.1").expect("a place");
        assert_eq!(acquire(&mut groups, "::ffff:192.0.2.1"), Ok(first));
        let full = Err(ResourceLimit::ConnectionsPerAddress);
        assert_eq!(acquire(&mut groups, "192.0.2.1"), full);
        for ip in ["127.0.0.1", "127.0.0.1", "::1"] {
            assert!(acquire(&mut groups, ip).is_ok());
        }
        let full = Err(ResourceLimit::Connections);
        assert_eq!(acquire(&mut groups, "127.0.0.1"), full);
        groups.release(first);
        assert_eq!(acquire(&mut groups, "192.0.2.1"), Ok(first));
    }

    #[test]
    fn an_ipv6_network_of_one_host_counts_as_one_address() {
        let mut groups = AddressGroups::new(5, 1, 9);
        let first = acquire(&mut groups, "2001:db8::1").expect("a place");
        let full = Err(ResourceLimit::ConnectionsPerAddress);
        assert_eq!(acquire(&mut groups, "2001:db8::2:1"), full);
        assert!(acquire(&mut groups, "2001:db8:0:1::1").is_ok());
        groups.release(first);
        assert_eq!(groups.by_address.len(), 1);
    }

    #[test]
    fn the_last_places_are_for_first_connections_and_known_addresses() {
        let mut groups = AddressGroups::new(64, 60, 9);
        let mut taken = 0;
        while acquire(&mut groups, "192.0.2.1").is_ok() {
            taken += 1;
        }
        assert_eq!(taken, 60);
        assert!(acquire(&mut groups, "192.0.2.2").is_ok());
        assert!(acquire(&mut groups, "192.0.2.3").is_ok());
        let full = Err(ResourceLimit::Connections);
        assert_eq!(acquire(&mut groups, "192.0.2.4"), full);
        let mut known = |ip: &str| groups.acquire(ip.parse().expect("an address"), || true);
        assert_eq!(known("192.0.2.1"), full, "it has more than its part");
        assert!(known("192.0.2.2").is_ok());
        assert!(known("192.0.2.9").is_ok());
        assert_eq!(known("192.0.2.9"), full, "no place is left");
    }

    #[test]
    fn an_address_has_as_many_files_as_are_left() {
        let mut groups = AddressGroups::new(64, 60, 9);
        let mut opened = Vec::new();
        for ip in ["192.0.2.1", "192.0.2.2", "192.0.2.3"] {
            let id = acquire(&mut groups, ip).expect("a place");
            let mut files = 0;
            while groups.may_open_file(id, 0) {
                groups.change_files(id, files, files + 1);
                files += 1;
            }
            opened.push(files);
        }
        assert_eq!(opened, [5, 2, 1]);
    }
}
