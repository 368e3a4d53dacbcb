//! Who may be in the directory, and under which address.

use std::net::IpAddr;
use std::time::Instant;

use crate::close_reason::ResourceLimit;
use crate::protocol::{ClaimedIp, Code, NodeAddress, Port, Registered};
use crate::relay::directory::DirectoryError;
use crate::relay::{Rejection, Relay, RelaySettings};

impl Relay {
    pub(super) fn register(
        &mut self,
        now: Instant,
        peer_ip: IpAddr,
        ip: ClaimedIp,
        port: Port,
    ) -> Result<Registered, Rejection> {
        let address = self.resolve_claim(peer_ip, ip, port)?;
        let lease = self.settings.lease;
        let before = self.directory.len(true);
        let number = self.registrations + 1;
        let RelaySettings {
            max_nodes,
            mut max_nodes_per_address,
            ..
        } = self.settings;
        if self.settings.trust.contains(peer_ip) {
            max_nodes_per_address = max_nodes;
        }
        let slot = self
            .directory
            .register(
                address,
                peer_ip,
                number,
                now + lease,
                max_nodes,
                max_nodes_per_address,
            )
            .map_err(|error| rejection(error, address))?;
        self.registrations = number;
        if self.directory.len(true) > before {
            self.log
                .tell(now, format_args!("node {address} registered by {peer_ip}"));
        }
        Ok(Registered {
            lease,
            address,
            files: self.index.file_count(slot),
        })
    }

    pub(super) fn unregister(
        &mut self,
        now: Instant,
        peer_ip: IpAddr,
        ip: ClaimedIp,
        port: Port,
    ) -> Result<(), Rejection> {
        let address = match ip {
            ClaimedIp::Seen => self.resolve_claim(peer_ip, ip, port)?,
            // The directory knows who registered it.
            ClaimedIp::Is(ip) => node_address(ip, port)?,
        };
        let is_trusted = self.settings.trust.contains(peer_ip);
        if address.is_loopback() && !peer_ip.is_loopback() && !is_trusted {
            // Nobody elsewhere learns what is registered on loopback.
            return Err(rejection(DirectoryError::UnknownNode, address));
        }
        self.directory
            .unregister(&address, peer_ip, is_trusted)
            .map_err(|error| rejection(error, address))?;
        // One without files is gone at once: they could come faster than the
        // loop takes them out.
        self.remove_departed(1);
        self.log.tell(
            now,
            format_args!("node {address} unregistered by {peer_ip}"),
        );
        Ok(())
    }

    /// The address that a node asks to be listed under, if it may have it:
    /// a relay that believed every claim would be a tool to attack others.
    pub(super) fn resolve_claim(
        &self,
        peer_ip: IpAddr,
        ip: ClaimedIp,
        port: Port,
    ) -> Result<NodeAddress, Rejection> {
        match ip {
            ClaimedIp::Seen => node_address(peer_ip, port),
            ClaimedIp::Is(ip) if ip == peer_ip || self.settings.trust.contains(peer_ip) => {
                node_address(ip, port)
            }
            ClaimedIp::Is(_) => Err((
                Code::NotAllowed,
                format!(
                    "you are peer_ip at {peer_ip}: use REGISTER * {port} or REGISTER {peer_ip} {port}"
                ),
            )),
        }
    }
}

fn node_address(ip: IpAddr, port: Port) -> Result<NodeAddress, Rejection> {
    NodeAddress::new(ip, port).map_err(|why| (Code::Syntax, why.to_string()))
}

fn rejection(error: DirectoryError, address: NodeAddress) -> Rejection {
    match error {
        DirectoryError::UnknownNode => {
            (Code::NoSuchNode, format!("no node {address} is registered"))
        }
        DirectoryError::NotOwner => (
            Code::NotAllowed,
            format!("{address} was registered by somebody else"),
        ),
        DirectoryError::HostFull => (
            Code::LimitReached,
            "too many nodes of your address; UNREGISTER some".into(),
        ),
        DirectoryError::DirectoryFull => (Code::Full, ResourceLimit::Nodes.error_text().into()),
    }
}
