//! The relay: the directory of live nodes. It never dials anybody.

mod cookie;
mod datagrams;
mod directory;
mod files;
mod index;
mod message_listeners;
mod messages;
mod prefetch;
mod registration;
mod session;
mod table;
mod trust;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub use index::Quota;
pub use session::Session;
pub use trust::{Network, Trust};

use crate::close_reason::{End, Full};
use crate::logging::Journal;
use crate::protocol::{Code, Reply, Request, Verb};
use crate::relay::cookie::Cookies;
use crate::relay::directory::Directory;
use crate::relay::files::{Looked, Pending};
use crate::relay::index::{Index, Search};
use crate::relay::message_listeners::Listeners;
use crate::relay::session::{Caller, Subject};
use crate::role::{ConnId, Correspondent, Heard, Next, Role, Turn};
use crate::session::server::{self, Help, say};

/// What the relay answers to `HELP`.
const COMMANDS: [Help; 14] = [
    (Verb::Register, "a node enters or renews; ip may be *"),
    (Verb::Unregister, "a node leaves"),
    (Verb::List, "the nodes, each as: ip port"),
    (Verb::Share, "the node registered here has this file"),
    (Verb::Unshare, "it has it no longer"),
    (Verb::Find, "who has it: ip port size hash"),
    (Verb::Search, "names with text in them, or all"),
    (Verb::More, "the list of names goes on"),
    (Verb::Listen, "this connection receives: FROM ip port text"),
    (Verb::Send, "a message to who listens there"),
    (Verb::Ping, "answers PONG"),
    (Verb::Stats, "figures"),
    (Verb::Help, "this"),
    (Verb::Quit, "goodbye"),
];

/// A list up to this size is copied into the answer; a longer one is shared.
const COPIED_LIST: usize = 16 * 1024;

/// Leases that end in one go; the rest waits for the next turn of the loop.
const EXPIRED_AT_ONCE: usize = 1000;

/// What the relay's user may set.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How long an entry lives unless it is renewed; whole seconds.
    pub lease: Duration,
    /// The most nodes in the directory.
    pub max_nodes: usize,
    /// The most nodes of one address; who is trusted has no such limit.
    pub max_of_host: usize,
    /// Bytes of a line in a datagram, with its end.
    pub max_line: usize,
    /// Unknown commands until a connection is closed.
    pub max_unknown: u16,
    /// Datagrams with a wrong cookie that are answered in a second.
    pub wrong_cookies: u32,
    /// What one node may share.
    pub quota: Quota,
    /// Messages that one connection may send in a second.
    pub message_rate: u32,
    /// Lines in the log about nodes in a second.
    pub log_rate: u32,
    /// Who may register addresses that are not their own.
    pub trust: Trust,
}

/// Why a request is not granted.
type Refused = (Code, String);

/// The relay's part.
pub struct Relay {
    settings: Settings,
    started: Instant,
    directory: Directory,
    index: Index,
    searches: VecDeque<Pending>,
    looked: Looked,
    listeners: Listeners,
    cookies: Cookies,
    journal: Journal,
    finds: u64,
    messages: u64,
    registrations: u64,
    lists: u64,
    expired: u64,
}

impl Relay {
    /// A relay that knows nobody, started at `now`. Nobody else knows the `secret`.
    #[must_use]
    pub fn new(settings: Settings, secret: [u8; 32], now: Instant) -> Self {
        Self {
            cookies: Cookies::new(secret, settings.wrong_cookies, now),
            journal: Journal::new(settings.log_rate, now),
            settings,
            started: now,
            directory: Directory::new(now),
            index: Index::default(),
            searches: VecDeque::new(),
            looked: Looked::new(now),
            listeners: Listeners::default(),
            finds: 0,
            messages: 0,
            registrations: 0,
            lists: 0,
            expired: 0,
        }
    }

    fn banner(&self, on_loopback: bool) -> Reply<'static> {
        let nodes = self.directory.len(on_loopback);
        let nodes_plural = if nodes == 1 { "" } else { "s" };
        let names = self.index.len();
        let names_plural = if names == 1 { "" } else { "s" };
        let text = format!(
            "peerline relay, {nodes} node{nodes_plural}, {names} file{names_plural}; \
             HELP lists the commands"
        );
        Reply::Ok(text.into())
    }

    fn answer(
        &mut self,
        turn: &mut Turn<'_, Self>,
        conn: ConnId,
        caller: &mut Caller<'_>,
        request: Request<'_>,
    ) -> Next {
        let reply = turn.out.text(conn);
        match request {
            Request::List => {
                self.lists += 1;
                let list = self.directory.list(caller.ip.is_loopback());
                if list.len() <= COPIED_LIST {
                    reply.extend_from_slice(&list);
                } else {
                    turn.out.shared(conn, list);
                }
            }
            Request::Search(text) => {
                caller.session.rare().more = None;
                return self.search(turn, conn, caller, Search::new(text));
            }
            Request::More => match caller.session.rare().more.take() {
                Some(search) => return self.search(turn, conn, caller, *search),
                None => say(reply, Reply::Files { shown: 0, total: 0 }),
            },
            Request::Listen => match self.listen(turn, conn, caller) {
                Ok(address) => {
                    say(turn.out.text(conn), Reply::Ok(address.to_string().into()));
                    turn.out.keep(conn);
                }
                Err(refused) => say(turn.out.text(conn), done(Err(refused))),
            },
            Request::Send(to, text) => {
                let result = self.send(turn, caller, &to, text);
                say(turn.out.text(conn), done(result));
            }
            Request::Stats => {
                let uptime = turn.now.saturating_duration_since(self.started);
                let own = [
                    ("nodes", self.directory.len(caller.ip.is_loopback()) as u64),
                    ("nodes_expired", self.expired),
                    ("registrations", self.registrations),
                    ("lists", self.lists),
                    ("names", self.index.len() as u64),
                    ("finds", self.finds),
                    ("listeners", self.listeners.len() as u64),
                    ("messages", self.messages),
                    ("datagrams", turn.traffic.datagrams),
                    ("datagrams_lost", turn.traffic.datagrams_lost),
                    ("cookies_wrong", self.cookies.wrong()),
                ];
                return server::stats(reply, uptime, turn.traffic, &own);
            }
            Request::Help => return server::help(reply, &COMMANDS),
            Request::Quit => return server::bye(reply),
            Request::Get(_) | Request::Stat(_) => {
                return server::not_here(reply, "a node answers that; LIST names the nodes");
            }
            Request::Banner
            | Request::Register(..)
            | Request::Unregister(..)
            | Request::Share(..)
            | Request::Unshare(_)
            | Request::Find(_)
            | Request::Ping => {
                return self.answer_briefly(turn.now, caller, request, usize::MAX, reply);
            }
        }
        Next::Line
    }

    /// Answers what may stand in a datagram as well. A list stops where it is
    /// longer than `room` bytes.
    fn answer_briefly(
        &mut self,
        now: Instant,
        caller: &mut Caller<'_>,
        request: Request<'_>,
        room: usize,
        reply: &mut Vec<u8>,
    ) -> Next {
        let seen = caller.ip;
        match request {
            Request::Banner => say(reply, self.banner(seen.is_loopback())),
            Request::Register(ip, port) => match self.register(now, seen, ip, port) {
                Ok(registered) => {
                    caller.session.rare().subject =
                        Subject::Node(registered.address, self.registrations);
                    say(reply, registered);
                }
                Err((code, text)) => {
                    caller.session.rare().subject = Subject::Refused;
                    say(reply, Reply::Error(code, text.into()));
                    if code == Code::Full {
                        return Next::Close(End::Full(Full::Directory));
                    }
                }
            },
            Request::Unregister(ip, port) => say(reply, done(self.unregister(now, seen, ip, port))),
            Request::List => {
                self.lists += 1;
                self.directory.write_list(reply, seen.is_loopback(), room);
            }
            Request::Share(size, hash, name) => {
                let result = self.share(caller, size, hash, &name);
                say(reply, done(result));
            }
            Request::Unshare(name) => match self.teller(caller) {
                Ok(place) if self.index.unshare(place, &name) => say(reply, done(Ok(()))),
                Ok(_) => say(reply, Reply::NotFound),
                Err(refused) => say(reply, done(Err(refused))),
            },
            Request::Find(name) => self.find(reply, &name, seen.is_loopback(), room),
            Request::Ping => return server::pong(reply),
            Request::Search(_)
            | Request::More
            | Request::Get(_)
            | Request::Stat(_)
            | Request::Listen
            | Request::Send(..)
            | Request::Stats
            | Request::Help
            | Request::Quit => return server::not_here(reply, "use that over TCP"),
        }
        Next::Line
    }
}

impl Role for Relay {
    type Session = Session;
    /// The relay sends no files.
    type File = std::os::fd::OwnedFd;
    /// Nobody tells it anything.
    type Message = std::convert::Infallible;

    fn start(&mut self, _: &mut Turn<'_, Self>) {}

    fn accepted(&mut self, _: SocketAddr) -> Session {
        Session::default()
    }

    fn refused(&self, full: Full, text: &mut Vec<u8>) {
        server::refuse(text, full);
    }

    fn prefetch<'a>(&self, arrived: impl Iterator<Item = (SocketAddr, &'a [u8])>) {
        self.look_ahead(arrived);
    }

    fn heard(
        &mut self,
        turn: &mut Turn<'_, Self>,
        conn: ConnId,
        peer: SocketAddr,
        session: &mut Session,
        heard: Heard<'_>,
    ) -> Next {
        let mut caller = Caller::new(peer, session);
        if heard == Heard::Resumed {
            self.searched(turn, conn, &mut caller);
            return Next::Line;
        }
        let max_unknown = self.settings.max_unknown;
        match caller.request(heard, max_unknown, turn.out.text(conn)) {
            Ok(request) => self.answer(turn, conn, &mut caller, request),
            Err(next) => next,
        }
    }

    fn datagram(&mut self, turn: &mut Turn<'_, Self>, from: Correspondent, bytes: &[u8]) {
        self.read_datagram(turn, from, bytes);
    }

    fn ended(&mut self, _: &mut Turn<'_, Self>, session: Session, _: &End) {
        let rare = session.into_rare();
        if let Some((address, conn)) = rare.listens {
            self.listeners.leave(&address, conn);
        }
        if let Some(conn) = rare.searches {
            self.forget_search(conn);
        }
    }

    fn told(&mut self, _: &mut Turn<'_, Self>, message: Self::Message) {
        match message {}
    }

    fn next_deadline(&self) -> Option<Instant> {
        if self.has_work() {
            return Some(self.started);
        }
        self.directory.next_deadline()
    }

    fn tick(&mut self, turn: &mut Turn<'_, Self>) {
        for _ in 0..EXPIRED_AT_ONCE {
            let Some(address) = self.directory.expire_one(turn.now) else {
                break;
            };
            self.expired += 1;
            self.journal.tell(
                turn.now,
                format_args!("node {address} did not renew its lease"),
            );
        }
        self.work_on(turn);
    }

    fn drain(&mut self, _: &mut Turn<'_, Self>) {}
}

/// The answer to a request that only succeeds or fails.
fn done(result: Result<(), Refused>) -> Reply<'static> {
    match result {
        Ok(()) => Reply::Ok("".into()),
        Err((code, text)) => Reply::Error(code, text.into()),
    }
}
