//! Listening sockets, and stepping back when descriptors run out.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use crate::protocol::canonical;

/// How long to wait before the next try when the system is short of something.
/// Without a try of our own no event would come until somebody else connects.
const STEP_BACK: Duration = Duration::from_millis(50);
/// Connections that the kernel completes while we are busy; it caps this by
/// net.core.somaxconn.
const BACKLOG: i32 = 4096;

/// A socket on which others can connect to us.
pub struct ListeningSocket {
    pub(super) socket: TcpListener,
    /// Somebody may be waiting. Set by an event, cleared when nobody is.
    pub(super) ready: bool,
    /// No try before this.
    pub(super) retry_at: Option<Instant>,
    /// The shortage has been logged.
    short: bool,
}

impl ListeningSocket {
    /// Listens on `address`; port 0 lets the system choose one. With `v6_only`
    /// the address `::` leaves IPv4 to another listener.
    ///
    /// # Errors
    /// The address is not ours, or the port is taken.
    pub fn bind(address: SocketAddr, v6_only: bool) -> io::Result<Self> {
        let family = match address {
            SocketAddr::V4(_) => AddressFamily::INET,
            SocketAddr::V6(_) => AddressFamily::INET6,
        };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
        // A server that is started again need not wait for its old connections.
        sockopt::set_socket_reuseaddr(&socket, true)?;
        if address.is_ipv6() {
            sockopt::set_ipv6_v6only(&socket, v6_only)?;
        }
        rustix::net::bind(&socket, &address)?;
        if canonical(address.ip()).is_loopback() {
            use_reno(&socket);
        }
        rustix::net::listen(&socket, BACKLOG)?;
        Ok(Self {
            socket: TcpListener::from_std(socket.into()),
            ready: false,
            retry_at: None,
            short: false,
        })
    }

    /// The address that it listens on.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// Whether a try makes sense now.
    pub(super) fn may_accept(&self, now: Instant) -> bool {
        self.ready && self.retry_at.is_none_or(|at| at <= now)
    }

    /// Something was freed: the next try need not wait.
    pub(super) fn retry_now(&mut self) {
        self.retry_at = None;
    }

    /// The next who waits, if anybody does and the system allows it.
    pub(super) fn accept(&mut self, now: Instant) -> Option<(TcpStream, SocketAddr)> {
        loop {
            match self.socket.accept() {
                Ok(accepted) => {
                    if std::mem::take(&mut self.short) {
                        log::warn!("accepting connections again");
                    }
                    self.retry_at = None;
                    return Some(accepted);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.ready = false;
                    // The shortage may have ended without anybody waiting: a
                    // retry that is never due again would wake the loop for ever.
                    self.retry_at = None;
                    return None;
                }
                // Whoever it was is gone already (accept(2), "Error handling").
                Err(error) if is_passing(&error) => log::debug!("accept: {error}"),
                Err(error) => {
                    self.retry_at = Some(now + STEP_BACK);
                    if !std::mem::replace(&mut self.short, true) {
                        log::warn!("cannot accept connections for now: {error}");
                    }
                    return None;
                }
            }
        }
    }
}

/// Without a network there is nothing to pace: bbr, where the system prefers it,
/// would only spend timers (half the throughput was seen). Accepted connections
/// inherit it (tcp(7), TCP_CONGESTION).
fn use_reno(listener: &impl AsFd) {
    if let Err(error) = sockopt::set_tcp_congestion(listener, "reno") {
        log::debug!("TCP_CONGESTION: {error}");
    }
}

/// Whether the error is about one connection only. All others, descriptors that
/// ran out above all, would meet the next one as well.
fn is_passing(error: &io::Error) -> bool {
    matches!(
        Errno::from_io_error(error),
        Some(Errno::CONNABORTED | Errno::INTR | Errno::PROTO)
    )
}
