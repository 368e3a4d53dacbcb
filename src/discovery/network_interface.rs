//! A network interface as a command line names it.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::str::FromStr;

use rustix::net::netdevice::name_to_index;

/// An interface of this machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum NetworkInterface {
    /// By its name, such as `eth0`.
    Name(String),
    /// By one of its addresses.
    Address(IpAddr),
}

impl NetworkInterface {
    /// Whether this is the interface with that name and address.
    pub(super) fn is(&self, name: &str, address: IpAddr) -> bool {
        match self {
            Self::Name(own) => own == name,
            Self::Address(own) => *own == address,
        }
    }
}

impl FromStr for NetworkInterface {
    type Err = String;

    /// A name must be that of an interface. An address may come later.
    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(address) = text.parse() {
            return Ok(Self::Address(address));
        }
        // Any socket will do.
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0));
        match socket.is_ok_and(|socket| name_to_index(&socket, text).is_err()) {
            true => Err(
                "write the name of an interface, or its address; `ip address` lists both".into(),
            ),
            false => Ok(Self::Name(text.to_owned())),
        }
    }
}
