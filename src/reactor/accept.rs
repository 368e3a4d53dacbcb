//! How connections come to be: accepted, turned away or dialled.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd;

use log::{debug, warn};
use mio::net::TcpStream;
use mio::{Interest, Token};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};

use crate::close_reason::{CloseReason, ResourceLimit};
use crate::reactor::Reactor;
use crate::reactor::connection::{Connection, Origin, set_nodelay};
use crate::reactor::deadlines::DIAL;
use crate::role::Role;

/// Connections accepted in one round.
const ACCEPTS: usize = 64;
/// Places for those who are told that there is no place.
const REFUSED_AT_ONCE: usize = 64;

impl<R: Role> Reactor<R>
where
    R::File: AsFd,
{
    pub(super) fn accept(&mut self) {
        for index in 0..self.listeners.len() {
            for _ in 0..ACCEPTS {
                let listener = &mut self.listeners[index];
                if !listener.may_accept(self.now) {
                    break;
                }
                let Some((stream, peer)) = listener.accept(self.now) else {
                    break;
                };
                match self.watch(stream) {
                    Ok(stream) => self.admit(stream, peer),
                    Err(error) => warn!("{peer}: cannot be watched: {error}"),
                }
            }
        }
    }

    pub(super) fn admit(&mut self, stream: TcpStream, peer: SocketAddr) {
        set_nodelay(&stream);
        match self.gate.enter(peer.ip()) {
            Ok(()) => {
                self.traffic.accepted += 1;
                self.traffic.open = self.gate.open() as u64;
                let session = self.role.on_accept(peer);
                let slot = self.insert(stream, peer, Origin::Accepted, Some(session));
                // Its first line is usually there already.
                self.enqueue(slot);
            }
            Err(full) => self.refuse(stream, peer, full),
        }
    }

    /// Tells somebody that there is no place, and listens for their end so that
    /// the words arrive: closing with unread input would take them back.
    pub(super) fn refuse(&mut self, stream: TcpStream, peer: SocketAddr, full: ResourceLimit) {
        self.traffic.refused += 1;
        if self.refused == REFUSED_AT_ONCE {
            return debug!("{peer}: refused without a word: {full}");
        }
        self.refused += 1;
        let mut text = Vec::new();
        self.role.on_refuse(full, &mut text);
        let slot = self.insert(stream, peer, Origin::Accepted, None);
        match self.connections[slot].send(&text, false) {
            Ok(()) => {
                self.close(slot, CloseReason::LimitReached(full));
                self.close_if_sent(slot);
                self.after_turn(slot, (0, 0));
            }
            Err(end) => self.end(slot, end),
        }
    }

    pub(super) fn dial(&mut self, address: SocketAddr, session: R::Session) {
        let result = connect(address, &self.settings.sources).and_then(|stream| self.watch(stream));
        match result {
            Ok(stream) => {
                let slot = self.insert(stream, address, Origin::Dialled, Some(session));
                let due = self.now + self.settings.patience.connect_timeout;
                self.timers.set(slot, DIAL, due);
            }
            Err(error) => self
                .failed_dials
                .push((session, CloseReason::ConnectFailed(error))),
        }
    }

    /// Registers a socket under the slot that it will get. Both interests, once.
    pub(super) fn watch(&self, mut stream: TcpStream) -> io::Result<TcpStream> {
        let token = Token(self.connections.vacant_key());
        self.poll.registry().register(
            &mut stream,
            token,
            Interest::READABLE | Interest::WRITABLE,
        )?;
        Ok(stream)
    }

    pub(super) fn insert(
        &mut self,
        stream: TcpStream,
        peer: SocketAddr,
        origin: Origin,
        session: Option<R::Session>,
    ) -> usize {
        let serial = self.next_serial;
        self.next_serial = serial.wrapping_add(1);
        let since = self.age();
        let conn = Connection::new(stream, peer, origin, session, serial, since);
        self.connections.insert(conn)
    }
}

/// Begins to connect, from the source of the same family if there is one.
fn connect(address: SocketAddr, sources: &[IpAddr]) -> io::Result<TcpStream> {
    let mut sources = sources.iter().copied();
    let Some(source) = sources.find(|source| source.is_ipv4() == address.is_ipv4()) else {
        return TcpStream::connect(address);
    };
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    rustix::net::bind(&socket, &SocketAddr::new(source, 0))?;
    match rustix::net::connect(&socket, &address) {
        Ok(()) | Err(Errno::INPROGRESS) => Ok(TcpStream::from_std(socket.into())),
        Err(error) => Err(error.into()),
    }
}
