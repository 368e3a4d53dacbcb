//! Keeps a mailbox open at the node's address: from the first registration on,
//! and again with growing pauses after it was lost. Who is replaced gives up.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::close_reason::CloseReason;
use crate::escaped::Escaped;
use crate::node::event::NodeEvent;
use crate::protocol::{ClaimedIp, Code, NodeAddress, Port, Text};
use crate::relay_link::{Backoff, BackoffState, LONGEST_PAUSE};
use crate::relay_link::{MessageSubscription, SubscriptionEvent};
use crate::role::{ConnId, Input, Output, ReadNext, Role};

/// A mailbox that was open for so long works: what follows is a new trouble.
const PROVEN: Duration = LONGEST_PAUSE;

/// The node's ear.
pub struct MessageListener {
    relay: Backoff,
    ip: ClaimedIp,
    port: Port,
    state: ListenerState,
    /// Who wrote last.
    last: Option<NodeAddress>,
}

enum ListenerState {
    /// The node is not registered yet.
    Asleep,
    /// Nothing to do before this.
    Waiting(Instant),
    /// A connection is there, or about to be; open since.
    Talking(MessageSubscription, Option<Instant>),
    /// It was replaced, or the node stops.
    Over,
}

impl MessageListener {
    /// Will listen at the address under which the node is listed. `relay` is not
    /// empty.
    #[must_use]
    pub fn new(relay: Vec<SocketAddr>, ip: ClaimedIp, port: Port, seed: u64) -> Self {
        Self {
            relay: Backoff::new(relay, seed),
            ip,
            port,
            state: ListenerState::Asleep,
            last: None,
        }
    }

    /// The node is registered: from now on it may listen.
    pub(super) fn wake(&mut self, now: Instant) {
        if let ListenerState::Asleep = self.state {
            self.state = ListenerState::Waiting(now);
        }
    }

    /// When [`MessageListener::dial`] has something to do.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        match self.state {
            ListenerState::Waiting(until) => Some(until),
            ListenerState::Asleep | ListenerState::Talking(..) | ListenerState::Over => None,
        }
    }

    /// The address to connect to now, if it is time.
    pub(super) fn dial(&mut self, now: Instant) -> Option<SocketAddr> {
        if self.next_deadline().is_none_or(|due| due > now) {
            return None;
        }
        let mailbox = MessageSubscription::new(Some((self.ip, self.port)));
        self.state = ListenerState::Talking(mailbox, None);
        Some(self.relay.address())
    }

    /// Something was heard from the relay.
    pub(super) fn on_input<'a, R: Role>(
        &mut self,
        out: &mut Output<R>,
        now: Instant,
        conn: ConnId,
        heard: Input<'a>,
    ) -> (ReadNext, Option<NodeEvent<'a>>) {
        let ListenerState::Talking(mailbox, since) = &mut self.state else {
            // The node stops.
            return (ReadNext::Close(CloseReason::Completed), None);
        };
        let (next, mail) = mailbox.on_input(out, conn, heard);
        let news = match mail {
            None => None,
            Some(SubscriptionEvent::Open(address)) => {
                *since = Some(now);
                Some(NodeEvent::Listening(address))
            }
            Some(SubscriptionEvent::Refused(code, text)) => self.lost(now, said(code, &text)),
            Some(SubscriptionEvent::Replaced) => {
                self.state = ListenerState::Over;
                Some(NodeEvent::Replaced)
            }
            Some(SubscriptionEvent::Message(delivery)) => {
                self.last = Some(delivery.from);
                Some(NodeEvent::Message(delivery))
            }
            Some(SubscriptionEvent::Sent(to)) => Some(NodeEvent::Sent(to)),
            Some(SubscriptionEvent::NotSent(to, code, text)) => {
                Some(NodeEvent::NotSent(to, said(code, &text)))
            }
        };
        (next, news)
    }

    /// Who wrote last.
    pub(super) fn last(&self) -> Option<NodeAddress> {
        self.last
    }

    /// Says something to whoever listens at `to`, who can answer to our address.
    /// Returns false if nothing can be said now.
    pub(super) fn send<R: Role>(
        &mut self,
        out: &mut Output<R>,
        to: NodeAddress,
        text: Text<'static>,
    ) -> bool {
        match &mut self.state {
            ListenerState::Talking(mailbox, _) => mailbox.send(out, to, text),
            ListenerState::Asleep | ListenerState::Waiting(_) | ListenerState::Over => false,
        }
    }

    /// The connection is over. Returns what the user wants to know.
    pub(super) fn on_close(&mut self, now: Instant, end: &CloseReason) -> Vec<NodeEvent<'static>> {
        let ListenerState::Talking(mailbox, since) = &mut self.state else {
            return Vec::new();
        };
        if since.is_some_and(|since| now.saturating_duration_since(since) >= PROVEN) {
            self.relay.worked();
        }
        let in_doubt =
            |to| NodeEvent::NotSent(to, "the connection broke; it may have arrived".into());
        let mut news: Vec<NodeEvent<'_>> = mailbox.unanswered().map(in_doubt).collect();
        let relay = self.relay.address();
        let why = match end {
            CloseReason::EndOfInput => "it closed the connection".to_owned(),
            end => end.to_string(),
        };
        news.extend(self.lost(now, format!("relay {relay}: {why}")));
        news
    }

    /// The node stops. Returns false as long as the relay may still register it
    /// for our sake: this is called again when something has changed.
    pub(super) fn leave<R: Role>(&mut self, out: &mut Output<R>) -> bool {
        if let ListenerState::Talking(mailbox, _) = &self.state {
            if mailbox.is_registering() {
                return false;
            }
            if let Some(conn) = mailbox.conn() {
                out.close(conn, CloseReason::Shutdown);
            }
        }
        self.state = ListenerState::Over;
        true
    }

    fn lost(&mut self, now: Instant, why: String) -> Option<NodeEvent<'static>> {
        let BackoffState { pause, is_news } = self.relay.failed();
        self.state = ListenerState::Waiting(now + pause);
        is_news.then_some(NodeEvent::Unheard(why))
    }
}

/// An error of the relay, for people.
fn said(code: Code, text: &str) -> String {
    format!("the relay says {} {}", code.number(), Escaped::text(text))
}
