//! The messages of a node: each is sent through the relay at which its receiver is found, and an
//! answer through the relay of its message only. At another relay, the address of the sender may be
//! that of somebody else.

use std::collections::VecDeque;
use std::time::Instant;

use crate::close_reason::CloseReason;
use crate::jobs::Failure;
use crate::node::share::Share;
use crate::node::{Node, NodeEvent, NodeSession};
use crate::protocol::{NodeAddress, Text};
use crate::role::{ConnId, Context, Input, ReadNext};

/// A message that no relay has passed on yet.
pub(super) struct OutgoingMessage {
    pub(super) to: NodeAddress,
    pub(super) text: Text<'static>,
    /// Whether it answers another message.
    pub(super) is_answer: bool,
    /// Whether a program has made it.
    pub(super) is_from_program: bool,
    /// The relays that may pass it on and were not tried, in order.
    pub(super) relays: VecDeque<usize>,
    /// What the last relay said that does not know the receiver.
    pub(super) refusal: Option<String>,
}

impl OutgoingMessage {
    /// The event that no relay has passed it on, for this reason.
    pub(super) fn not_sent(&self, reason: String) -> NodeEvent<'static> {
        match self.is_from_program {
            true => NodeEvent::AnswerNotSent(self.to, reason),
            false => NodeEvent::MessageNotSent(self.to, reason),
        }
    }
}

impl<S: Share> Node<S> {
    /// Receives the messages that are sent to the node's address.
    pub fn receive_messages(&mut self, seed: u64) {
        for (relay, number) in self.relays.iter_mut().zip(0..) {
            relay.receive_messages(seed.wrapping_add(number));
        }
    }

    /// Whether the node receives messages.
    pub(super) fn receives_messages(&self) -> bool {
        self.relays.iter().any(|relay| relay.listener.is_some())
    }

    /// Sends a message from the node's address: first through the relay that has brought the
    /// last message of the receiver.
    pub(super) fn send_message(
        &mut self,
        context: &mut Context<'_, Self>,
        to: NodeAddress,
        text: Text<'static>,
    ) {
        let mut relays: VecDeque<usize> = (0..self.relays.len()).collect();
        if let Some((relay, sender)) = self.last_sender
            && sender == to
        {
            relays.retain(|other| *other != relay);
            relays.push_front(relay);
        }
        let message = OutgoingMessage {
            to,
            text,
            is_answer: false,
            is_from_program: false,
            relays,
            refusal: None,
        };
        self.try_next_relay(context, message);
    }

    /// Answers a message of `to` that a relay has brought, through that relay.
    pub(super) fn send_answer(
        &mut self,
        context: &mut Context<'_, Self>,
        (relay, to): (usize, NodeAddress),
        text: Text<'static>,
        is_from_program: bool,
    ) {
        let message = OutgoingMessage {
            to,
            text,
            is_answer: true,
            is_from_program,
            relays: VecDeque::from([relay]),
            refusal: None,
        };
        self.try_next_relay(context, message);
    }

    /// Sends a message through the next relay at which the node listens.
    pub(super) fn try_next_relay(
        &mut self,
        context: &mut Context<'_, Self>,
        mut message: OutgoingMessage,
    ) {
        while let Some(relay) = message.relays.pop_front() {
            let contact = self.relays.get_mut(relay);
            let Some(listener) = contact.and_then(|contact| contact.listener.as_mut()) else {
                continue;
            };
            match listener.send(context.out, message) {
                Ok(()) => return,
                Err(unsent) => message = unsent,
            }
        }
        let reason = message.refusal.take();
        let reason = reason.unwrap_or_else(|| match message.is_answer && self.relays.len() > 1 {
            true => Failure::RelayLost.to_string(),
            false => "no messages arrive here".into(),
        });
        self.report(None, [message.not_sent(reason)]);
    }

    /// Reads input on the connection on which messages arrive from a relay.
    pub(super) fn on_messages_input(
        &mut self,
        context: &mut Context<'_, Self>,
        relay: usize,
        conn: ConnId,
        input: Input<'_>,
    ) -> ReadNext {
        let Some(listener) = &mut self.relays[relay].listener else {
            return ReadNext::Close(CloseReason::Completed);
        };
        let (next, event) = listener.on_input(context.out, context.now, conn, input);
        let undelivered = listener.undelivered.take();
        if let Some(NodeEvent::Message(delivery)) = &event {
            self.last_sender = Some((relay, delivery.from));
        }
        // Messages do not matter to a node that stops.
        let event = event.filter(|_| !self.is_stopping);
        self.report(Some(relay), event);
        if let Some(message) = undelivered {
            self.try_next_relay(context, message);
        }
        self.unregister_if_stopping(context);
        next
    }

    /// The connection on which messages arrive from a relay has ended.
    pub(super) fn on_messages_close(&mut self, now: Instant, relay: usize, reason: &CloseReason) {
        let listener = self.relays[relay].listener.as_mut();
        let events = listener.map(|listener| listener.on_close(now, reason));
        if !self.is_stopping {
            self.report(Some(relay), events.unwrap_or_default());
        }
    }

    /// Connects to the relays at which the node does not listen yet.
    pub(super) fn listen_if_due(&mut self, context: &mut Context<'_, Self>) {
        for (index, relay) in self.relays.iter_mut().enumerate() {
            let listener = relay.listener.as_mut();
            if let Some(address) = listener.and_then(|listener| listener.dial(context.now)) {
                context.out.dial(address, NodeSession::Messages(index));
            }
        }
    }
}
