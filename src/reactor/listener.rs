//! Listening sockets, with a retry timer for when the system runs out of descriptors.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use rustix::io::Errno;
use rustix::net::{SocketType, sockopt};

use crate::reactor::{sockets, transport};

/// The delay before the next attempt to accept when the system lacks a resource.
/// Without a retry, no event would come until another peer connects.
const RETRY_DELAY: Duration = Duration::from_millis(50);
/// Connections that the kernel completes while the loop is busy, capped by
/// net.core.somaxconn.
const BACKLOG: i32 = 4096;

/// A socket that accepts connections.
pub struct ListeningSocket {
    pub(super) socket: TcpListener,
    /// Connections may be waiting. Set by an event, cleared when none is left.
    pub(super) ready: bool,
    /// No attempt before this time.
    pub(super) retry_at: Option<Instant>,
    /// The current shortage is already logged.
    shortage_logged: bool,
}

impl ListeningSocket {
    /// Listens on `address`; port 0 lets the system choose one. With `v6_only`
    /// the address `::` leaves IPv4 to another listener.
    ///
    /// # Errors
    /// The address is not local, or the port is taken.
    pub fn bind(address: SocketAddr, v6_only: bool) -> io::Result<Self> {
        let socket = sockets::open(SocketType::STREAM, address)?;
        // A restarted server need not wait for its previous connections.
        sockopt::set_socket_reuseaddr(&socket, true)?;
        // Accepted connections inherit it.
        transport::set_nodelay(&socket);
        sockets::bind_local(&socket, address, v6_only)?;
        if address.ip().to_canonical().is_loopback() {
            use_reno(&socket);
        }
        rustix::net::listen(&socket, BACKLOG)?;
        Ok(Self {
            socket: TcpListener::from_std(socket.into()),
            ready: false,
            retry_at: None,
            shortage_logged: false,
        })
    }

    /// The local address.
    ///
    /// # Errors
    /// The system does not report it.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Whether an attempt to accept makes sense now.
    pub(super) fn may_accept(&self, now: Instant) -> bool {
        self.ready && self.retry_at.is_none_or(|at| at <= now)
    }

    /// The next waiting connection, if there is one and the system has the resources.
    pub(super) fn accept(&mut self, now: Instant) -> Option<(TcpStream, SocketAddr)> {
        loop {
            match self.socket.accept() {
                Ok(accepted) => {
                    if std::mem::take(&mut self.shortage_logged) {
                        log::warn!("accepting connections again");
                    }
                    self.retry_at = None;
                    return Some(accepted);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.ready = false;
                    // The shortage may have ended with no connection waiting: a retry
                    // time that stays in the past would wake the loop for ever.
                    self.retry_at = None;
                    return None;
                }
                // The peer is gone already (accept(2), "Error handling").
                Err(error) if is_transient(&error) => log::debug!("accept: {error}"),
                Err(error) => {
                    self.retry_at = Some(now + RETRY_DELAY);
                    if !std::mem::replace(&mut self.shortage_logged, true) {
                        log::warn!("cannot accept connections for now: {error}");
                    }
                    return None;
                }
            }
        }
    }
}

/// Selects reno on loopback, where pacing is useless: bbr as the system's default
/// spends timers and halved the measured throughput. Accepted connections inherit
/// the choice (tcp(7), TCP_CONGESTION).
fn use_reno(listener: &impl AsFd) {
    if let Err(error) = sockopt::set_tcp_congestion(listener, "reno") {
        log::debug!("TCP_CONGESTION: {error}");
    }
}

/// Whether the error concerns one connection only. Any other error, above all a lack
/// of descriptors, would hit the next connection as well.
fn is_transient(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::CONNABORTED | Errno::INTR | Errno::PROTO)
    )
}

#[cfg(test)]
mod tests {
    use std::iter;
    use std::net::{Ipv4Addr, TcpStream};

    use super::*;

    #[test]
    fn accepted_connections_inherit_the_options_of_the_listener() {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut listener = ListeningSocket::bind(address, false).expect("a free port");
        let _peer = TcpStream::connect(listener.address().expect("bound")).expect("it listens");
        let accept = || listener.accept(Instant::now());
        let accepted = iter::repeat_with(accept).take(1000).flatten().next();
        let (stream, _) = accepted.expect("a connection");
        assert!(stream.nodelay().expect("an option"));
    }
}
