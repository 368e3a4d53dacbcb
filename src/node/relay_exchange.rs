//! Conversations with the relay about our place in its directory and our files:
//! over TCP, or in datagrams if the user wants that.

use std::net::SocketAddr;
use std::time::Instant;

use crate::close_reason::End;
use crate::node::event::News;
use crate::node::registrar::Contact;
use crate::node::share::Share;
use crate::node::{Node, SETTLE, Session};
use crate::role::{Correspondent, Heard, Next, Turn};
use crate::session::udp_requests::{Exchanges, Outcome};

/// One conversation.
#[derive(Debug)]
pub struct Talk {
    contact: Contact,
    /// Whether it has gone on to our files.
    announces: bool,
}

impl Talk {
    pub(super) fn new(contact: Contact) -> Self {
        Self {
            contact,
            announces: false,
        }
    }
}

impl<S: Share> Node<S> {
    /// Datagrams that reach the relay. Conversations go there first.
    #[must_use]
    pub fn by_datagrams(mut self, exchanges: Exchanges<Talk>) -> Self {
        self.exchanges = exchanges;
        self
    }

    /// Begins a conversation.
    pub(super) fn talk(&mut self, turn: &mut Turn<'_, Self>, relay: SocketAddr, contact: Contact) {
        let mut exchanges = std::mem::take(&mut self.exchanges);
        let talk = Talk::new(contact);
        let begun = exchanges.begin(turn.out, turn.now, relay, talk, |talk, lines| {
            self.relay_said(turn.now, talk, Heard::Connected, lines);
        });
        self.exchanges = exchanges;
        if let Err(talk) = begun {
            turn.out.dial(relay, Session::Relay(Box::new(talk)));
        }
    }

    /// First the relay registers us, then it hears of our files. If that takes
    /// longer than until the next renewal, the renewal is one of its own.
    pub(super) fn relay_said(
        &mut self,
        now: Instant,
        talk: &mut Talk,
        heard: Heard<'_>,
        reply: &mut Vec<u8>,
    ) -> Next {
        let Talk { contact, announces } = talk;
        if let (true, Heard::Line(line)) = (*announces, &heard) {
            if self.registrar.is_leaving() {
                return Next::Close(End::Satisfied);
            }
            return self.announcer.answered(&mut self.share, line, reply);
        }
        let (next, news) = self.registrar.heard(now, contact, heard, reply);
        if let Some(News::Registered(registered)) = &news {
            if let Some(listener) = &mut self.listener {
                listener.wake(now);
            }
            if let Some(console) = &mut self.console {
                console.listed(registered.address);
            }
        }
        self.tell(news);
        match contact.files() {
            Some(files) if !self.registrar.is_leaving() && !self.announcer.is_busy() => {
                if contact.is_restarted() {
                    self.announcer.started_over();
                } else if self.announcer.starts_over(files) {
                    return self.registrar.start_over(contact, reply);
                }
                *announces = true;
                self.announcer.begin(&mut self.share, files, reply)
            }
            Some(_) | None => next,
        }
    }

    /// A conversation is over, however it went.
    pub(super) fn talked(&mut self, now: Instant, talk: Talk, end: &End) {
        let Talk { contact, announces } = talk;
        let news = self.registrar.ended(now, contact, end);
        self.tell(news);
        if announces {
            self.announcer.over();
            if self.announcer.is_behind(&mut self.share) {
                self.registrar.soon(now, SETTLE);
            }
        }
    }

    /// A datagram came.
    pub(super) fn read_datagram(
        &mut self,
        turn: &mut Turn<'_, Self>,
        from: Correspondent,
        bytes: &[u8],
    ) {
        let now = turn.now;
        let mut exchanges = std::mem::take(&mut self.exchanges);
        let outcome = exchanges.receive(turn.out, now, from, bytes, |talk, line, more| {
            self.relay_said(now, talk, Heard::Line(line), more)
        });
        self.exchanges = exchanges;
        self.go_on(turn, outcome);
        if let Some(console) = &mut self.console {
            console.datagram(turn, from, bytes);
        }
    }

    /// Nobody takes datagrams at the other end of a socket.
    pub(super) fn lost(&mut self, turn: &mut Turn<'_, Self>, socket: u32) {
        let lost = self.exchanges.unreachable(socket);
        self.go_on(turn, lost);
        if let Some(console) = &mut self.console {
            console.unreachable(turn, socket);
        }
    }

    /// Says again what was not answered in time.
    pub(super) fn repeat(&mut self, turn: &mut Turn<'_, Self>) {
        let late = self.exchanges.tick(turn.out, turn.now);
        self.go_on(turn, late);
        if let Some(console) = &mut self.console {
            console.tick(turn);
        }
    }

    /// What has come of conversations in datagrams.
    fn go_on(
        &mut self,
        turn: &mut Turn<'_, Self>,
        outcomes: impl IntoIterator<Item = Outcome<Talk>>,
    ) {
        for outcome in outcomes {
            match outcome {
                Outcome::Ended(talk, end) => {
                    self.talked(turn.now, talk, &end);
                    self.say_goodbye(turn);
                }
                // Who leaves need not be registered.
                Outcome::FallBack(_, talk)
                    if self.registrar.is_leaving() && !talk.contact.is_goodbye() =>
                {
                    self.talked(turn.now, talk, &End::NoProgress);
                    self.say_goodbye(turn);
                }
                Outcome::FallBack(relay, talk) => {
                    if talk.announces {
                        self.announcer.over();
                    }
                    let talk = Talk::new(talk.contact.again());
                    turn.out.dial(relay, Session::Relay(Box::new(talk)));
                }
            }
        }
    }
}
