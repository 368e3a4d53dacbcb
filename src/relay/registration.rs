//! Who may be in the directory, and under which address.

use std::net::IpAddr;
use std::time::Instant;

use crate::protocol::{self, ClaimedIp, Code, NodeAddress, Port, Registered};
use crate::relay::directory::Refusal;
use crate::relay::{Rejection, Relay, RelaySettings};

impl Relay {
    pub(super) fn register(
        &mut self,
        now: Instant,
        seen: IpAddr,
        ip: ClaimedIp,
        port: Port,
    ) -> Result<Registered, Rejection> {
        let address = self.claimed(seen, ip, port)?;
        let lease = self.settings.lease;
        let before = self.directory.len(true);
        let number = self.registrations + 1;
        let RelaySettings {
            max_nodes,
            mut max_of_host,
            ..
        } = self.settings;
        if self.settings.trust.includes(seen) {
            max_of_host = max_nodes;
        }
        let place = self
            .directory
            .register(address, seen, number, now + lease, max_nodes, max_of_host)
            .map_err(|refusal| refused(refusal, address))?;
        self.registrations = number;
        if self.directory.len(true) > before {
            self.journal
                .tell(now, format_args!("node {address} registered by {seen}"));
        }
        Ok(Registered {
            lease,
            address,
            files: self.index.files(place),
        })
    }

    pub(super) fn unregister(
        &mut self,
        now: Instant,
        seen: IpAddr,
        ip: ClaimedIp,
        port: Port,
    ) -> Result<(), Rejection> {
        let address = match ip {
            ClaimedIp::Seen => self.claimed(seen, ip, port)?,
            // The directory knows who registered it.
            ClaimedIp::Is(ip) => node_address(ip, port)?,
        };
        let trusted = self.settings.trust.includes(seen);
        if address.is_loopback() && !seen.is_loopback() && !trusted {
            // Nobody elsewhere learns what is registered on loopback.
            return Err(refused(Refusal::Unknown, address));
        }
        self.directory
            .unregister(&address, seen, trusted)
            .map_err(|refusal| refused(refusal, address))?;
        // One without files is gone at once: they could come faster than the
        // loop takes them out.
        self.forget_left(1);
        self.journal
            .tell(now, format_args!("node {address} unregistered by {seen}"));
        Ok(())
    }

    /// The address that a node asks to be listed under, if it may have it:
    /// a relay that believed every claim would be a tool to attack others.
    pub(super) fn claimed(
        &self,
        seen: IpAddr,
        ip: ClaimedIp,
        port: Port,
    ) -> Result<NodeAddress, Rejection> {
        match ip {
            ClaimedIp::Seen => node_address(seen, port),
            ClaimedIp::Is(ip) if ip == seen || self.settings.trust.includes(seen) => {
                node_address(ip, port)
            }
            ClaimedIp::Is(_) => Err((
                Code::NotAllowed,
                format!("you are seen at {seen}: use REGISTER * {port} or REGISTER {seen} {port}"),
            )),
        }
    }
}

fn node_address(ip: IpAddr, port: Port) -> Result<NodeAddress, Rejection> {
    NodeAddress::new(ip, port).map_err(|why| (Code::Syntax, why.to_string()))
}

fn refused(refusal: Refusal, address: NodeAddress) -> Rejection {
    match refusal {
        Refusal::Unknown => (Code::NoSuchNode, format!("no node {address} is registered")),
        Refusal::NotYours => (
            Code::NotAllowed,
            format!("{address} was registered by somebody else"),
        ),
        Refusal::HostFull => (
            Code::LimitReached,
            "too many nodes of your address; UNREGISTER some".into(),
        ),
        Refusal::Full => (Code::Full, protocol::Rejection::TooManyNodes.to_string()),
    }
}
