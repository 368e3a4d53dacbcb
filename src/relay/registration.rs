//! `REGISTER`, `UNREGISTER`, `LIST`: which nodes are in the directory, and under
//! which address.

use std::net::IpAddr;
use std::time::Instant;

use log::info;

use crate::close_reason::{CloseReason, ResourceLimit};
use crate::protocol::{ClaimedIp, NodeAddress, Port, Registered, Rejection};
use crate::relay::registrant::{DirectoryError, Registrant};
use crate::relay::session::Registration;
use crate::relay::table::SlotId;
use crate::relay::{Relay, RelayRequest, RelaySettings};
use crate::role::ReadNext;

/// Leases that expire in one turn of the loop; the others follow in the next turn.
const MAX_EXPIRED_PER_TURN: usize = 1000;

impl Relay {
    pub(super) fn register(
        &mut self,
        request: &mut RelayRequest<'_>,
        ip: ClaimedIp,
        port: Port,
    ) -> ReadNext {
        match self.add_node(request, ip, port) {
            Ok(registered) => {
                let number = self.last_registration;
                request.session.extended().registration =
                    Registration::Active(registered.address, number);
                request.reply.registered(&registered)
            }
            Err(rejection) => {
                request.session.extended().registration = Registration::Rejected;
                if rejection == Rejection::TooManyNodes {
                    let reason = CloseReason::LimitReached(ResourceLimit::Nodes);
                    return request.reply.reject_and_close(rejection, reason);
                }
                request.reply.reject(rejection)
            }
        }
    }

    fn add_node(
        &mut self,
        request: &mut RelayRequest<'_>,
        ip: ClaimedIp,
        port: Port,
    ) -> Result<Registered, Rejection> {
        let by = registrant(request);
        let source = by.source;
        let address = self.resolve_claim(by, ip, port)?;
        let previous = self.shared_registrant(&address);
        let number = self.last_registration + 1;
        let RelaySettings {
            lease,
            max_nodes,
            max_nodes_per_address,
            ref trust,
            ..
        } = self.settings;
        let max_per_address = if trust.contains(source) {
            max_nodes
        } else {
            max_nodes_per_address
        };
        let slot = self
            .directory
            .register(
                (address, by, number),
                request.now + lease,
                max_nodes,
                max_per_address,
            )
            .map_err(|error| rejection(error, address))?;
        self.last_registration = number;
        self.counters.registrations_on_loopback += u64::from(address.is_loopback());
        if let Some(listener) = self.take_other_listener(address, by.key, request.now) {
            request.reply.replaced(listener);
        }
        let is_new = self.directory.first_registration(slot) == number;
        if is_new {
            match by.key {
                Some(id) => info!("node {address} registered by {source}, id {id}"),
                None => info!("node {address} registered by {source}"),
            }
        }
        if self.shared.is_some() {
            let is_other = previous != Some(by);
            self.record_registration((address, slot), is_new, is_other, request.now);
        }
        Ok(Registered {
            lease,
            address,
            files: self.index.file_count(slot),
            epoch: Some(self.epoch(slot)),
        })
    }

    /// The epoch of the entry of a node.
    pub(super) fn epoch(&self, slot: SlotId) -> u64 {
        match &self.shared {
            Some(shared) => shared.epoch(slot),
            None => self.local_epoch(slot),
        }
    }

    /// The place of an entry in the list; also its epoch, if this relay has made the entry.
    pub(super) fn local_epoch(&self, slot: SlotId) -> u64 {
        self.first_epoch + self.directory.first_registration(slot)
    }

    /// Who registered a node, if other relays have to know when that changes.
    fn shared_registrant(&self, address: &NodeAddress) -> Option<Registrant> {
        self.shared.as_ref()?;
        let slot = self.directory.find(address)?;
        Some(self.directory.registrant(slot))
    }

    pub(super) fn unregister(
        &mut self,
        request: &mut RelayRequest<'_>,
        ip: ClaimedIp,
        port: Port,
    ) -> ReadNext {
        let result = self.remove_node(request.now, registrant(request), ip, port);
        request.reply.ok_or_error(result)
    }

    fn remove_node(
        &mut self,
        now: Instant,
        by: Registrant,
        ip: ClaimedIp,
        port: Port,
    ) -> Result<(), Rejection> {
        let source = by.source;
        let address = match ip {
            ClaimedIp::Source => node_address(source, port)?,
            // The directory knows who registered the node.
            ClaimedIp::Address(ip) => node_address(ip, port)?,
        };
        let is_trusted = self.settings.trust.contains(source);
        if address.is_loopback()
            && !source.is_loopback()
            && !is_trusted
            && !self.has_key_of(by, &address)
        {
            // Nodes on loopback are not disclosed to clients elsewhere.
            return Err(rejection(DirectoryError::UnknownNode, address));
        }
        let slot = self
            .directory
            .removable_slot(&address, by, is_trusted)
            .map_err(|error| rejection(error, address))?;
        self.record_removal((address, slot), now);
        self.directory.evict(&address);
        // Frees the slot of a node without files now: REGISTER and UNREGISTER in a row
        // could outrun the clean-up on the timer.
        self.remove_departed(1);
        info!("node {address} unregistered by {source}");
        Ok(())
    }

    pub(super) fn list(&mut self, request: &mut RelayRequest<'_>) -> ReadNext {
        self.counters.lists += 1;
        let on_loopback = request.is_loopback();
        if request.conn.is_some() {
            let list = self.directory.rendered_list(on_loopback);
            return request.reply.rendered(&list);
        }
        // A datagram has room for a few nodes only: rendering all would cost more.
        let nodes = self.directory.visible_nodes(on_loopback);
        request.reply.nodes(self.directory.len(on_loopback), nodes)
    }

    /// Removes nodes whose leases have expired, a bounded number at a time.
    pub(super) fn expire_leases(&mut self, now: Instant) {
        for _ in 0..MAX_EXPIRED_PER_TURN {
            let Some(address) = self.directory.expire_one(now) else {
                break;
            };
            self.counters.expired += 1;
            self.counters.expired_on_loopback += u64::from(address.is_loopback());
            info!("node {address} did not renew its lease");
        }
    }

    /// Whether the node at an address is registered with the key of this client.
    fn has_key_of(&self, by: Registrant, address: &NodeAddress) -> bool {
        by.key.is_some() && self.directory.id_at(address) == by.key
    }

    /// The address under which a node is listed, if it may claim it: a relay that
    /// accepted every claim could be used to attack others.
    fn resolve_claim(
        &self,
        by: Registrant,
        ip: ClaimedIp,
        port: Port,
    ) -> Result<NodeAddress, Rejection> {
        let ip = match ip {
            ClaimedIp::Source => by.source,
            ClaimedIp::Address(ip) => ip,
        };
        let address = node_address(ip, port)?;
        let is_own = ip == by.source || self.settings.trust.contains(by.source);
        // The node is there already, and has moved or has several addresses.
        if is_own || self.has_key_of(by, &address) {
            return Ok(address);
        }
        Err(Rejection::NotYourAddress {
            seen: by.source,
            port,
        })
    }
}

/// Who makes the request.
pub(super) fn registrant(request: &RelayRequest<'_>) -> Registrant {
    Registrant {
        source: request.ip,
        key: request.session.key(),
    }
}

fn node_address(ip: IpAddr, port: Port) -> Result<NodeAddress, Rejection> {
    NodeAddress::new(ip, port).map_err(Rejection::Address)
}

fn rejection(error: DirectoryError, address: NodeAddress) -> Rejection {
    match error {
        DirectoryError::UnknownNode => Rejection::NotRegistered(address),
        DirectoryError::NotOwner => Rejection::NotYourNode(address),
        DirectoryError::OtherKey => Rejection::NotYourKey(address),
        DirectoryError::AddressFull => Rejection::TooManyNodesAtAddress,
        DirectoryError::DirectoryFull => Rejection::TooManyNodes,
    }
}
