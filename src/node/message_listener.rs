//! Receives the messages that are sent to the node's address: listens from the
//! first registration on, and reconnects with backoff after a failure. If another
//! connection replaces it, it stops.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::close_reason::CloseReason;
use crate::escaped::Escaped;
use crate::node::event::NodeEvent;
use crate::protocol::{ClaimedIp, Code, NodeAddress, Port, Text};
use crate::relay_link::{Backoff, BackoffState, LONGEST_PAUSE};
use crate::relay_link::{MessageSubscription, SubscriptionEvent};
use crate::role::{ConnId, Input, Output, ReadNext, Role};

/// A subscription that lasted this long resets the backoff.
const STABLE_AFTER: Duration = LONGEST_PAUSE;

/// The node's subscription to messages.
pub struct MessageListener {
    backoff: Backoff,
    ip: ClaimedIp,
    port: Port,
    state: ListenerState,
    /// The sender of the last message.
    last_sender: Option<NodeAddress>,
}

enum ListenerState {
    /// The node is not registered yet.
    Unregistered,
    /// The next attempt is due at this time.
    Waiting(Instant),
    /// A connection is open or being opened. The time is since when it listens.
    Connected(MessageSubscription, Option<Instant>),
    /// Another connection has replaced it, or the node stops.
    Stopped,
}

impl MessageListener {
    /// A listener for the address under which the node registers. `relay` is not
    /// empty.
    #[must_use]
    pub fn new(relay: Vec<SocketAddr>, ip: ClaimedIp, port: Port, seed: u64) -> Self {
        Self {
            backoff: Backoff::new(relay, seed),
            ip,
            port,
            state: ListenerState::Unregistered,
            last_sender: None,
        }
    }

    /// The node is registered, so the listener may connect.
    pub(super) fn enable(&mut self, now: Instant) {
        if let ListenerState::Unregistered = self.state {
            self.state = ListenerState::Waiting(now);
        }
    }

    /// When [`MessageListener::dial`] returns an address.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        match self.state {
            ListenerState::Waiting(until) => Some(until),
            ListenerState::Unregistered | ListenerState::Connected(..) | ListenerState::Stopped => {
                None
            }
        }
    }

    /// The address to connect to, if an attempt is due.
    pub(super) fn dial(&mut self, now: Instant) -> Option<SocketAddr> {
        if self.next_deadline().is_none_or(|due| due > now) {
            return None;
        }
        let subscription = MessageSubscription::new(Some((self.ip, self.port)));
        self.state = ListenerState::Connected(subscription, None);
        Some(self.backoff.address())
    }

    /// Handles input from the relay.
    pub(super) fn on_input<'a, R: Role>(
        &mut self,
        out: &mut Output<R>,
        now: Instant,
        conn: ConnId,
        input: Input<'a>,
    ) -> (ReadNext, Option<NodeEvent<'a>>) {
        let ListenerState::Connected(subscription, since) = &mut self.state else {
            // The node stops.
            return (ReadNext::Close(CloseReason::Completed), None);
        };
        let (next, event) = subscription.on_input(out, conn, input);
        let event = match event {
            None => None,
            Some(SubscriptionEvent::Open(address)) => {
                *since = Some(now);
                Some(NodeEvent::Listening(address))
            }
            Some(SubscriptionEvent::Refused(code, text)) => {
                self.schedule_retry(now, relay_error(code, &text))
            }
            Some(SubscriptionEvent::Replaced) => {
                self.state = ListenerState::Stopped;
                Some(NodeEvent::ListenerReplaced)
            }
            Some(SubscriptionEvent::Message(delivery)) => {
                self.last_sender = Some(delivery.from);
                Some(NodeEvent::Message(delivery))
            }
            Some(SubscriptionEvent::Sent(to)) => Some(NodeEvent::MessageSent(to)),
            Some(SubscriptionEvent::NotSent(to, code, text)) => {
                Some(NodeEvent::MessageNotSent(to, relay_error(code, &text)))
            }
        };
        (next, event)
    }

    /// The sender of the last message.
    pub(super) fn last_sender(&self) -> Option<NodeAddress> {
        self.last_sender
    }

    /// Sends a message from the node's address. Returns false if the listener is
    /// not connected.
    pub(super) fn send<R: Role>(
        &mut self,
        out: &mut Output<R>,
        to: NodeAddress,
        text: Text<'static>,
    ) -> bool {
        match &mut self.state {
            ListenerState::Connected(subscription, _) => subscription.send(out, to, text),
            ListenerState::Unregistered | ListenerState::Waiting(_) | ListenerState::Stopped => {
                false
            }
        }
    }

    /// The connection has ended. Returns the events to report.
    pub(super) fn on_close(
        &mut self,
        now: Instant,
        reason: &CloseReason,
    ) -> Vec<NodeEvent<'static>> {
        let ListenerState::Connected(subscription, since) = &mut self.state else {
            return Vec::new();
        };
        if since.is_some_and(|since| now.saturating_duration_since(since) >= STABLE_AFTER) {
            self.backoff.on_success();
        }
        let unanswered = |to| {
            let reason = "the connection broke; it may have arrived".into();
            NodeEvent::MessageNotSent(to, reason)
        };
        let mut events: Vec<NodeEvent<'_>> = subscription.unanswered().map(unanswered).collect();
        let relay = self.backoff.address();
        let reason = match reason {
            CloseReason::EndOfInput => "the connection was closed".to_owned(),
            reason => reason.to_string(),
        };
        events.extend(self.schedule_retry(now, format!("relay {relay}: {reason}")));
        events
    }

    /// The node stops. Returns false while a `REGISTER` of this connection has no
    /// reply: the relay may still register the node. The caller then tries again
    /// later.
    pub(super) fn stop<R: Role>(&mut self, out: &mut Output<R>) -> bool {
        if let ListenerState::Connected(subscription, _) = &self.state {
            if subscription.is_registering() {
                return false;
            }
            if let Some(conn) = subscription.conn() {
                out.close(conn, CloseReason::Shutdown);
            }
        }
        self.state = ListenerState::Stopped;
        true
    }

    fn schedule_retry(&mut self, now: Instant, reason: String) -> Option<NodeEvent<'static>> {
        let BackoffState {
            pause,
            is_first_failure,
        } = self.backoff.on_failure();
        self.state = ListenerState::Waiting(now + pause);
        is_first_failure.then_some(NodeEvent::ListenFailed(reason))
    }
}

/// An error reply of the relay, for people.
fn relay_error(code: Code, text: &str) -> String {
    format!("the relay says {} {}", code.number(), Escaped::text(text))
}
