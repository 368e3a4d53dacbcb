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

use log::debug;

pub use announcer::Announcer;
pub use console::{Console, HELP};
pub use event::News;
pub use message_listener::Listener;
pub use registrar::{Contact, Registrar};
pub use relay_exchange::Talk;
pub use share::{Added, Content, Extent, Refused, Removed, Share, Stat, Unavailable};

use crate::close_reason::{End, Full};
use crate::escaped::Visible;
use crate::jobs;
use crate::protocol::{NodeAddress, Text};
use crate::role::{ConnId, Correspondent, Heard, Next, Role, Turn};
use crate::session::Visitor;
use crate::session::server;
use crate::session::udp_requests::Exchanges;

/// What changed while the relay was told of the files is told after this time.
const SETTLE: Duration = Duration::from_secs(1);

/// The node's part.
pub struct Node<S: Share> {
    share: S,
    registrar: Registrar,
    announcer: Announcer,
    /// None of them if the relay is to be reached over TCP only.
    exchanges: Exchanges<Talk>,
    /// If it is to receive messages.
    listener: Option<Listener>,
    /// If somebody types commands.
    console: Option<Console>,
    /// Tells the node's user.
    news: Box<dyn FnMut(&News<'_>)>,
    max_unknown: u16,
    started: Instant,
    gets: u64,
    found: u64,
}

/// One connection of a node.
pub enum Session {
    /// Somebody who asks for files.
    Visitor {
        /// What they did.
        visitor: Visitor,
        /// The last name of a list that was cut, for `MORE`.
        listed: Option<Box<str>>,
    },
    /// Our contact with the relay.
    Relay(Box<Talk>),
    /// Where messages arrive.
    Mailbox,
    /// For somebody at the console.
    Errand(Box<jobs::Session>),
}

/// What other threads tell a node.
pub enum Message<F> {
    /// What was found out about the share.
    Found(F),
    /// What is typed at the console.
    Console(jobs::Message),
}

impl<F> From<jobs::Message> for Message<F> {
    fn from(message: jobs::Message) -> Self {
        Self::Console(message)
    }
}

impl From<jobs::Session> for Session {
    fn from(session: jobs::Session) -> Self {
        // There may be many visitors: they are small.
        Self::Errand(Box::new(session))
    }
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Visitor { visitor, .. } => visitor.fmt(f),
            Self::Relay(_) => f.write_str("our relay"),
            Self::Mailbox => f.write_str("our mailbox"),
            Self::Errand(session) => session.fmt(f),
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
        news: impl FnMut(&News<'_>) + 'static,
    ) -> Self {
        Self {
            share,
            registrar,
            announcer: Announcer::default(),
            exchanges: Exchanges::default(),
            listener: None,
            console: None,
            news: Box::new(news),
            max_unknown,
            started: now,
            gets: 0,
            found: 0,
        }
    }

    /// It receives messages as well.
    #[must_use]
    pub fn listening(mut self, listener: Listener) -> Self {
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
    fn say(&mut self, turn: &mut Turn<'_, Self>, to: NodeAddress, text: Text<'static>) {
        let listener = self.listener.as_mut();
        if !listener.is_some_and(|listener| listener.send(turn.out, to, text)) {
            let why = "no messages arrive here".into();
            self.tell([News::NotSent(to, why)]);
        }
    }

    fn tell<'a>(&mut self, news: impl IntoIterator<Item = News<'a>>) {
        for news in news {
            (self.news)(&news);
            // What was said has its answer: the next command may come.
            if let (News::Sent(_) | News::NotSent(..), Some(console)) = (news, &mut self.console) {
                console.ready();
            }
        }
    }

    /// Who stops does not want to know what became of the mailbox.
    fn tell_unless_leaving<'a>(&mut self, news: impl IntoIterator<Item = News<'a>>) {
        if !self.registrar.is_leaving() {
            self.tell(news);
        }
    }

    /// If the node stops: tells the relay, as soon as it may.
    fn say_goodbye(&mut self, turn: &mut Turn<'_, Self>) {
        if !self.registrar.is_leaving() {
            return;
        }
        let may_be_registered = match &mut self.listener {
            Some(listener) => !listener.leave(turn.out),
            None => false,
        };
        if !may_be_registered && let Some(relay) = self.registrar.goodbye() {
            self.talk(turn, relay, Contact::unregister());
        }
    }

    fn mail(&mut self, turn: &mut Turn<'_, Self>, conn: ConnId, heard: Heard<'_>) -> Next {
        let Some(listener) = &mut self.listener else {
            return Next::Close(End::Satisfied);
        };
        let (next, news) = listener.heard(turn.out, turn.now, conn, heard);
        self.tell_unless_leaving(news);
        self.say_goodbye(turn);
        next
    }
}

impl<S: Share> Role for Node<S> {
    type Session = Session;
    type File = S::File;
    type Message = Message<S::Finding>;

    fn start(&mut self, turn: &mut Turn<'_, Self>) {
        self.tick(turn);
        if let Some(console) = &mut self.console {
            console.ready();
        }
    }

    fn accepted(&mut self, _: SocketAddr) -> Session {
        Session::Visitor {
            visitor: Visitor::default(),
            listed: None,
        }
    }

    fn refused(&self, full: Full, text: &mut Vec<u8>) {
        server::refuse(text, full);
    }

    fn heard(
        &mut self,
        turn: &mut Turn<'_, Self>,
        conn: ConnId,
        _: SocketAddr,
        session: &mut Session,
        heard: Heard<'_>,
    ) -> Next {
        let reply = turn.out.text(conn);
        let (visitor, listed) = match session {
            Session::Visitor { visitor, listed } => (visitor, listed),
            Session::Relay(talk) => return self.relay_said(turn.now, talk, heard, reply),
            Session::Mailbox => return self.mail(turn, conn, heard),
            Session::Errand(session) => {
                return match &mut self.console {
                    Some(console) => console.heard(session, heard, reply),
                    None => Next::Close(End::Satisfied),
                };
            }
        };
        match visitor.request(heard, self.max_unknown, reply) {
            Ok(request) => {
                debug!("asked: {}", Visible::text(&request.to_string()));
                self.answer(turn, conn, listed, request)
            }
            Err(next) => next,
        }
    }

    fn ended(&mut self, turn: &mut Turn<'_, Self>, session: Session, end: &End) {
        match session {
            Session::Visitor { .. } => return,
            Session::Errand(session) => {
                if let Some(console) = &mut self.console {
                    console.ended(turn, *session, end);
                }
                return;
            }
            Session::Relay(talk) => self.talked(turn.now, *talk, end),
            Session::Mailbox => {
                if let Some(listener) = &mut self.listener {
                    let news = listener.ended(turn.now, end);
                    self.tell_unless_leaving(news);
                }
            }
        }
        self.say_goodbye(turn);
    }

    fn datagram(&mut self, turn: &mut Turn<'_, Self>, from: Correspondent, bytes: &[u8]) {
        self.read_datagram(turn, from, bytes);
    }

    fn unreachable(&mut self, turn: &mut Turn<'_, Self>, socket: u32) {
        self.lost(turn, socket);
    }

    fn is_talking(&self) -> bool {
        let console = self.console.as_ref();
        !self.exchanges.is_empty() || console.is_some_and(Console::is_talking)
    }

    fn told(&mut self, turn: &mut Turn<'_, Self>, message: Message<S::Finding>) {
        match message {
            Message::Found(finding) => {
                if let Some(pause) = self.share.told(finding) {
                    self.registrar.soon(turn.now, pause);
                }
            }
            Message::Console(message) => self.obey(turn, message),
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let listener = self.listener.as_ref().and_then(Listener::next_deadline);
        let console = self.console.as_ref().and_then(Console::next_deadline);
        let exchanges = self.exchanges.next_deadline();
        let registrar = self.registrar.next_deadline();
        let all = [registrar, listener, console, exchanges];
        all.into_iter().flatten().min()
    }

    fn tick(&mut self, turn: &mut Turn<'_, Self>) {
        if let Some(relay) = self.registrar.dial(turn.now) {
            self.talk(turn, relay, Contact::register());
        }
        self.repeat(turn);
        let listener = self.listener.as_mut();
        if let Some(relay) = listener.and_then(|listener| listener.dial(turn.now)) {
            turn.out.dial(relay, Session::Mailbox);
        }
    }

    fn noticed(&mut self, turn: &mut Turn<'_, Self>) {
        if let Some(pause) = self.share.noticed() {
            self.registrar.soon(turn.now, pause);
        }
    }

    fn drain(&mut self, turn: &mut Turn<'_, Self>) {
        if let Some(console) = &mut self.console {
            console.leave();
        }
        self.registrar.leave();
        self.say_goodbye(turn);
    }
}
