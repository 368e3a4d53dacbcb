//! UDP sockets: one read or write a datagram, and no state between two rounds.

use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::os::fd::OwnedFd;

use log::debug;
use mio::net::UdpSocket;
use mio::{Interest, Token};
use rustix::net::{SocketType, sockopt};

use crate::reactor::sockets;
use crate::reactor::transport::Transport;
use crate::reactor::{FIRST_SOCKET, Reactor};
use crate::role::{Role, UdpPeer};

/// Reads from one socket before the others have their turn.
const READS_PER_TURN: usize = 256;
/// Bytes read from one socket before the others have their turn: a full datagram may
/// hold a hundred requests.
const BYTES_PER_TURN: usize = 64 * 1024;
/// Work that bytes do not show counts as so many: those of short lines.
const WORK_BYTES: usize = 64;
/// Datagrams received before the first of them is handled. Those that are left over when the work
/// of a turn is done wait for the next one.
const BATCH: usize = 16;
/// The longest datagram (RFC 768): the kernel truncates one that finds no room.
pub(super) const MAX_DATAGRAM: usize = 65_535;
/// Bytes of datagrams that the kernel queues while the loop is busy, capped by
/// net.core.rmem_max.
const RECEIVE_BUFFER: usize = 4 * 1024 * 1024;

/// A UDP socket, bound or connected.
pub struct DatagramSocket {
    socket: UdpSocket,
    /// Datagrams may be waiting. Set by an event, cleared by a read that finds none.
    pub(super) ready: bool,
    /// Datagrams that were received, and not handled: the work of the turn was done.
    left_over: VecDeque<(SocketAddr, Vec<u8>)>,
    /// The socket is connected, and the remote system reported the port as closed.
    is_unreachable: bool,
}

impl DatagramSocket {
    /// Receives the datagrams for `address`; see [`super::ListeningSocket::bind`].
    ///
    /// # Errors
    /// The address is not local, or the port is taken.
    pub fn bind(address: SocketAddr, v6_only: bool) -> io::Result<Self> {
        let socket = sockets::open(SocketType::DGRAM, address)?;
        sockets::bind_local(&socket, address, v6_only)?;
        Self::from_fd(socket)
    }

    /// Exchanges datagrams with `address` only, from the source address of the same
    /// family if there is one.
    ///
    /// # Errors
    /// There is no route to the address.
    pub fn connect(address: SocketAddr, sources: &[IpAddr]) -> io::Result<Self> {
        let socket = sockets::open_from(sources, SocketType::DGRAM, address)?;
        rustix::net::connect(&socket, &address)?;
        Self::from_fd(socket)
    }

    fn from_fd(socket: OwnedFd) -> io::Result<Self> {
        sockopt::set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER)?;
        Ok(Self {
            socket: UdpSocket::from_std(socket.into()),
            ready: false,
            left_over: VecDeque::new(),
            is_unreachable: false,
        })
    }

    /// Whether the role may have something to handle.
    pub(super) fn is_ready(&self) -> bool {
        self.may_receive() || self.is_unreachable
    }

    fn may_receive(&self) -> bool {
        self.ready || !self.left_over.is_empty()
    }

    /// Receives the next datagram, if one is waiting.
    fn receive(&mut self, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
        if let Some((from, bytes)) = self.left_over.pop_front() {
            buffer[..bytes.len()].copy_from_slice(&bytes);
            return Some((bytes.len(), from));
        }
        match self.socket.recv_from(buffer) {
            Ok(received) => return Some(received),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.ready = false,
            // The error concerns an earlier datagram that was sent; received ones queue behind it.
            Err(error) => self.on_error(&error),
        }
        None
    }

    fn on_error(&mut self, error: &io::Error) {
        debug!("datagram: {error}");
        self.is_unreachable |= error.kind() == io::ErrorKind::ConnectionRefused;
    }
}

impl<R: Role, T: Transport<R::File>> Reactor<R, T> {
    /// Adds a socket for datagrams. The index of a socket is the number of those added
    /// before.
    ///
    /// # Errors
    /// The socket cannot be registered.
    pub fn add_datagram_socket(&mut self, mut socket: DatagramSocket) -> io::Result<()> {
        let token = Token(FIRST_SOCKET + self.sockets.len());
        self.poll
            .registry()
            .register(&mut socket.socket, token, Interest::READABLE)?;
        self.sockets.push(socket);
        Ok(())
    }

    /// Connects the connected sockets once more, from the local addresses of now.
    pub(super) fn reconnect_datagram_sockets(&mut self) {
        for (index, socket) in self.sockets.iter_mut().enumerate() {
            let Ok(remote) = socket.socket.peer_addr() else {
                continue;
            };
            let registry = self.poll.registry();
            let connected = DatagramSocket::connect(remote, &self.settings.source_addresses);
            let replaced = connected.and_then(|mut new| {
                let token = Token(FIRST_SOCKET + index);
                registry.register(&mut new.socket, token, Interest::READABLE)?;
                registry.deregister(&mut socket.socket)?;
                *socket = new;
                Ok(())
            });
            if let Err(error) = replaced {
                debug!("no UDP to {remote}: {error}");
            }
        }
    }

    /// Receives the waiting datagrams in batches, and passes them to the role.
    pub(super) fn read_datagrams(&mut self) {
        for index in 0..self.sockets.len() {
            let mut left = READS_PER_TURN;
            let mut bytes_left = BYTES_PER_TURN;
            while left > 0 && bytes_left > 0 && self.sockets[index].may_receive() {
                self.read_batch(index, &mut bytes_left);
                left = left.saturating_sub(BATCH);
            }
            if std::mem::take(&mut self.sockets[index].is_unreachable) {
                self.call_role(|role, context| role.on_udp_unreachable(context, index as u32));
            }
        }
    }

    /// Receives a batch of datagrams, and passes them to the role until the work of the turn is
    /// done.
    fn read_batch(&mut self, index: usize, bytes_left: &mut usize) {
        // Moved out of `self` while the role borrows it.
        let mut read_buffer = std::mem::take(&mut self.read_buffer);
        let received = self.receive_datagrams(index, &mut read_buffer, *bytes_left);
        self.role.prefetch(received.iter().map(|(from, at)| {
            let bytes = &read_buffer[at.clone()];
            (from.address, bytes)
        }));
        for (from, at) in received {
            let bytes = &read_buffer[at];
            if *bytes_left == 0 {
                let left_over = &mut self.sockets[index].left_over;
                left_over.push_back((from.address, bytes.to_vec()));
                continue;
            }
            self.traffic.datagrams += 1;
            self.traffic.bytes_in += bytes.len() as u64;
            let mut work = 0;
            self.call_role(|role, context| {
                role.on_datagram(context, from, bytes);
                work = context.out.take_work();
            });
            *bytes_left = bytes_left.saturating_sub(bytes.len() + work * WORK_BYTES);
        }
        self.read_buffer = read_buffer;
    }

    /// Receives a batch of datagrams one behind the other, until they have `bytes` bytes.
    /// Returns the sender and the position in the buffer of each.
    fn receive_datagrams(
        &mut self,
        index: usize,
        read_buffer: &mut [u8],
        bytes: usize,
    ) -> Vec<(UdpPeer, Range<usize>)> {
        let mut received = Vec::new();
        let socket = &mut self.sockets[index];
        let mut end = 0;
        for _ in 0..BATCH {
            if !socket.may_receive() || end >= bytes || read_buffer.len() - end < MAX_DATAGRAM {
                break;
            }
            let Some((length, address)) = socket.receive(&mut read_buffer[end..]) else {
                continue;
            };
            let from = UdpPeer {
                socket: index as u32,
                address,
            };
            received.push((from, end..end + length));
            end += length;
        }
        received
    }

    /// Sends a datagram. One that the system does not accept is lost, as it might be
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
                socket.on_error(&error);
            }
        }
    }
}
