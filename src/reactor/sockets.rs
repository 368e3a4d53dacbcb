//! Opens sockets: non-blocking, and closed in child processes.

use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt};

use crate::system_error::AddressLost;

/// Opens a socket for the family of `address`.
pub(super) fn open(kind: SocketType, address: SocketAddr) -> io::Result<OwnedFd> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    Ok(socket_with(family, kind, flags, None)?)
}

/// Opens a socket that reaches `address`, bound to the address of the same family in
/// `sources` if there is one. Of several, the system takes the one from which the address is
/// reached: relays may be in several networks.
pub(super) fn open_from(
    sources: &[IpAddr],
    kind: SocketType,
    address: SocketAddr,
) -> io::Result<OwnedFd> {
    let socket = open(kind, address)?;
    let is_same_family = |source: &&IpAddr| source.is_ipv4() == address.is_ipv4();
    let mut sources = sources.iter().filter(is_same_family);
    if let (Some(source), None) = (sources.next(), sources.next()) {
        let bound = bind(&socket, &SocketAddr::new(*source, 0));
        bound.map_err(|error| AddressLost::or(error.into(), *source))?;
    }
    Ok(socket)
}

/// Whether the machine has this address, as far as the system tells.
pub(super) fn is_local(ip: IpAddr) -> bool {
    let bound = UdpSocket::bind((ip, 0));
    !bound.is_err_and(|error| error.kind() == io::ErrorKind::AddrNotAvailable)
}

/// Binds a socket to a local address. With `v6_only` the address `::` leaves IPv4 to
/// another socket.
pub(super) fn bind_local(socket: &impl AsFd, address: SocketAddr, v6_only: bool) -> io::Result<()> {
    if address.is_ipv6() {
        sockopt::set_ipv6_v6only(socket, v6_only)?;
    }
    Ok(bind(socket, &address)?)
}
