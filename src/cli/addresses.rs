//! Where a node listens.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use crate::cli::StartupError;
use crate::cli::exit::Exit;
use crate::protocol::canonical;

/// The addresses to listen on: what the user says, else the local addresses from
/// which the `relay`'s are reached, so that a node of a loopback relay stays private.
/// `host` is the relay as the user names it.
pub(super) fn listen_addresses(
    listen: Option<IpAddr>,
    host: &str,
    relay: &[SocketAddr],
) -> Result<Vec<IpAddr>, StartupError> {
    let is_elsewhere = relay
        .iter()
        .all(|relay| !canonical(relay.ip()).is_loopback());
    if let Some(ip) = listen {
        if canonical(ip).is_loopback() && is_elsewhere {
            return Err(StartupError::new(
                Exit::Usage,
                format!(
                    "--listen {ip} can be reached from this machine only, but the relay {host} is \
                     elsewhere; leave --listen out, or give an address of the network"
                ),
            ));
        }
        return Ok(vec![ip]);
    }
    let mut sources = Vec::new();
    for source in relay.iter().filter_map(|relay| source_address(*relay)) {
        if !sources.contains(&source) {
            sources.push(source);
        }
    }
    if sources.is_empty() {
        return Err(StartupError::new(
            Exit::Listen,
            format!("there is no route to the relay {host}; give --listen"),
        ));
    }
    Ok(sources)
}

/// Connecting a UDP socket sends nothing, but the system chooses the address.
fn source_address(relay: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr = match relay {
        SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(relay).ok()?;
    Some(socket.local_addr().ok()?.ip())
}
