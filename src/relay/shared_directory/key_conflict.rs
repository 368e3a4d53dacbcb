//! Registrations of one address with different keys, at relays that have not heard of each
//! other's.
//!
//! A node with a key keeps its address until its lease ends, as at one relay
//! ([`Directory::register`](crate::relay::directory::Directory::register)): the first registration
//! in the order of the engine counts, and all later ones with another key, or none, do not.
//! One without a key gives way to each one with a key.
//!
//! All relays decide alike. A relay that has accepted a registration of its own client too early
//! gives way to one that the engine has put before: its own is not *held* until it has returned
//! from the engine, or a record of the engine shows it.
//!
//! The engine executes a batch whose registration does not count, too. The relay of the node
//! therefore publishes the node again, as one that is held. This counts for every relay, even for
//! one that has loaded the wrong record meanwhile. No relay refuses it, so relays never publish
//! two nodes in turn.
//!
//! `KEY` says of which registration a change is: what another one announces, or that it leaves,
//! does not count. Because `KEY` also precedes `RENEW`, relays that differ, such as after they were
//! cut off, agree with the next renewal.

use std::time::Instant;

use crate::protocol::NodeAddress;
use crate::relay::Relay;
use crate::relay::shared_directory::change::{DirectoryChange, NodeHeader};
use crate::relay::shared_directory::{Hold, LEASE_GRACE};
use crate::relay::table::SlotId;
use crate::tls::KeyId;

impl Relay {
    /// Whether a registration does not count, because the node at its address keeps it. The
    /// lines that follow do not count either.
    pub(super) fn is_refused(
        &mut self,
        address: NodeAddress,
        header: &NodeHeader,
        now: Instant,
    ) -> bool {
        if let Some(shared) = &mut self.shared
            && shared.unconfirmed.is_held_against(&address, header.key)
            && !header.is_held
        {
            shared.incoming.refuse(address);
            return true;
        }
        let slot = self.directory.find(&address);
        let slot = slot.filter(|slot| self.is_held_against(*slot, header, now));
        if let Some(slot) = slot {
            self.refuse(address, slot);
        }
        slot.is_some()
    }

    /// The lines that follow are of a node with this key. They do not count if another one is at
    /// its address.
    pub(super) fn check_key(&mut self, address: NodeAddress, key: Option<KeyId>) {
        if let Some(slot) = self.directory.find(&address)
            && self.directory.registrant(slot).key != key
        {
            self.refuse(address, slot);
        }
    }

    /// Ignores what follows about a node at this address: it is not the one in the slot.
    fn refuse(&mut self, address: NodeAddress, slot: SlotId) {
        let has_key = self.directory.registrant(slot).key.is_some();
        if let Some(shared) = &mut self.shared {
            shared.incoming.refuse(address);
            let node = shared.node(slot);
            if has_key && node.is_own {
                // The engine's record is that of the other registration.
                shared.publish_node(address, slot, DirectoryChange::Add);
            } else if has_key {
                node.hold = Hold::Disputed;
            }
        }
    }

    /// A relay has renewed the lease of another node than the one at this address. If no relay
    /// is left that would publish this one, the other relay is to publish its own.
    pub(super) fn dispute_renewal(&mut self, address: NodeAddress, now: Instant) {
        let Some(slot) = self.directory.find(&address) else {
            return;
        };
        let subject = self.subject(address, slot);
        if let Some(shared) = &mut self.shared
            && (!shared.node(slot).is_own || subject.key.is_none())
        {
            shared.publish(Some(subject), &DirectoryChange::Key(subject.key), now);
        }
    }

    /// Whether the node in a slot keeps its address from this registration.
    pub(super) fn is_held_against(&self, slot: SlotId, header: &NodeHeader, now: Instant) -> bool {
        self.directory.has_other_key(slot, header.key)
            && self.remaining_lease(slot, now) > LEASE_GRACE
            && !header.is_held
            && (header.key.is_none() || self.is_held(slot))
    }

    /// See [`NodeHeader::is_held`].
    pub(super) fn is_held(&self, slot: SlotId) -> bool {
        self.hold(slot) != Hold::Unconfirmed
    }

    pub(super) fn hold(&self, slot: SlotId) -> Hold {
        let shared = self.shared.as_ref();
        let node = shared.and_then(|shared| shared.nodes.get(slot as usize));
        node.map_or(Hold::Unconfirmed, |node| node.hold)
    }

    pub(super) fn set_hold(&mut self, slot: SlotId, hold: Hold) {
        if let Some(shared) = &mut self.shared {
            shared.node(slot).hold = hold;
        }
    }

    /// The relay's own batches up to this number have returned.
    pub(super) fn confirm(&mut self, number: u64) {
        let Some(shared) = &mut self.shared else {
            return;
        };
        shared.flow.confirm(number);
        for node in shared.unconfirmed.confirm(number) {
            let slot = self.directory.find(&node.address);
            if let Some(slot) = slot.filter(|slot| !self.directory.has_other_key(*slot, node.key)) {
                let hold = &mut shared.node(slot).hold;
                *hold = (*hold).max(Hold::Confirmed);
            }
        }
    }
}
