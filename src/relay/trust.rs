//! Who may register addresses that are not their own.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::protocol::canonical;

/// The networks whose word on an address is believed.
#[derive(Clone, Debug)]
pub struct Trust(Vec<Network>);

impl Trust {
    /// Trusts these networks; with none given, loopback: that is the operator.
    /// Behind a proxy, a tunnel or in a container everybody comes from loopback,
    /// so naming a network replaces it.
    #[must_use]
    pub fn new(networks: Vec<Network>) -> Self {
        if networks.is_empty() {
            Self(Network::loopback().into())
        } else {
            Self(networks)
        }
    }

    /// Whether `ip` is in one of them.
    #[must_use]
    pub fn includes(&self, ip: IpAddr) -> bool {
        self.0.iter().any(|network| network.includes(ip))
    }
}

/// Addresses that begin with the same bits: `10.0.0.0/8`, `fd00::/8`, or one address.
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

    fn includes(&self, ip: IpAddr) -> bool {
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
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match bits {
            None => most,
            Some(bits) => bits.parse().ok().filter(|bits| *bits <= most).ok_or(FORM)?,
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

    fn includes(trust: &Trust, ip: &str) -> bool {
        trust.includes(ip.parse().unwrap())
    }

    #[test]
    fn loopback_is_trusted_until_a_network_is_named() {
        let default = trust(&[]);
        assert!(includes(&default, "127.3.2.1"));
        assert!(includes(&default, "::1"));
        assert!(includes(&default, "::ffff:127.0.0.1"));
        assert!(!includes(&default, "10.0.0.1"));
        let named = trust(&["10.0.0.0/8", "fd00::/8"]);
        assert!(includes(&named, "10.255.0.1"));
        assert!(includes(&named, "fdff::1"));
        assert!(!includes(&named, "11.0.0.1"));
        assert!(!includes(&named, "127.0.0.1"));
    }

    #[test]
    fn a_network_of_no_bits_is_everybody_and_nonsense_is_refused() {
        assert!(includes(&trust(&["0.0.0.0/0"]), "203.0.113.9"));
        assert!(includes(&trust(&["::/0"]), "2001:db8::1"));
        for text in ["", "10.0.0.0/33", "10.0.0.0/x", "::/129", "relay"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}
