//! Addresses of nodes.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;

use nom::combinator::map_opt;
use nom::{IResult, Parser};

use crate::protocol::fields::{field, number};
use crate::protocol::reverse_text::ReverseText;

/// A port that can be connected to: 1 to 65535.
pub type Port = NonZeroU16;

/// The IP address and the port to which one connects to reach a node. The IP address
/// is canonical: an IPv4 address mapped into IPv6 (RFC 4291, 2.5.5.2) is stored as
/// IPv4.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NodeAddress {
    ip: IpAddr,
    port: Port,
}

impl NodeAddress {
    /// Makes an address.
    ///
    /// # Errors
    /// [`AddressError::NotAHost`] if `ip` does not identify one host.
    pub fn new(ip: IpAddr, port: Port) -> Result<Self, AddressError> {
        Ok(Self {
            ip: host_ip(ip)?,
            port,
        })
    }

    /// Parses `ip port`, a line of a list of nodes. Ignores fields after them: later
    /// versions may add some.
    ///
    /// # Errors
    /// The rule that the line breaks.
    pub fn parse(line: &str) -> Result<Self, AddressError> {
        match claim(line) {
            Ok((_, (ClaimedIp::Address(ip), port))) => Self::new(ip, port),
            Ok((_, (ClaimedIp::Source, _))) | Err(_) => Err(AddressError::Form),
        }
    }

    /// The IP address.
    #[must_use]
    pub fn ip(&self) -> IpAddr {
        self.ip
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> Port {
        self.port
    }

    /// Appends the address as on the wire. Faster than formatting: a list may have a
    /// million of them.
    pub(crate) fn append_to(&self, text: &mut Vec<u8>) {
        match self.ip {
            IpAddr::V4(ip) => text.extend_from_slice(ipv4_text(ip, self.port).as_bytes()),
            IpAddr::V6(_) => text.extend_from_slice(self.to_string().as_bytes()),
        }
    }

    /// Whether only programs on the same host can reach the node.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.ip.is_loopback()
    }
}

impl From<NodeAddress> for SocketAddr {
    fn from(address: NodeAddress) -> Self {
        Self::new(address.ip, address.port.get())
    }
}

/// As on the wire: `ip port`, with the IP address in the form of RFC 5952.
impl fmt::Display for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip {
            IpAddr::V4(ip) => f.write_str(ipv4_text(ip, self.port).as_str()),
            IpAddr::V6(ip) => write!(f, "{ip} {}", self.port),
        }
    }
}

/// Lists contain many of these.
fn ipv4_text(ip: Ipv4Addr, port: Port) -> ReverseText<21> {
    let mut text = ReverseText::new();
    text.prepend_number(port.get().into());
    for (octet, separator) in ip.octets().into_iter().zip(*b"... ").rev() {
        text.prepend(separator);
        text.prepend_number(octet.into());
    }
    text
}

/// The IP address that a client wants to register.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ClaimedIp {
    /// `*`: the address at which the relay sees the client.
    Source,
    /// A given address.
    Address(IpAddr),
}

impl fmt::Display for ClaimedIp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source => f.write_str("*"),
            Self::Address(ip) => ip.fmt(f),
        }
    }
}

/// Parses an IP address or `*`, and a port. [`NodeAddress::new`] checks whether a node
/// can have the address.
pub(super) fn claim(input: &str) -> IResult<&str, (ClaimedIp, Port)> {
    let ip = field.map_res(|text: &str| match text {
        "*" => Ok(ClaimedIp::Source),
        literal => literal
            .parse()
            .map(|ip| ClaimedIp::Address(canonical(ip)))
            .map_err(|_| AddressError::Form),
    });
    (ip, number).parse(input)
}

/// Parses the address of a node.
pub(super) fn node_address(input: &str) -> IResult<&str, NodeAddress> {
    map_opt(claim, |(ip, port)| match ip {
        ClaimedIp::Address(ip) => NodeAddress::new(ip, port).ok(),
        ClaimedIp::Source => None,
    })
    .parse(input)
}

/// The form in which addresses are compared and printed.
#[must_use]
pub fn canonical(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

/// The address that limits per address count: IPv6 addresses of one /64 network
/// are one, since a single host may use all of them (RFC 7721, 2.1).
#[must_use]
pub fn address_group(ip: IpAddr) -> IpAddr {
    match canonical(ip) {
        IpAddr::V6(v6) => IpAddr::V6((u128::from(v6) & (u128::MAX << 64)).into()),
        v4 => v4,
    }
}

fn host_ip(ip: IpAddr) -> Result<IpAddr, AddressError> {
    let ip = canonical(ip);
    let link_local = matches!(ip, IpAddr::V6(v6) if v6.is_unicast_link_local());
    let broadcast = ip == IpAddr::V4(Ipv4Addr::BROADCAST);
    if ip.is_unspecified() || ip.is_multicast() || broadcast || link_local {
        return Err(AddressError::NotAHost);
    }
    Ok(ip)
}

/// Why a text is not the address of a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum AddressError {
    /// The text is not `ip port`.
    Form,
    /// Unspecified, multicast, broadcast and IPv6 link-local addresses do not
    /// identify one host to which everybody can connect.
    NotAHost,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "an IP address and a port from 1 to 65535 are needed",
            Self::NotAHost => {
                "the address must identify one host: not unspecified, multicast, broadcast or link-local"
            }
        })
    }
}

impl std::error::Error for AddressError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_ipv4_address_is_printed_as_by_the_standard_library(ip: Ipv4Addr, port: Port) {
            let text = ipv4_text(ip, port);
            prop_assert_eq!(text.as_str(), format!("{ip} {port}"));
        }
    }
}
