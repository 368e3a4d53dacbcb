//! Accepting connections, or refusing them when a limit is reached.

use std::io;
use std::net::SocketAddr;

use log::{debug, warn};
use mio::Token;

use crate::close_reason::{CloseReason, ResourceLimit};
use crate::reactor::Reactor;
use crate::reactor::address_groups::{GroupId, REFUSED};
use crate::reactor::connection::Connection;
use crate::reactor::outbox::MemoryUsage;
use crate::reactor::transport::Transport;
use crate::role::Role;
use crate::session::driver::TurnReport;

/// Connections accepted in one round. Fewer would leave a new user in the accept queue
/// for many rounds while strangers connect and keep the rounds long.
const ACCEPTS: usize = 256;

impl<R: Role, T: Transport<R::File>> Reactor<R, T> {
    /// Accepts waiting connections, a bounded number a round.
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
                self.accept_stream(T::from(stream), peer);
            }
        }
    }

    /// Adds the connection of a peer, or refuses it if a limit is reached.
    pub fn accept_stream(&mut self, mut transport: T, peer: SocketAddr) {
        if let Err(error) = self.register(&mut transport) {
            return warn!("{peer}: cannot register the connection: {error}");
        }
        let is_known = || self.role.is_known(peer.ip());
        match self.addresses.acquire(peer.ip(), is_known) {
            Ok(group) => {
                self.traffic.accepted += 1;
                self.traffic.open = self.addresses.open() as u64;
                let session = self.role.on_accept(peer);
                let slot = self.insert(transport, peer, group, Some(session));
                // The first line has usually arrived already.
                self.enqueue(slot);
            }
            Err(limit) => self.refuse(transport, peer, limit),
        }
    }

    /// Sends the role's refusal, and lingers so that it arrives: a connection that is
    /// closed with unread input is reset, and the text may be lost.
    fn refuse(&mut self, transport: T, peer: SocketAddr, limit: ResourceLimit) {
        self.traffic.refused += 1;
        if self.open_refusals == self.max_refusals {
            return debug!("{peer}: refused without a reply: {limit}");
        }
        self.open_refusals += 1;
        let mut text = Vec::new();
        self.role.on_refuse(limit, &mut text);
        let slot = self.insert(transport, peer, REFUSED, None);
        let conn = &mut self.connections[slot];
        let sent = conn.send(&text, false);
        let usage = conn.usage();
        self.count_memory(REFUSED, MemoryUsage::default(), usage);
        match sent {
            Ok(()) => {
                self.start_closing(slot, CloseReason::LimitReached(limit));
                self.linger_if_flushed(slot);
                self.finish_turn(slot, (0, 0), TurnReport::default());
            }
            Err(reason) => self.close_now(slot, reason),
        }
    }

    /// Registers a stream under the slot of the next connection.
    pub(super) fn register(&self, transport: &mut T) -> io::Result<()> {
        let token = Token(self.connections.vacant_key());
        transport.register(self.poll.registry(), token)
    }

    pub(super) fn insert(
        &mut self,
        transport: T,
        peer: SocketAddr,
        group: GroupId,
        session: Option<R::Session>,
    ) -> usize {
        let serial = self.next_serial;
        self.next_serial = serial.wrapping_add(1);
        let opened_at = self.age;
        let conn = Connection::new(transport, peer, group, session, serial, opened_at);
        self.connections.insert(conn)
    }
}
