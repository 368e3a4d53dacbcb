//! Keeps a mailbox open at the node's address: from the first registration on,
//! and again with growing pauses after it was lost. Who is replaced gives up.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::close_reason::End;
use crate::escaped::Visible;
use crate::node::event::News;
use crate::protocol::{ClaimedIp, Code, NodeAddress, Port, Text};
use crate::relay_link::{LONGEST_PAUSE, Redial, Setback};
use crate::relay_link::{Mail, Mailbox};
use crate::role::{ConnId, Heard, Next, Output, Role};

/// A mailbox that was open for so long works: what follows is a new trouble.
const PROVEN: Duration = LONGEST_PAUSE;

/// The node's ear.
pub struct Listener {
    relay: Redial,
    ip: ClaimedIp,
    port: Port,
    state: State,
    /// Who wrote last.
    last: Option<NodeAddress>,
}

enum State {
    /// The node is not registered yet.
    Asleep,
    /// Nothing to do before this.
    Waiting(Instant),
    /// A connection is there, or about to be; open since.
    Talking(Mailbox, Option<Instant>),
    /// It was replaced, or the node stops.
    Over,
}

impl Listener {
    /// Will listen at the address under which the node is listed. `relay` is not
    /// empty.
    #[must_use]
    pub fn new(relay: Vec<SocketAddr>, ip: ClaimedIp, port: Port, seed: u64) -> Self {
        Self {
            relay: Redial::new(relay, seed),
            ip,
            port,
            state: State::Asleep,
            last: None,
        }
    }

    /// The node is registered: from now on it may listen.
    pub(super) fn wake(&mut self, now: Instant) {
        if let State::Asleep = self.state {
            self.state = State::Waiting(now);
        }
    }

    /// When [`Listener::dial`] has something to do.
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        match self.state {
            State::Waiting(until) => Some(until),
            State::Asleep | State::Talking(..) | State::Over => None,
        }
    }

    /// The address to connect to now, if it is time.
    pub(super) fn dial(&mut self, now: Instant) -> Option<SocketAddr> {
        if self.next_deadline().is_none_or(|due| due > now) {
            return None;
        }
        let mailbox = Mailbox::new(Some((self.ip, self.port)));
        self.state = State::Talking(mailbox, None);
        Some(self.relay.address())
    }

    /// Something was heard from the relay.
    pub(super) fn heard<'a, R: Role>(
        &mut self,
        out: &mut Output<R>,
        now: Instant,
        conn: ConnId,
        heard: Heard<'a>,
    ) -> (Next, Option<News<'a>>) {
        let State::Talking(mailbox, since) = &mut self.state else {
            // The node stops.
            return (Next::Close(End::Satisfied), None);
        };
        let (next, mail) = mailbox.heard(out, conn, heard);
        let news = match mail {
            None => None,
            Some(Mail::Open(address)) => {
                *since = Some(now);
                Some(News::Listening(address))
            }
            Some(Mail::Refused(code, text)) => self.lost(now, said(code, &text)),
            Some(Mail::Replaced) => {
                self.state = State::Over;
                Some(News::Replaced)
            }
            Some(Mail::Message(delivery)) => {
                self.last = Some(delivery.from);
                Some(News::Message(delivery))
            }
            Some(Mail::Sent(to)) => Some(News::Sent(to)),
            Some(Mail::NotSent(to, code, text)) => Some(News::NotSent(to, said(code, &text))),
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
            State::Talking(mailbox, _) => mailbox.send(out, to, text),
            State::Asleep | State::Waiting(_) | State::Over => false,
        }
    }

    /// The connection is over. Returns what the user wants to know.
    pub(super) fn ended(&mut self, now: Instant, end: &End) -> Vec<News<'static>> {
        let State::Talking(mailbox, since) = &mut self.state else {
            return Vec::new();
        };
        if since.is_some_and(|since| now.saturating_duration_since(since) >= PROVEN) {
            self.relay.worked();
        }
        let in_doubt = |to| News::NotSent(to, "the connection broke; it may have arrived".into());
        let mut news: Vec<News<'_>> = mailbox.unanswered().map(in_doubt).collect();
        let relay = self.relay.address();
        let why = match end {
            End::Done => "it closed the connection".to_owned(),
            end => end.to_string(),
        };
        news.extend(self.lost(now, format!("relay {relay}: {why}")));
        news
    }

    /// The node stops. Returns false as long as the relay may still register it
    /// for our sake: this is called again when something has changed.
    pub(super) fn leave<R: Role>(&mut self, out: &mut Output<R>) -> bool {
        if let State::Talking(mailbox, _) = &self.state {
            if mailbox.is_registering() {
                return false;
            }
            if let Some(conn) = mailbox.conn() {
                out.close(conn, End::Drained);
            }
        }
        self.state = State::Over;
        true
    }

    fn lost(&mut self, now: Instant, why: String) -> Option<News<'static>> {
        let Setback { pause, is_news } = self.relay.failed();
        self.state = State::Waiting(now + pause);
        is_news.then_some(News::Unheard(why))
    }
}

/// An error of the relay, for people.
fn said(code: Code, text: &str) -> String {
    format!("the relay says {} {}", code.number(), Visible::text(text))
}
