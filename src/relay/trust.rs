//! Which clients may register addresses other than their own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::protocol::canonical;

/// The networks whose clients may register any address.
#[derive(Clone, Debug)]
pub struct Trust(Vec<Network>);

impl Trust {
    /// Trusts these networks, or loopback (the operator) if none is given. A named
    /// network replaces loopback, because behind a proxy, behind a tunnel or in a
    /// container every client appears to be on loopback.
    #[must_use]
    pub fn new(networks: Vec<Network>) -> Self {
        if networks.is_empty() {
            Self(Network::loopback().into())
        } else {
            Self(networks)
        }
    }

    /// Whether `ip` is in one of the networks.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(ip))
    }
}

/// A network in CIDR notation, such as `10.0.0.0/8` or `fd00::/8`, or one address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Network {
    address: IpAddr,
    prefix: u32,
}

impl Network {
    fn loopback() -> [Self; 2] {
        [
            Self {
                address: IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)),
                prefix: 8,
            },
            Self {
                address: IpAddr::V6(Ipv6Addr::LOCALHOST),
                prefix: 128,
            },
        ]
    }

    fn contains(&self, ip: IpAddr) -> bool {
        match (self.address, canonical(ip)) {
            (IpAddr::V4(network), IpAddr::V4(ip)) => {
                let mask = u32::MAX.checked_shl(32 - self.prefix).unwrap_or(0);
                u32::from(network) & mask == u32::from(ip) & mask
            }
            (IpAddr::V6(network), IpAddr::V6(ip)) => {
                let mask = u128::MAX.checked_shl(128 - self.prefix).unwrap_or(0);
                u128::from(network) & mask == u128::from(ip) & mask
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const FORM: &str = "a network is an address or address/bits, such as 10.0.0.0/8";
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| FORM)?;
        let max_bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match bits {
            None => max_bits,
            Some(bits) => bits
                .parse()
                .ok()
                .filter(|bits| *bits <= max_bits)
                .ok_or(FORM)?,
        };
        Ok(Self { address, prefix })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trust(networks: &[&str]) -> Trust {
        Trust::new(networks.iter().map(|n| n.parse().unwrap()).collect())
    }

    fn contains(trust: &Trust, ip: &str) -> bool {
        trust.contains(ip.parse().unwrap())
    }

    #[test]
    fn loopback_is_trusted_until_a_network_is_named() {
        let default = trust(&[]);
        assert!(contains(&default, "127.3.2.1"));
        assert!(contains(&default, "::1"));
        assert!(contains(&default, "::ffff:127.0.0.1"));
        assert!(!contains(&default, "10.0.0.1"));
        let named = trust(&["10.0.0.0/8", "fd00::/8"]);
        assert!(contains(&named, "10.255.0.1"));
        assert!(contains(&named, "fdff::1"));
        assert!(!contains(&named, "11.0.0.1"));
        assert!(!contains(&named, "127.0.0.1"));
    }

    #[test]
    fn a_prefix_of_0_bits_contains_all_and_malformed_networks_are_rejected() {
        assert!(contains(&trust(&["0.0.0.0/0"]), "203.0.113.9"));
        assert!(contains(&trust(&["::/0"]), "2001:db8::1"));
        for text in ["", "10.0.0.0/33", "10.0.0.0/x", "::/129", "relay"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}
