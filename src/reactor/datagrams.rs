//! Sockets for datagrams: one read and one write for each, and no memory of it.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;

use log::debug;
use mio::net::UdpSocket;
use mio::{Interest, Token};
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use super::{FIRST_SOCKET, Reactor};
use crate::role::{Correspondent, Role};

/// Datagrams taken from one socket before others have their turn.
const AT_ONCE: usize = 256;
/// Bytes of datagrams that may wait in the kernel while the loop is elsewhere; it
/// caps this by net.core.rmem_max.
const RECEIVE_BUFFER: usize = 4 * 1024 * 1024;

/// A socket through which datagrams come and go.
pub struct DatagramSocket {
    socket: UdpSocket,
    /// Something may have come. Set by an event, cleared by the read that finds
    /// nothing.
    ready: bool,
}

impl DatagramSocket {
    /// Takes what is sent to `address`; see [`super::Listener::bind`].
    ///
    /// # Errors
    /// The address is not ours, or the port is taken.
    pub fn bind(address: SocketAddr, v6_only: bool) -> io::Result<Self> {
        let family = match address {
            SocketAddr::V4(_) => AddressFamily::INET,
            SocketAddr::V6(_) => AddressFamily::INET6,
        };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = rustix::net::socket_with(family, SocketType::DGRAM, flags, None)?;
        if address.is_ipv6() {
            sockopt::set_ipv6_v6only(&socket, v6_only)?;
        }
        sockopt::set_socket_recv_buffer_size(&socket, RECEIVE_BUFFER)?;
        rustix::net::bind(&socket, &address)?;
        Ok(Self {
            socket: UdpSocket::from_std(socket.into()),
            ready: false,
        })
    }

    pub(super) fn is_ready(&self) -> bool {
        self.ready
    }

    pub(super) fn note(&mut self) {
        self.ready = true;
    }

    /// The next datagram, if one waits.
    fn receive(&mut self, buffer: &mut [u8]) -> Option<(usize, SocketAddr)> {
        match self.socket.recv_from(buffer) {
            Ok(received) => Some(received),
            Err(error) => {
                // Anything else than an empty socket is about one that we have
                // sent; the next read goes on.
                self.ready = error.kind() != io::ErrorKind::WouldBlock;
                if self.ready {
                    debug!("a datagram was not taken: {error}");
                }
                None
            }
        }
    }
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

    /// Lets the role read what has come.
    pub(super) fn read_datagrams(&mut self) {
        for index in 0..self.sockets.len() {
            for _ in 0..AT_ONCE {
                let Some(socket) = self.sockets.get_mut(index).filter(|socket| socket.ready) else {
                    break;
                };
                let Some((length, address)) = socket.receive(&mut self.scratch) else {
                    continue;
                };
                self.traffic.datagrams += 1;
                self.traffic.bytes_in += length as u64;
                let from = Correspondent {
                    socket: index as u32,
                    address,
                };
                let scratch = std::mem::take(&mut self.scratch);
                self.call_role(|role, turn| role.datagram(turn, from, &scratch[..length]));
                self.scratch = scratch;
            }
        }
    }

    /// Sends a datagram. One that the system does not take is lost, as it may be
    /// anywhere on its way.
    pub(super) fn send_datagram(&mut self, to: Correspondent, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let Some(socket) = self.sockets.get(to.socket as usize) else {
            return;
        };
        match socket.socket.send_to(bytes, to.address) {
            Ok(length) => self.traffic.bytes_out += length as u64,
            Err(error) => {
                self.traffic.datagrams_lost += 1;
                debug!("{}: a datagram was not sent: {error}", to.address);
            }
        }
    }
}
