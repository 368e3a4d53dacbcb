//! The addresses of servers, users and attackers, and connections from a chosen address.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, SocketAddrV4, TcpStream};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};

/// The longest time for an answer before the attack begins.
const TIMEOUT: Duration = Duration::from_secs(10);

/// A /16 network on this machine.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Network([u8; 2]);

impl Network {
    /// Adds [`Network::OWN`] to loopback.
    pub(crate) const SETUP: &'static str = "ip link set lo up && ip addr add 10.9.0.1/16 dev lo";
    /// The network in a namespace of our own. The servers take its addresses for
    /// strangers.
    pub(crate) const OWN: Self = Self([10, 9]);
    /// A part of loopback, where the servers limit no connections and nodes by address.
    pub(crate) const LOOPBACK: Self = Self([127, 9]);

    /// The address of the servers.
    pub(crate) fn server(self) -> Ipv4Addr {
        self.address(0, 1)
    }

    /// An address of a group.
    pub(crate) fn address(self, group: u8, number: u8) -> Ipv4Addr {
        let Self([a, b]) = self;
        Ipv4Addr::new(a, b, group, number)
    }
}

/// Begins to connect, from an address and any port.
pub(crate) fn start_connect(from: Ipv4Addr, to: SocketAddr) -> io::Result<mio::net::TcpStream> {
    let socket = bound_socket(from, SocketFlags::NONBLOCK)?;
    match connect(&socket, &to) {
        Ok(()) | Err(Errno::INPROGRESS) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(mio::net::TcpStream::from_std(TcpStream::from(socket)))
}

/// Sends requests from an address, half-closes, and reads all replies.
pub(crate) fn ask(from: Ipv4Addr, to: SocketAddr, requests: &str) -> io::Result<Vec<u8>> {
    let socket = bound_socket(from, SocketFlags::empty())?;
    connect(&socket, &to)?;
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.write_all(requests.as_bytes())?;
    stream.shutdown(Shutdown::Write)?;
    let mut replies = Vec::new();
    stream.read_to_end(&mut replies)?;
    Ok(replies)
}

fn bound_socket(from: Ipv4Addr, flags: SocketFlags) -> io::Result<OwnedFd> {
    let flags = flags | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    bind(&socket, &SocketAddrV4::new(from, 0))?;
    Ok(socket)
}
