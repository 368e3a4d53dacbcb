//! Somebody who talks to the relay.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use log::debug;

use crate::escaped::Escaped;
use crate::protocol::{NodeAddress, Port, Request, Verb, canonical};
use crate::rate_limiter::RateLimiter;
use crate::relay::index::Search;
use crate::role::{ConnId, Input, ReadNext};
use crate::session::ServerSession;

/// What is remembered of one connection of the relay, or of one datagram.
#[derive(Default)]
pub struct RelaySession {
    server: ServerSession,
    extended: Option<Box<ExtendedState>>,
}

/// What goes on at few connections. It lies elsewhere, so that the many stay small.
#[derive(Default)]
pub(super) struct ExtendedState {
    /// Whom they speak for.
    pub(super) registration: Registration,
    /// The address whose messages they receive.
    pub(super) listens_at: Option<(NodeAddress, ConnId)>,
    /// Whether a search of theirs goes on.
    pub(super) pending_search: Option<ConnId>,
    /// What goes on with their last list of files, if that was cut.
    pub(super) next_page: Option<Box<Search>>,
    /// How fast they may send.
    message_limiter: Option<RateLimiter>,
}

/// The node for which a connection speaks: the one of its last `REGISTER`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) enum Registration {
    /// It never sent `REGISTER`.
    #[default]
    None,
    /// This one, as long as its lease lasts; and which registration that was.
    Active(NodeAddress, u64),
    /// Its last `REGISTER` failed, be it by its form.
    Rejected,
}

/// Somebody who is being answered.
pub(super) struct RequestContext<'a> {
    /// The address at which the relay sees them.
    pub(super) ip: IpAddr,
    port: u16,
    pub(super) session: &'a mut RelaySession,
}

impl<'a> RequestContext<'a> {
    pub(super) fn new(peer: SocketAddr, session: &'a mut RelaySession) -> Self {
        Self {
            ip: canonical(peer.ip()),
            port: peer.port(),
            session,
        }
    }

    /// The connection's own address, if that can be anybody's.
    pub(super) fn peer_address(&self) -> Option<NodeAddress> {
        NodeAddress::new(self.ip, Port::new(self.port)?).ok()
    }

    /// Reads a request; see [`ServerSession::request`].
    pub(super) fn request<'r>(
        &mut self,
        input: Input<'r>,
        max_unknown: u16,
        reply: &mut Vec<u8>,
    ) -> Result<Request<'r>, ReadNext> {
        let server = &mut self.session.server;
        let request = server.request(input, max_unknown, reply);
        match &request {
            Ok(request) => debug!("{} asks: {}", self.ip, Escaped::text(&request.to_string())),
            Err(_) if server.malformed == Some(Verb::Register) => {
                self.session.extended().registration = Registration::Rejected;
            }
            Err(_) => {}
        }
        request
    }
}

impl RelaySession {
    /// Whom they speak for.
    pub(super) fn registration(&self) -> Registration {
        self.extended
            .as_ref()
            .map_or(Registration::None, |extended| extended.registration)
    }

    /// What goes on here that rarely does.
    pub(super) fn extended(&mut self) -> &mut ExtendedState {
        self.extended.get_or_insert_default()
    }

    /// The connection is over: what still goes on.
    pub(super) fn into_extended(self) -> ExtendedState {
        self.extended.map(|extended| *extended).unwrap_or_default()
    }

    pub(super) fn message_limiter(&mut self, rate: u32, now: Instant) -> &mut RateLimiter {
        self.extended()
            .message_limiter
            .get_or_insert_with(|| RateLimiter::new(rate, now))
    }
}

impl fmt::Display for RelaySession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.server.fmt(f)
    }
}
