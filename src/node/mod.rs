//! The node: serves the files of a share, stays in the relay's directory, and, if
//! it is told to, receives messages and obeys a console.

mod announcer;
mod console;
mod console_commands;
mod event;
mod message_listener;
mod registrar;
mod relay_exchange;
mod requests;
mod share;

use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub use announcer::Announcer;
pub use console::{Console, HELP};
pub use event::NodeEvent;
pub use message_listener::MessageListener;
pub use registrar::{Contact, Registrar};
pub use relay_exchange::RelayExchange;
pub use share::{
    AddError, AddSummary, FileContent, RemoveSummary, Share, ShareTotals, Unavailable,
};

use crate::close_reason::{CloseReason, ResourceLimit};
use crate::jobs;
use crate::protocol::{NodeAddress, Text};
use crate::role::{ConnId, Context, Input, ReadNext, Role, UdpPeer};
use crate::session::ServerSession;
use crate::session::server;
use crate::session::udp_requests::UdpRequests;

/// What changed while the relay was told of the files is told after this time.
const SETTLE: Duration = Duration::from_secs(1);

/// The node's part.
pub struct Node<S: Share> {
    share: S,
    registrar: Registrar,
    announcer: Announcer,
    /// None of them if the relay is to be reached over TCP only.
    exchanges: UdpRequests<RelayExchange>,
    /// If it is to receive messages.
    listener: Option<MessageListener>,
    /// If somebody types commands.
    console: Option<Console>,
    /// Tells the node's user.
    news: Box<dyn FnMut(&NodeEvent<'_>)>,
    max_unknown: u16,
    started: Instant,
    counters: requests::NodeCounters,
}

/// One connection of a node.
pub enum NodeSession {
    /// Somebody who asks for files.
    ServerSession {
        /// What they did.
        visitor: ServerSession,
        /// The last name of a list that was cut, for `MORE`.
        listed: Option<Box<str>>,
    },
    /// Our contact with the relay.
    Relay(Box<RelayExchange>),
    /// Where messages arrive.
    MessageSubscription,
    /// For somebody at the console.
    Job(Box<jobs::JobConnection>),
}

/// What other threads tell a node.
pub enum NodeMessage<F> {
    /// What was found out about the share.
    Found(F),
    /// What is typed at the console.
    Console(jobs::TerminalEvent),
}

impl<F> From<jobs::TerminalEvent> for NodeMessage<F> {
    fn from(message: jobs::TerminalEvent) -> Self {
        Self::Console(message)
    }
}

impl From<jobs::JobConnection> for NodeSession {
    fn from(session: jobs::JobConnection) -> Self {
        // There may be many visitors: they are small.
        Self::Job(Box::new(session))
    }
}

impl fmt::Display for NodeSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ServerSession { visitor, .. } => visitor.fmt(f),
            Self::Relay(_) => f.write_str("our relay"),
            Self::MessageSubscription => f.write_str("our mailbox"),
            Self::Job(session) => session.fmt(f),
        }
    }
}

impl<S: Share> Node<S> {
    /// A node that serves `share` from `now` on.
    #[must_use]
    pub fn new(
        share: S,
        registrar: Registrar,
        max_unknown: u16,
        now: Instant,
        news: impl FnMut(&NodeEvent<'_>) + 'static,
    ) -> Self {
        Self {
            share,
            registrar,
            announcer: Announcer::default(),
            exchanges: UdpRequests::default(),
            listener: None,
            console: None,
            news: Box::new(news),
            max_unknown,
            started: now,
            counters: requests::NodeCounters::default(),
        }
    }

    /// It receives messages as well.
    #[must_use]
    pub fn listening(mut self, listener: MessageListener) -> Self {
        self.listener = Some(listener);
        self
    }

    /// It obeys a console as well.
    #[must_use]
    pub fn obeying(mut self, console: Console) -> Self {
        self.console = Some(console);
        self
    }

    /// Says something to whoever listens at `to`, who can answer to our address.
    fn say(&mut self, context: &mut Context<'_, Self>, to: NodeAddress, text: Text<'static>) {
        let listener = self.listener.as_mut();
        if !listener.is_some_and(|listener| listener.send(context.out, to, text)) {
            let why = "no messages arrive here".into();
            self.tell([NodeEvent::NotSent(to, why)]);
        }
    }

    fn tell<'a>(&mut self, news: impl IntoIterator<Item = NodeEvent<'a>>) {
        for news in news {
            (self.news)(&news);
            // What was said has its answer: the next command may come.
            if let (NodeEvent::Sent(_) | NodeEvent::NotSent(..), Some(console)) =
                (news, &mut self.console)
            {
                console.ready();
            }
        }
    }

    /// Who stops does not want to know what became of the mailbox.
    fn tell_unless_leaving<'a>(&mut self, news: impl IntoIterator<Item = NodeEvent<'a>>) {
        if !self.registrar.is_leaving() {
            self.tell(news);
        }
    }

    /// If the node stops: tells the relay, as soon as it may.
    fn say_goodbye(&mut self, context: &mut Context<'_, Self>) {
        if !self.registrar.is_leaving() {
            return;
        }
        let may_be_registered = match &mut self.listener {
            Some(listener) => !listener.leave(context.out),
            None => false,
        };
        if !may_be_registered && let Some(relay) = self.registrar.goodbye() {
            self.talk(context, relay, Contact::unregister());
        }
    }

    fn mail(
        &mut self,
        context: &mut Context<'_, Self>,
        conn: ConnId,
        heard: Input<'_>,
    ) -> ReadNext {
        let Some(listener) = &mut self.listener else {
            return ReadNext::Close(CloseReason::Completed);
        };
        let (next, news) = listener.on_input(context.out, context.now, conn, heard);
        self.tell_unless_leaving(news);
        self.say_goodbye(context);
        next
    }
}

impl<S: Share> Role for Node<S> {
    type Session = NodeSession;
    type File = S::File;
    type Message = NodeMessage<S::Finding>;

    fn start(&mut self, context: &mut Context<'_, Self>) {
        self.on_timer(context);
        if let Some(console) = &mut self.console {
            console.ready();
        }
    }

    fn on_accept(&mut self, _: SocketAddr) -> NodeSession {
        NodeSession::ServerSession {
            visitor: ServerSession::default(),
            listed: None,
        }
    }

    fn on_refuse(&self, full: ResourceLimit, text: &mut Vec<u8>) {
        server::refuse(text, full);
    }

    fn on_input(
        &mut self,
        context: &mut Context<'_, Self>,
        conn: ConnId,
        peer: SocketAddr,
        session: &mut NodeSession,
        heard: Input<'_>,
    ) -> ReadNext {
        let reply = context.out.text(conn);
        let (visitor, listed) = match session {
            NodeSession::ServerSession { visitor, listed } => (visitor, listed),
            NodeSession::Relay(talk) => return self.relay_said(context.now, talk, heard, reply),
            NodeSession::MessageSubscription => return self.mail(context, conn, heard),
            NodeSession::Job(session) => {
                return match &mut self.console {
                    Some(console) => console.on_input(session, heard, reply),
                    None => ReadNext::Close(CloseReason::Completed),
                };
            }
        };
        self.on_client_input(context, (conn, peer), visitor, listed, heard)
    }

    fn on_close(
        &mut self,
        context: &mut Context<'_, Self>,
        session: NodeSession,
        end: &CloseReason,
    ) {
        match session {
            NodeSession::ServerSession { .. } => return,
            NodeSession::Job(session) => {
                if let Some(console) = &mut self.console {
                    console.on_close(context, *session, end);
                }
                return;
            }
            NodeSession::Relay(talk) => self.talked(context.now, *talk, end),
            NodeSession::MessageSubscription => {
                if let Some(listener) = &mut self.listener {
                    let news = listener.on_close(context.now, end);
                    self.tell_unless_leaving(news);
                }
            }
        }
        self.say_goodbye(context);
    }

    fn on_datagram(&mut self, context: &mut Context<'_, Self>, from: UdpPeer, bytes: &[u8]) {
        self.read_datagram(context, from, bytes);
    }

    fn on_udp_unreachable(&mut self, context: &mut Context<'_, Self>, socket: u32) {
        self.lost(context, socket);
    }

    fn has_open_requests(&self) -> bool {
        let console = self.console.as_ref();
        !self.exchanges.is_empty() || console.is_some_and(Console::has_open_requests)
    }

    fn on_message(&mut self, context: &mut Context<'_, Self>, message: NodeMessage<S::Finding>) {
        match message {
            NodeMessage::Found(finding) => {
                if let Some(pause) = self.share.on_message(finding) {
                    self.registrar.soon(context.now, pause);
                }
            }
            NodeMessage::Console(message) => self.handle(context, message),
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let listener = self
            .listener
            .as_ref()
            .and_then(MessageListener::next_deadline);
        let console = self.console.as_ref().and_then(Console::next_deadline);
        let exchanges = self.exchanges.next_deadline();
        let registrar = self.registrar.next_deadline();
        let all = [registrar, listener, console, exchanges];
        all.into_iter().flatten().min()
    }

    fn on_timer(&mut self, context: &mut Context<'_, Self>) {
        if let Some(relay) = self.registrar.dial(context.now) {
            self.talk(context, relay, Contact::register());
        }
        self.repeat(context);
        let listener = self.listener.as_mut();
        if let Some(relay) = listener.and_then(|listener| listener.dial(context.now)) {
            context.out.dial(relay, NodeSession::MessageSubscription);
        }
    }

    fn on_external_event(&mut self, context: &mut Context<'_, Self>) {
        if let Some(pause) = self.share.on_external_event() {
            self.registrar.soon(context.now, pause);
        }
    }

    fn drain(&mut self, context: &mut Context<'_, Self>) {
        if let Some(console) = &mut self.console {
            console.leave();
        }
        self.registrar.leave();
        self.say_goodbye(context);
    }
}
