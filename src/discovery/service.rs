//! What DNS-SD says about a server. Everything that comes from the network is untrusted.

use std::net::{IpAddr, Ipv6Addr};
use std::str::FromStr;

use mdns_sd::{InterfaceId, ResolvedService, ScopedIp};

use crate::protocol::{NodeAddress, Port};
use crate::tls::KeyId;

/// The version of the program that announces itself.
pub(super) const VERSION: &str = "version";
/// Who the server is, as it prints its id.
pub(super) const ID: &str = "id";

/// The interface with loopback addresses: each machine has its own.
const LOOPBACK_INTERFACE: &str = "lo";

/// The kind of a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ServiceKind {
    /// A relay.
    Relay,
    /// A node.
    Node,
}

impl ServiceKind {
    /// The service type of DNS-SD.
    pub(super) fn service_type(self) -> &'static str {
        match self {
            Self::Relay => "_peerline._tcp.local.",
            Self::Node => "_peerline-node._tcp.local.",
        }
    }
}

/// Who a server claims to be. What is announced under the same name with another id, or without
/// one, is another server.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ServiceIdentity {
    /// What it calls itself, as anybody else can.
    pub name: String,
    /// Its id. Only TLS proves that.
    pub id: Option<KeyId>,
}

/// A server that was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FoundService {
    /// Who it claims to be.
    pub identity: ServiceIdentity,
    /// Its addresses, at least one: IPv4 before IPv6.
    pub addresses: Vec<NodeAddress>,
}

impl FoundService {
    /// None if no address is of use.
    pub(super) fn new(service: &ResolvedService) -> Option<Self> {
        let port = Port::new(service.port)?;
        let usable = service.addresses.iter().filter(|ip| is_usable(ip));
        let addresses = usable.filter_map(|ip| NodeAddress::new(ip.to_ip_addr(), port).ok());
        let mut addresses: Vec<NodeAddress> = addresses.collect();
        // This machine's own servers are found on several interfaces.
        if !addresses.iter().all(NodeAddress::is_loopback) {
            addresses.retain(|address| !address.is_loopback());
        }
        addresses.sort();
        addresses.dedup();
        let id = service.get_property_val_str(ID);
        let id = id.and_then(|id| KeyId::from_str(id).ok());
        let name = service.fullname.clone();
        (!addresses.is_empty()).then_some(Self {
            identity: ServiceIdentity { name, id },
            addresses,
        })
    }
}

/// Whether a server may be at this address: no other machine can say what is on loopback, and
/// an address that needs a zone is of use on one interface only.
fn is_usable(ip: &ScopedIp) -> bool {
    match ip {
        ScopedIp::V4(v4) if v4.addr().is_loopback() => {
            let interfaces = v4.interface_ids();
            let is_loopback = |id: &InterfaceId| id.name == LOOPBACK_INTERFACE;
            !interfaces.is_empty() && interfaces.iter().all(is_loopback)
        }
        ScopedIp::V6(v6) if v6.addr().is_loopback() => v6.scope_id().name == LOOPBACK_INTERFACE,
        _ => match ip.to_ip_addr() {
            IpAddr::V4(_) => true,
            IpAddr::V6(ip) => !is_link_local(ip),
        },
    }
}

/// `fe80::/10` (RFC 4291, 2.5.6).
pub(super) fn is_link_local(ip: Ipv6Addr) -> bool {
    ip.segments()[0] & 0xffc0 == 0xfe80
}

#[cfg(test)]
mod tests {
    use mdns_sd::ServiceInfo;

    use super::*;

    /// What a machine on the network says about a server.
    fn found(addresses: &str, port: u16, properties: &[(&str, &str)]) -> Option<FoundService> {
        let (name, host) = ("\u{202e}\n\u{1b}[2J", "host.local.");
        let kind = ServiceKind::Relay.service_type();
        let info = ServiceInfo::new(kind, name, host, addresses, port, properties);
        FoundService::new(&info.expect("it is well-formed").as_resolved_service())
    }

    fn addresses(texts: &[&str]) -> Vec<NodeAddress> {
        let nodes = texts.iter().map(|text| NodeAddress::parse(text));
        nodes.map(|node| node.expect("an address")).collect()
    }

    #[test]
    fn addresses_of_no_use_are_left_out() {
        let service = found("2001:db8::1,fe80::1,192.0.2.7,127.0.0.1,::1", 9, &[]);
        let expected = addresses(&["192.0.2.7 9", "2001:db8::1 9"]);
        assert_eq!(service.expect("two are of use").addresses, expected);
        for useless in [
            "0.0.0.0",
            "224.0.0.251",
            "::",
            "fe80::7",
            "127.0.0.1",
            "::1",
        ] {
            assert_eq!(found(useless, 9, &[]), None, "{useless}");
        }
        assert_eq!(found("192.0.2.7", 0, &[]), None);
    }

    #[test]
    fn an_id_that_is_none_is_ignored() {
        let id = KeyId::of(b"a key").to_string();
        let of = |text| {
            let found = found("192.0.2.7", 9, &[("id", text)]);
            found.expect("it is of use").identity.id
        };
        assert_eq!(of(&id), Some(KeyId::of(b"a key")));
        for wrong in ["", "sha256//", "\u{1b}[2J", &id[..40]] {
            assert_eq!(of(wrong), None);
        }
    }
}
