//! Receives the messages that are sent to the node's address: listens from the
//! first registration on, and reconnects with backoff after a failure. If another
//! connection replaces it, it stops.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use crate::close_reason::CloseReason;
use crate::node::event::{NodeEvent, relay_error, relay_failure};
use crate::node::messages::OutgoingMessage;
use crate::protocol::{ClaimedIp, ErrorCode, Port};
use crate::relay_link::{Backoff, MessageSubscription, SubscriptionEvent};
use crate::role::{ConnId, Input, Output, ReadNext, Role};

/// The node's subscription to messages.
pub(super) struct MessageListener {
    backoff: Backoff,
    /// The address under which the node registers.
    claim: (ClaimedIp, Port),
    /// The connection, open or being opened.
    subscription: Option<MessageSubscription>,
    open_since: Option<Instant>,
    /// Another connection has replaced it, or the node stops.
    is_stopped: bool,
    /// The messages that the relay has not confirmed.
    unconfirmed: VecDeque<OutgoingMessage>,
    /// A message whose receiver this relay does not know, but perhaps another one.
    pub(super) undelivered: Option<OutgoingMessage>,
}

impl MessageListener {
    /// A listener for the address under which the node registers.
    pub(super) fn new(relay: Vec<SocketAddr>, claim: (ClaimedIp, Port), seed: u64) -> Self {
        Self {
            backoff: Backoff::new(relay, seed),
            claim,
            subscription: None,
            open_since: None,
            is_stopped: false,
            unconfirmed: VecDeque::new(),
            undelivered: None,
        }
    }

    /// The relay has these addresses now.
    pub(super) fn set_relay(&mut self, relay: &[SocketAddr]) {
        self.backoff.set_addresses(relay);
    }

    /// The node is registered, so the listener may connect.
    pub(super) fn enable(&mut self, now: Instant) {
        if self.subscription.is_none() {
            self.backoff.schedule(now);
        }
    }

    /// Whether messages arrive.
    pub(super) fn is_open(&self) -> bool {
        self.subscription
            .as_ref()
            .is_some_and(|subscription| subscription.address.is_some())
    }

    /// When [`MessageListener::dial`] returns an address.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.backoff.next_deadline().filter(|_| !self.is_stopped)
    }

    /// The address to connect to, if an attempt is due.
    pub(super) fn dial(&mut self, now: Instant) -> Option<SocketAddr> {
        self.next_deadline()?;
        let address = self.backoff.dial(now)?;
        self.subscription = Some(MessageSubscription::new(Some(self.claim)));
        self.open_since = None;
        self.unconfirmed.clear();
        Some(address)
    }

    pub(super) fn on_input<'a, R: Role>(
        &mut self,
        out: &mut Output<R>,
        now: Instant,
        conn: ConnId,
        input: Input<'a>,
    ) -> (ReadNext, Option<NodeEvent<'a>>) {
        let Some(subscription) = &mut self.subscription else {
            // The node stops.
            return (ReadNext::Close(CloseReason::Completed), None);
        };
        let (next, event) = subscription.on_input(out, conn, input);
        let event = match event {
            None => None,
            Some(SubscriptionEvent::Open(address)) => {
                self.open_since = Some(now);
                Some(NodeEvent::Listening(address))
            }
            Some(SubscriptionEvent::Refused(code, text)) => {
                self.retry(now, relay_error(code, &text))
            }
            Some(SubscriptionEvent::Replaced) => {
                self.subscription = None;
                self.is_stopped = true;
                Some(NodeEvent::ListenerReplaced)
            }
            Some(SubscriptionEvent::Message(delivery)) => Some(NodeEvent::Message(delivery)),
            Some(SubscriptionEvent::Sent(to)) => {
                let message = self.unconfirmed.pop_front();
                let is_from_program = message.is_some_and(|message| message.is_from_program);
                (!is_from_program).then_some(NodeEvent::MessageSent(to))
            }
            Some(SubscriptionEvent::NotSent(_, code, text)) => {
                self.on_not_sent(code, relay_error(code, &text))
            }
        };
        (next, event)
    }

    /// Sends a message from the node's address.
    ///
    /// # Errors
    /// The listener is not connected.
    pub(super) fn send<R: Role>(
        &mut self,
        out: &mut Output<R>,
        message: OutgoingMessage,
    ) -> Result<(), OutgoingMessage> {
        let subscription = self.subscription.as_mut();
        let (to, text) = (message.to, message.text.clone());
        if !subscription.is_some_and(|subscription| subscription.send(out, to, text)) {
            return Err(message);
        }
        self.unconfirmed.push_back(message);
        Ok(())
    }

    /// The relay has not passed on the next message. If it does not know the receiver, other
    /// relays may.
    fn on_not_sent(&mut self, code: ErrorCode, reason: String) -> Option<NodeEvent<'static>> {
        let mut message = self.unconfirmed.pop_front()?;
        if code != ErrorCode::NO_SUCH_NODE || message.relays.is_empty() {
            return Some(message.not_sent(reason));
        }
        message.refusal = Some(reason);
        self.undelivered = Some(message);
        None
    }

    /// Returns the events to report.
    pub(super) fn on_close(
        &mut self,
        now: Instant,
        reason: &CloseReason,
    ) -> Vec<NodeEvent<'static>> {
        if self.subscription.take().is_none() {
            return Vec::new();
        }
        self.backoff.on_end(self.open_since, now);
        let unconfirmed = self.unconfirmed.drain(..);
        let not_sent = unconfirmed.map(|message| {
            let reason = "the connection broke; it may have arrived".into();
            message.not_sent(reason)
        });
        let mut events: Vec<NodeEvent<'_>> = not_sent.collect();
        let reason = relay_failure(self.backoff.last_address(), reason);
        events.extend(self.retry(now, reason));
        events
    }

    /// The node stops. Returns false while a `REGISTER` of this connection has no
    /// reply: the relay may still register the node. The caller then tries again
    /// later.
    pub(super) fn stop<R: Role>(&mut self, out: &mut Output<R>) -> bool {
        if let Some(subscription) = &self.subscription {
            if subscription.is_registering() {
                return false;
            }
            subscription.close(out, CloseReason::Shutdown);
        }
        self.subscription = None;
        self.is_stopped = true;
        true
    }

    fn retry(&mut self, now: Instant, reason: String) -> Option<NodeEvent<'static>> {
        self.subscription = None;
        let is_first = self.backoff.retry(now) == Some(1);
        is_first.then_some(NodeEvent::ListenFailed(reason))
    }
}
