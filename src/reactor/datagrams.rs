//! Sockets for datagrams: one read and one write for each, and nothing is kept of
//! it from one round to the next.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};

use log::debug;
use mio::net::UdpSocket;
use mio::{Interest, Token};
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use crate::reactor::{FIRST_SOCKET, Reactor};
use crate::role::{Role, UdpPeer};

/// Reads from one socket before others have their turn.
const AT_ONCE: usize = 256;
/// And their bytes: a full one may hold a hundred requests.
const BYTES_AT_ONCE: usize = 64 * 1024;
/// Datagrams received before the first of them is read.
const TOGETHER: usize = 64;
/// No datagram is longer (RFC 768): one for which there is no room would be cut.
pub(super) const LONGEST: usize = 65_535;
/// Bytes of datagrams that may wait in the kernel while the loop is elsewhere; it
/// caps this by net.core.rmem_max.
const RECEIVE_BUFFER: usize = 4 * 1024 * 1024;

/// A socket through which datagrams come and go.
pub struct DatagramSocket {
    socket: UdpSocket,
    /// Something may have come. Set by an event, cleared by the read that finds
    /// nothing.
    ready: bool,
    /// It is connected, and the other side's system says that nobody is there.
    refused: bool,
}

impl DatagramSocket {
    /// Takes what is sent to `address`; see [`super::ListeningSocket::bind`].
    ///
    /// # Errors
    /// The address is not ours, or the port is taken.
    pub fn bind(address: SocketAddr, v6_only: bool) -> io::Result<Self> {
        let socket = socket(address)?;
        if address.is_ipv6() {
            sockopt::set_ipv6_v6only(&socket, v6_only)?;
        }
        rustix::net::bind(&socket, &address)?;
        Ok(Self::over(socket))
    }

    /// Talks to `address` only, from the source of the same family if there is one.
    ///
    /// # Errors
    /// There is no way there.
    pub fn connect(address: SocketAddr, sources: &[IpAddr]) -> io::Result<Self> {
        let socket = socket(address)?;
        let mut sources = sources.iter().copied();
        if let Some(source) = sources.find(|source| source.is_ipv4() == address.is_ipv4()) {
            rustix::net::bind(&socket, &SocketAddr::new(source, 0))?;
        }
        rustix::net::connect(&socket, &address)?;
        Ok(Self::over(socket))
    }

    fn over(socket: OwnedFd) -> Self {
        Self {
            socket: UdpSocket::from_std(socket.into()),
            ready: false,
            refused: false,
        }
    }

    /// Whether there is something for the role.
    pub(super) fn is_ready(&self) -> bool {
        self.ready || self.refused
    }

    pub(super) fn note(&mut self) {
        self.ready = true;
    }

    /// The next datagram, if one waits.
    fn receive(&mut self, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
        match self.socket.recv_from(buffer) {
            Ok(received) => return Some(received),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.ready = false,
            // It is about something that was sent before; what has come is behind it.
            Err(error) => self.failed(&error),
        }
        None
    }

    fn failed(&mut self, error: &io::Error) {
        debug!("a datagram did not arrive: {error}");
        self.refused |= error.kind() == io::ErrorKind::ConnectionRefused;
    }
}

fn socket(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(family, SocketType::DGRAM, flags, None)?;
    sockopt::set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER)?;
    Ok(socket)
}

impl<R: Role> Reactor<R>
where
    R::File: AsFd,
{
    /// Lets the role exchange datagrams through `socket`. Sockets are numbered
    /// in the order in which they are given here.
    ///
    /// # Errors
    /// It cannot be watched.
    pub fn exchange(&mut self, mut socket: DatagramSocket) -> io::Result<()> {
        let token = Token(FIRST_SOCKET - self.sockets.len());
        self.poll
            .registry()
            .register(&mut socket.socket, token, Interest::READABLE)?;
        self.sockets.push(socket);
        Ok(())
    }

    /// Lets the role read what has come: many are received before the first is read.
    pub(super) fn read_datagrams(&mut self) {
        for index in 0..self.sockets.len() {
            let mut left = AT_ONCE;
            let mut bytes_left = BYTES_AT_ONCE;
            while left > 0 && bytes_left > 0 && self.sockets.get(index).is_some_and(|s| s.ready) {
                // Out of `self` while the role reads.
                let mut scratch = std::mem::take(&mut self.scratch);
                let received = self.receive_datagrams(index, &mut scratch, bytes_left);
                let each = || {
                    received
                        .iter()
                        .map(|(from, at)| (*from, &scratch[at.clone()]))
                };
                self.role
                    .prefetch(each().map(|(from, bytes)| (from.address, bytes)));
                for (from, bytes) in each() {
                    bytes_left = bytes_left.saturating_sub(bytes.len());
                    self.call_role(|role, turn| role.on_datagram(turn, from, bytes));
                }
                left = left.saturating_sub(TOGETHER);
                self.scratch = scratch;
            }
            let refused = |socket: &mut DatagramSocket| std::mem::take(&mut socket.refused);
            if self.sockets.get_mut(index).is_some_and(refused) {
                self.call_role(|role, turn| role.on_udp_unreachable(turn, index as u32));
            }
        }
    }

    /// Receives some datagrams, one behind the other, until they have so many bytes.
    /// Returns from whom each is, and where it lies.
    fn receive_datagrams(
        &mut self,
        index: usize,
        scratch: &mut [u8],
        bytes: usize,
    ) -> Vec<(UdpPeer, Range<usize>)> {
        let mut received = Vec::new();
        let Some(socket) = self.sockets.get_mut(index) else {
            return received;
        };
        let mut end = 0;
        for _ in 0..TOGETHER {
            if !socket.ready || end >= bytes || scratch.len() - end < LONGEST {
                break;
            }
            let Some((length, address)) = socket.receive(&mut scratch[end..]) else {
                continue;
            };
            self.traffic.datagrams += 1;
            self.traffic.bytes_in += length as u64;
            let from = UdpPeer {
                socket: index as u32,
                address,
            };
            received.push((from, end..end + length));
            end += length;
        }
        received
    }

    /// Sends a datagram. One that the system does not take is lost, as it may be
    /// anywhere on its way.
    pub(super) fn send_datagram(&mut self, to: UdpPeer, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let Some(socket) = self.sockets.get_mut(to.socket as usize) else {
            return;
        };
        match socket.socket.send_to(bytes, to.address) {
            Ok(length) => self.traffic.bytes_out += length as u64,
            Err(error) => {
                self.traffic.datagrams_lost += 1;
                socket.failed(&error);
            }
        }
    }
}
