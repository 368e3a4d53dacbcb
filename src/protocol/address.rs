//! Addresses of nodes: an IP address and a port that somebody may dial.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU16;

use nom::{IResult, Parser};

use crate::protocol::fields::{field, number};

/// A port that can be connected to: 1 to 65535.
pub type Port = NonZeroU16;

/// Where a node can be reached. The address is canonical: an IPv4 address that
/// came wrapped in IPv6 (RFC 4291, 2.5.5.2) is unwrapped.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NodeAddress {
    ip: IpAddr,
    port: Port,
}

impl NodeAddress {
    /// Joins the two.
    ///
    /// # Errors
    /// [`AddressError::NotAHost`] if `ip` does not name one host.
    pub fn new(ip: IpAddr, port: Port) -> Result<Self, AddressError> {
        Ok(Self {
            ip: host(ip)?,
            port,
        })
    }

    /// Reads `ip port`, as in a list of nodes. Fields after them are ignored:
    /// later versions may add some.
    ///
    /// # Errors
    /// What is wrong with the line.
    pub fn parse(line: &str) -> Result<Self, AddressError> {
        let (_, (ip, port)) = claim(line).map_err(|_| AddressError::Form)?;
        match ip {
            ClaimedIp::Is(ip) => Self::new(ip, port),
            ClaimedIp::Seen => Err(AddressError::Form),
        }
    }

    /// The address.
    #[must_use]
    pub fn ip(&self) -> IpAddr {
        self.ip
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> Port {
        self.port
    }

    /// Whether only programs on the same machine can reach it.
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

/// As on the wire: `ip port`, the address in the form of RFC 5952.
impl fmt::Display for NodeAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip {
            IpAddr::V4(ip) => f.write_str(Dotted::new(ip, self.port).as_str()),
            IpAddr::V6(ip) => write!(f, "{ip} {}", self.port),
        }
    }
}

/// An IPv4 address and a port in one piece. Lists hold very many, and number by
/// number the library takes five times as long.
struct Dotted {
    text: [u8; Self::LONGEST],
    /// It is written from its end to its beginning, which is here.
    start: usize,
}

impl Dotted {
    const LONGEST: usize = "255.255.255.255 65535".len();

    fn new(ip: Ipv4Addr, port: Port) -> Self {
        let mut text = Self {
            text: [0; Self::LONGEST],
            start: Self::LONGEST,
        };
        text.put_number(port.get());
        for (octet, after) in ip.octets().into_iter().zip(*b"... ").rev() {
            text.put(after);
            text.put_number(octet.into());
        }
        text
    }

    fn put_number(&mut self, mut number: u16) {
        loop {
            self.put(b'0' + (number % 10) as u8);
            number /= 10;
            if number == 0 {
                return;
            }
        }
    }

    fn put(&mut self, byte: u8) {
        self.start -= 1;
        self.text[self.start] = byte;
    }

    fn as_str(&self) -> &str {
        // Digits, dots and a blank.
        str::from_utf8(&self.text[self.start..]).unwrap_or_default()
    }
}

/// The address that a node says it has.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ClaimedIp {
    /// `*`: the one that the relay sees it at.
    Seen,
    /// This one.
    Is(IpAddr),
}

impl fmt::Display for ClaimedIp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Seen => f.write_str("*"),
            Self::Is(ip) => ip.fmt(f),
        }
    }
}

/// Reads a claimed address and a port. Whether the address may be used is for
/// [`NodeAddress::new`] to say.
pub(super) fn claim(input: &str) -> IResult<&str, (ClaimedIp, Port)> {
    let ip = field.map_res(|text: &str| match text {
        "*" => Ok(ClaimedIp::Seen),
        literal => literal
            .parse()
            .map(|ip| ClaimedIp::Is(canonical(ip)))
            .map_err(|_| AddressError::Form),
    });
    (ip, number).parse(input)
}

/// The one form in which an address is compared and printed.
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

fn host(ip: IpAddr) -> Result<IpAddr, AddressError> {
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
    /// It is not `ip port`.
    Form,
    /// Unspecified, multicast, broadcast and IPv6 link-local addresses do not
    /// name one host that everybody can dial.
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
        fn an_address_is_printed_as_the_library_does(ip: Ipv4Addr, port: Port) {
            let dotted = Dotted::new(ip, port);
            prop_assert_eq!(dotted.as_str(), format!("{ip} {port}"));
        }
    }
}
