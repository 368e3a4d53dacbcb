//! Opens sockets: non-blocking, and closed in child processes.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with, sockopt};

use crate::protocol::canonical;
use crate::system_error::SourceAddressError;

/// Opens a socket for the family of `address`.
pub(super) fn open(kind: SocketType, address: SocketAddr) -> io::Result<OwnedFd> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    Ok(socket_with(family, kind, flags, None)?)
}

/// Opens a socket that reaches `address`, bound to one of `sources`; of none, to any address.
///
/// # Errors
/// `address` is reached from none of `sources`, or the machine no longer has the one.
pub(super) fn open_from(
    sources: &[IpAddr],
    kind: SocketType,
    address: SocketAddr,
) -> io::Result<OwnedFd> {
    let socket = open(kind, address)?;
    if !sources.is_empty() {
        let source = choose_source(sources, address)?;
        let bound = bind(&socket, &SocketAddr::new(source, 0));
        bound.map_err(|error| SourceAddressError::lost_or(error.into(), source))?;
    }
    Ok(socket)
}

/// The only one of `sources` in the family of `address`. Of several, the one that the system
/// chooses: relays may be in several networks.
fn choose_source(sources: &[IpAddr], address: SocketAddr) -> io::Result<IpAddr> {
    let is_same_family = |source: &&IpAddr| source.is_ipv4() == address.is_ipv4();
    let mut same_family = sources.iter().filter(is_same_family);
    if let (Some(source), None) = (same_family.next(), same_family.next()) {
        return Ok(*source);
    }
    let chosen = source_address(address)?;
    // An IPv4 address may be written as one of IPv6.
    let is_chosen = |source: &IpAddr| canonical(*source) == canonical(chosen);
    match sources.iter().any(is_chosen) {
        true => Ok(chosen),
        false => Err(io::Error::other(SourceAddressError::NotListening(chosen))),
    }
}

/// The local address that the system chooses to reach `remote`. Connecting a UDP socket sends
/// nothing.
///
/// # Errors
/// There is no route.
pub fn source_address(remote: SocketAddr) -> io::Result<IpAddr> {
    let any: IpAddr = match remote {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0))?;
    socket.connect(remote)?;
    Ok(socket.local_addr()?.ip())
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
