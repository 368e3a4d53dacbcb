//! The sockets of the programs: where they listen, and from where they send.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::cli::{Exit, StartupError};
use crate::logging::OPERATOR;
use crate::protocol::{ClaimedIp, canonical};
use crate::reactor::{DatagramSocket, ListeningSocket, source_address};
use crate::role::UdpPeer;
use crate::session::udp_requests::UdpRequests;
use crate::system_error::Reason;

/// Listens on all these addresses with one port. Port 0 means a port that the system
/// chooses.
pub(super) fn bind_tcp(
    ips: &[IpAddr],
    port: u16,
) -> Result<(Vec<ListeningSocket>, Vec<SocketAddr>), StartupError> {
    check_distinct(ips)?;
    let mut listeners = Vec::new();
    let mut addresses: Vec<SocketAddr> = Vec::new();
    // Without an IPv4 address beside it, :: accepts IPv4 as well.
    let v6_only = ips.iter().any(IpAddr::is_ipv4);
    for ip in ips {
        let requested = SocketAddr::new(*ip, addresses.first().map_or(port, SocketAddr::port));
        let (address, listener) = ListeningSocket::bind(requested, v6_only)
            .and_then(|listener| Ok((listener.address()?, listener)))
            .map_err(|error| bind_error(requested, "", &error))?;
        listeners.push(listener);
        addresses.push(address);
    }
    Ok((listeners, addresses))
}

/// Fails if one of the addresses includes another one.
fn check_distinct(ips: &[IpAddr]) -> Result<(), StartupError> {
    for (index, ip) in ips.iter().enumerate() {
        let same_family = |other: &&IpAddr| other.is_ipv4() == ip.is_ipv4();
        for other in ips[..index].iter().filter(same_family) {
            if other == ip {
                let text = format!("--listen {ip} may be given only once");
                return Err(StartupError::usage(text));
            }
            if let Some(any) = [ip, other].into_iter().find(|ip| ip.is_unspecified()) {
                let text = format!("--listen {any} includes all other addresses of its family");
                return Err(StartupError::usage(text));
            }
        }
    }
    Ok(())
}

/// Binds one UDP socket per address, so that each reply leaves from the address to
/// which the request was sent.
pub(super) fn bind_udp(addresses: &[SocketAddr]) -> Result<Vec<DatagramSocket>, StartupError> {
    let v6_only = addresses.iter().any(SocketAddr::is_ipv4);
    let bound = addresses.iter().map(|address| {
        DatagramSocket::bind(*address, v6_only)
            .map_err(|error| bind_error(*address, " over UDP (--no-udp disables it)", &error))
    });
    bound.collect()
}

/// Opens one UDP socket per address of the relays, if requests are to use UDP.
pub(super) fn udp_requests<R>(
    is_wanted: bool,
    relays: &[SocketAddr],
    sources: &[IpAddr],
) -> (Vec<DatagramSocket>, UdpRequests<R>) {
    let (mut sockets, mut routes) = (Vec::new(), Vec::new());
    for &address in relays.iter().filter(|_| is_wanted) {
        match DatagramSocket::connect(address, sources) {
            Ok(opened) => {
                let socket = sockets.len() as u32;
                routes.push(UdpPeer { socket, address });
                sockets.push(opened);
            }
            Err(error) => {
                log::warn!(target: OPERATOR, "cannot send UDP to {address}: {}", Reason(&error));
            }
        }
    }
    (sockets, UdpRequests::new(&routes, fastrand::u64(..)))
}

/// The addresses on which a node listens: the one of `--listen`, else the local
/// addresses from which the relay is reached. So the node of a relay on loopback
/// cannot be reached from other machines.
pub(super) fn node_addresses(
    listen: Option<IpAddr>,
    relay: &[SocketAddr],
) -> Result<Vec<IpAddr>, StartupError> {
    let is_remote = relay
        .iter()
        .all(|relay| !canonical(relay.ip()).is_loopback());
    if let Some(ip) = listen {
        if canonical(ip).is_loopback() && is_remote {
            return Err(StartupError::usage(format_args!(
                "--listen {ip} accepts connections from this machine only, but the relay is on \
                 another one; omit --listen, or write an address of the network"
            )));
        }
        return Ok(vec![ip]);
    }
    let sources = local_addresses(relay);
    if relay.iter().all(|relay| is_link_local(relay.ip())) {
        return Err(StartupError::usage(
            "the relay is at a link-local address, so it would see this node at one, at which \
             others cannot reach it; write another address of the relay, or an address of this \
             machine that is not link-local with --listen",
        ));
    }
    if sources.is_empty() {
        let text = "no route to the relay; choose an address with --listen";
        return Err(StartupError::new(Exit::Listen, text));
    }
    Ok(sources)
}

/// The local addresses from which these relays are reached, without those under which no relay
/// lists a node.
pub(super) fn local_addresses(relays: &[SocketAddr]) -> Vec<IpAddr> {
    let mut sources = Vec::new();
    let chosen = relays
        .iter()
        .filter_map(|relay| source_address(*relay).ok());
    for source in chosen.filter(|source| !is_link_local(*source)) {
        if !sources.contains(&source) {
            sources.push(source);
        }
    }
    sources
}

/// The addresses from which relays are asked; none: any address. A relay lists the source address
/// of the node's requests, so it must be one on which the node listens. If the node claims another
/// one, it may be any in a family in which the node does not listen.
pub(super) fn source_addresses(listen: Vec<IpAddr>, claimed: ClaimedIp) -> Vec<IpAddr> {
    let any: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
    // :: accepts IPv4 as well.
    if listen.contains(&any[1]) {
        return Vec::new();
    }
    let mut sources = listen;
    if claimed != ClaimedIp::Source {
        for ip in any {
            if sources.iter().all(|s| s.is_ipv4() != ip.is_ipv4()) {
                sources.push(ip);
            }
        }
    }
    sources
}

/// Whether the address is of IPv6, and means something on one link only.
fn is_link_local(ip: IpAddr) -> bool {
    matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local())
}

fn bind_error(address: SocketAddr, over: &str, error: &io::Error) -> StartupError {
    let advice = match error.kind() {
        io::ErrorKind::AddrInUse => "another program uses it; choose another port, or 0",
        io::ErrorKind::AddrNotAvailable => "this machine does not have the address",
        io::ErrorKind::PermissionDenied if address.port() < 1024 => {
            "ports below 1024 need a privilege; choose another"
        }
        _ => "choose another address or port",
    };
    let text = format!(
        "cannot listen on {address}{over}: {}; {advice}",
        Reason(error)
    );
    StartupError::new(Exit::Listen, text)
}
