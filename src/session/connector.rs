//! Opens connections: over TCP, or over UDP to a server that answers datagrams.

use std::net::SocketAddr;
use std::time::Instant;

use crate::role::{Context, Output, Role};
use crate::session::udp_requests::UdpRequests;

/// Opens connections for a role. A role has one [`UdpRequests`] for all of them.
pub struct Connector<'a, R: Role> {
    /// The time.
    pub now: Instant,
    /// Where dials and datagrams go.
    pub out: &'a mut Output<R>,
    /// The sessions over UDP.
    pub udp: &'a mut UdpRequests<R::Session>,
}

impl<'a, R: Role> Connector<'a, R> {
    /// A connector for the role that is called with `context`.
    pub fn new(context: &'a mut Context<'_, R>, udp: &'a mut UdpRequests<R::Session>) -> Self {
        Self {
            now: context.now,
            out: context.out,
            udp,
        }
    }

    /// Connects over TCP.
    pub fn dial(&mut self, address: SocketAddr, session: impl Into<R::Session>) {
        self.out.dial(address, session.into());
    }

    /// Sends over UDP the requests that `write` appends. Where no datagrams go, connects
    /// over TCP.
    pub fn request<S: Into<R::Session>>(
        &mut self,
        address: SocketAddr,
        session: S,
        write: impl FnOnce(&mut S, &mut Vec<u8>),
    ) {
        let started = self.udp.start(self.out, self.now, address, session, write);
        if let Err(session) = started {
            self.dial(address, session);
        }
    }
}
