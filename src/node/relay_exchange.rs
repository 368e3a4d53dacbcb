//! Conversations with the relay about our place in its directory and our files:
//! over TCP, or in datagrams if the user wants that.

use std::net::SocketAddr;
use std::time::Instant;

use crate::close_reason::CloseReason;
use crate::node::event::NodeEvent;
use crate::node::registrar::Contact;
use crate::node::share::Share;
use crate::node::{Node, NodeSession, SETTLE};
use crate::role::{Context, Input, ReadNext, UdpPeer};
use crate::session::udp_requests::{UdpOutcome, UdpRequests};

/// One conversation.
#[derive(Debug)]
pub struct RelayExchange {
    contact: Contact,
    /// Whether it has gone on to our files.
    announces: bool,
}

impl RelayExchange {
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
    pub fn by_datagrams(mut self, exchanges: UdpRequests<RelayExchange>) -> Self {
        self.exchanges = exchanges;
        self
    }

    /// Begins a conversation.
    pub(super) fn talk(
        &mut self,
        context: &mut Context<'_, Self>,
        relay: SocketAddr,
        contact: Contact,
    ) {
        let mut exchanges = std::mem::take(&mut self.exchanges);
        let talk = RelayExchange::new(contact);
        let begun = exchanges.begin(context.out, context.now, relay, talk, |talk, lines| {
            self.relay_said(context.now, talk, Input::Connected, lines);
        });
        self.exchanges = exchanges;
        if let Err(talk) = begun {
            context.out.dial(relay, NodeSession::Relay(Box::new(talk)));
        }
    }

    /// First the relay registers us, then it hears of our files. If that takes
    /// longer than until the next renewal, the renewal is one of its own.
    pub(super) fn relay_said(
        &mut self,
        now: Instant,
        talk: &mut RelayExchange,
        heard: Input<'_>,
        reply: &mut Vec<u8>,
    ) -> ReadNext {
        let RelayExchange { contact, announces } = talk;
        if let (true, Input::Line(line)) = (*announces, &heard) {
            if self.registrar.is_leaving() {
                return ReadNext::Close(CloseReason::Completed);
            }
            return self.announcer.answered(&mut self.share, line, reply);
        }
        let (next, news) = self.registrar.on_input(now, contact, heard, reply);
        if let Some(NodeEvent::Registered(registered)) = &news {
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
    pub(super) fn talked(&mut self, now: Instant, talk: RelayExchange, end: &CloseReason) {
        let RelayExchange { contact, announces } = talk;
        let news = self.registrar.on_close(now, contact, end);
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
        context: &mut Context<'_, Self>,
        from: UdpPeer,
        bytes: &[u8],
    ) {
        let now = context.now;
        let mut exchanges = std::mem::take(&mut self.exchanges);
        let outcome = exchanges.receive(context.out, now, from, bytes, |talk, line, more| {
            self.relay_said(now, talk, Input::Line(line), more)
        });
        self.exchanges = exchanges;
        self.go_on(context, outcome);
        if let Some(console) = &mut self.console {
            console.datagram(context, from, bytes);
        }
    }

    /// Nobody takes datagrams at the other end of a socket.
    pub(super) fn lost(&mut self, context: &mut Context<'_, Self>, socket: u32) {
        let lost = self.exchanges.on_udp_unreachable(socket);
        self.go_on(context, lost);
        if let Some(console) = &mut self.console {
            console.on_udp_unreachable(context, socket);
        }
    }

    /// Says again what was not answered in time.
    pub(super) fn repeat(&mut self, context: &mut Context<'_, Self>) {
        let late = self.exchanges.on_timer(context.out, context.now);
        self.go_on(context, late);
        if let Some(console) = &mut self.console {
            console.on_timer(context);
        }
    }

    /// What has come of conversations in datagrams.
    fn go_on(
        &mut self,
        context: &mut Context<'_, Self>,
        outcomes: impl IntoIterator<Item = UdpOutcome<RelayExchange>>,
    ) {
        for outcome in outcomes {
            match outcome {
                UdpOutcome::Ended(talk, end) => {
                    self.talked(context.now, talk, &end);
                    self.say_goodbye(context);
                }
                // Who leaves need not be registered.
                UdpOutcome::FallBack(_, talk)
                    if self.registrar.is_leaving() && !talk.contact.is_goodbye() =>
                {
                    self.talked(context.now, talk, &CloseReason::ReadTimeout);
                    self.say_goodbye(context);
                }
                UdpOutcome::FallBack(relay, talk) => {
                    if talk.announces {
                        self.announcer.over();
                    }
                    let talk = RelayExchange::new(talk.contact.again());
                    context.out.dial(relay, NodeSession::Relay(Box::new(talk)));
                }
            }
        }
    }
}
