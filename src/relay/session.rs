//! The state of one connection to the relay.

use std::fmt;
use std::time::Instant;

use crate::protocol::{NodeAddress, Request, Verb};
use crate::rate_limiter::RateLimiter;
use crate::relay::Relay;
use crate::relay::http::{PendingAnswer, PendingConnections};
use crate::relay::index::Search;
use crate::relay::message_listeners::Credentials;
use crate::role::{ConnId, Input, LastRequest, ReadNext};
use crate::session::ServerSession;
use crate::session::responder::Responder;
use crate::tls::KeyId;

/// The state of one connection to the relay, or of one datagram.
#[derive(Default)]
pub struct RelaySession {
    server: ServerSession,
    extended: Option<Box<ExtendedState>>,
}

/// Uncommon per-connection state, boxed so that an idle session stays small.
#[derive(Default)]
pub(super) struct ExtendedState {
    pub(super) registration: Registration,
    /// The address whose messages the connection receives.
    pub(super) listens_at: Option<(NodeAddress, ConnId)>,
    /// Set while the connection waits for a search.
    pub(super) pending_search: Option<ConnId>,
    /// The search for the next batch, for `MORE`.
    pub(super) next_page: Option<Box<Search>>,
    /// The answer that waits for the search, if it is not that to `SEARCH`.
    pub(super) pending_answer: Option<Box<PendingAnswer>>,
    /// The page that waits for the list of connections, if the list is not for `CONNECTIONS`.
    pub(super) pending_connections: Option<Box<PendingConnections>>,
    message_limiter: Option<RateLimiter>,
}

/// The result of the connection's last `REGISTER`.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) enum Registration {
    /// The connection sent no `REGISTER`.
    #[default]
    None,
    /// The node's address, while its lease lasts, and the number of the registration.
    Active(NodeAddress, u64),
    /// The request was malformed or rejected.
    Rejected,
}

impl RelaySession {
    /// Reads a request; see [`ServerSession::read`].
    pub(super) fn read<'i>(
        &mut self,
        input: Input<'i>,
        max_unknown: u16,
        reply: &mut Responder<'_, Relay>,
    ) -> Result<Request<'i>, ReadNext> {
        let request = self.server.read(input, max_unknown, reply);
        if request.is_err() && self.server.malformed == Some(Verb::Register) {
            self.extended().registration = Registration::Rejected;
        }
        request
    }

    pub(super) fn server(&mut self) -> &mut ServerSession {
        &mut self.server
    }

    /// The key that the client has shown.
    pub(super) fn key(&self) -> Option<KeyId> {
        self.server.security()?.peer
    }

    /// What the client has shown.
    pub(super) fn credentials(&self) -> Credentials {
        Credentials {
            key: self.key(),
            secret_version: self.server.secret_version(),
        }
    }

    /// The last request, for the log.
    pub(super) fn last_request(&self) -> Option<LastRequest<'_>> {
        self.server.last_request()
    }

    pub(super) fn registration(&self) -> Registration {
        self.extended
            .as_ref()
            .map_or(Registration::None, |extended| extended.registration)
    }

    pub(super) fn extended(&mut self) -> &mut ExtendedState {
        self.extended.get_or_insert_default()
    }

    /// The page that waits for the list of connections.
    pub(super) fn pending_connections(&self) -> Option<&PendingConnections> {
        self.extended.as_ref()?.pending_connections.as_deref()
    }

    /// The address at which the connection listens, and the connection itself.
    pub(super) fn take_listener(&mut self) -> Option<(NodeAddress, ConnId)> {
        self.extended.as_mut()?.listens_at.take()
    }

    /// The state to clean up when the connection is closed.
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
