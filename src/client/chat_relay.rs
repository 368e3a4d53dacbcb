//! A relay at which a chat receives messages.

use std::net::SocketAddr;
use std::time::Instant;

use crate::client::{Client, ClientSession};
use crate::jobs::{Failure, PeerSource};
use crate::protocol::ErrorCode;
use crate::relay_link::{Backoff, MessageSubscription};
use crate::role::Output;

/// Names a relay of a chat. A connection that an earlier chat began may be made, or fail, while
/// a later one goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ChatRelayId {
    /// The number of the chat.
    pub(super) chat: u64,
    /// The index of the relay.
    pub(super) relay: usize,
}

/// A relay of a chat, and the connection that listens there.
pub(super) struct ChatRelay {
    pub(super) id: ChatRelayId,
    pub(super) source: PeerSource,
    pub(super) subscription: MessageSubscription,
    /// Why the relay is about to close the connection, in its own words.
    pub(super) refusal: Option<(ErrorCode, String)>,
    /// Whether messages arrive from it, or did.
    pub(super) has_listened: bool,
    /// Why no messages arrive now, as the user was told.
    reported: Option<String>,
    open_since: Option<Instant>,
    backoff: Backoff,
}

impl ChatRelay {
    /// The relay `id`. Connects to the first of its addresses.
    pub(super) fn connect(
        out: &mut Output<Client>,
        id: ChatRelayId,
        source: PeerSource,
        seed: u64,
    ) -> Self {
        let relay = Self {
            id,
            backoff: Backoff::new(source.addresses.clone(), seed),
            source,
            subscription: MessageSubscription::new(None),
            refusal: None,
            has_listened: false,
            reported: None,
            open_since: None,
        };
        relay.connect_to(out, relay.backoff.address());
        relay
    }

    /// Whether messages arrive from it.
    pub(super) fn is_open(&self) -> bool {
        self.subscription.address.is_some()
    }

    /// Messages arrive from now on.
    pub(super) fn on_open(&mut self, now: Instant) {
        self.has_listened = true;
        self.reported = None;
        self.open_since = Some(now);
    }

    /// The connection has ended. Returns whether another address is tried.
    pub(super) fn try_next_address(&mut self, out: &mut Output<Client>) -> bool {
        let may_try = !self.is_open() && self.backoff.on_failure().is_zero();
        if may_try {
            self.subscription = MessageSubscription::new(None);
            self.connect_to(out, self.backoff.address());
        }
        may_try
    }

    /// The connection has ended. Another one follows, perhaps after a pause.
    pub(super) fn retry(&mut self, now: Instant) {
        self.subscription = MessageSubscription::new(None);
        self.backoff.on_end(self.open_since.take(), now);
        self.backoff.retry(now);
    }

    /// Whether the user does not know yet that no messages arrive for this reason.
    pub(super) fn must_report(&mut self, failure: &Failure<'_>) -> bool {
        let text = Some(failure.to_string());
        let is_new = self.reported != text;
        self.reported = text;
        is_new
    }

    /// When the next connection is due; none while there is one.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.backoff.next_deadline()
    }

    /// Connects, if that is due.
    pub(super) fn dial(&mut self, out: &mut Output<Client>, now: Instant) {
        let address = self.backoff.dial(now);
        self.connect_to(out, address);
    }

    fn connect_to(&self, out: &mut Output<Client>, address: Option<SocketAddr>) {
        if let Some(address) = address {
            out.dial(address, ClientSession::MessageSubscription(self.id));
        }
    }
}
