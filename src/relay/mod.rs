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
pub use session::RelaySession;
pub use trust::{Network, Trust};

use crate::close_reason::{CloseReason, ResourceLimit};
use crate::logging::RateLimitedLog;
use crate::protocol::{Banner, Code, Listening, Reply, Request, Verb};
use crate::relay::cookie::Cookies;
use crate::relay::directory::Directory;
use crate::relay::files::{Pending, SearchBudget};
use crate::relay::index::{Index, Search};
use crate::relay::message_listeners::MessageListeners;
use crate::relay::session::{RequestContext, Subject};
use crate::role::{ConnId, Context, Input, ReadNext, Role, UdpPeer};
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
pub struct RelaySettings {
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
type Rejection = (Code, String);

/// The relay's part.
pub struct Relay {
    settings: RelaySettings,
    started: Instant,
    directory: Directory,
    index: Index,
    searches: VecDeque<Pending>,
    looked: SearchBudget,
    listeners: MessageListeners,
    cookies: Cookies,
    journal: RateLimitedLog,
    finds: u64,
    messages: u64,
    registrations: u64,
    lists: u64,
    expired: u64,
}

impl Relay {
    /// A relay that knows nobody, started at `now`. Nobody else knows the `secret`.
    #[must_use]
    pub fn new(settings: RelaySettings, secret: [u8; 32], now: Instant) -> Self {
        Self {
            cookies: Cookies::new(secret, settings.wrong_cookies, now),
            journal: RateLimitedLog::new(settings.log_rate, now),
            settings,
            started: now,
            directory: Directory::new(now),
            index: Index::default(),
            searches: VecDeque::new(),
            looked: SearchBudget::new(now),
            listeners: MessageListeners::default(),
            finds: 0,
            messages: 0,
            registrations: 0,
            lists: 0,
            expired: 0,
        }
    }

    fn banner(&self, on_loopback: bool) -> Banner {
        Banner::Relay {
            nodes: self.directory.len(on_loopback) as u64,
            files: self.index.len() as u64,
        }
    }

    fn answer(
        &mut self,
        context: &mut Context<'_, Self>,
        conn: ConnId,
        caller: &mut RequestContext<'_>,
        request: Request<'_>,
    ) -> ReadNext {
        let reply = context.out.text(conn);
        match request {
            Request::List => {
                self.lists += 1;
                let list = self.directory.list(caller.ip.is_loopback());
                if list.len() <= COPIED_LIST {
                    reply.extend_from_slice(&list);
                } else {
                    context.out.shared(conn, list);
                }
            }
            Request::Search(text) => {
                caller.session.extended().more = None;
                return self.search(context, conn, caller, Search::new(text));
            }
            Request::More => match caller.session.extended().more.take() {
                Some(search) => return self.search(context, conn, caller, *search),
                None => say(reply, Reply::Files { shown: 0, total: 0 }),
            },
            Request::Listen => match self.listen(context, conn, caller) {
                Ok(address) => {
                    say(context.out.text(conn), Listening(address));
                    context.out.allow_idle(conn);
                }
                Err(refused) => say(context.out.text(conn), done(Err(refused))),
            },
            Request::Send(to, text) => {
                let result = self.send(context, caller, &to, text);
                say(context.out.text(conn), done(result));
            }
            Request::Stats => {
                let uptime = context.now.saturating_duration_since(self.started);
                let own = [
                    ("nodes", self.directory.len(caller.ip.is_loopback()) as u64),
                    ("nodes_expired", self.expired),
                    ("registrations", self.registrations),
                    ("lists", self.lists),
                    ("names", self.index.len() as u64),
                    ("finds", self.finds),
                    ("listeners", self.listeners.len() as u64),
                    ("messages", self.messages),
                    ("datagrams", context.traffic.datagrams),
                    ("datagrams_lost", context.traffic.datagrams_lost),
                    ("cookies_wrong", self.cookies.wrong()),
                ];
                return server::stats(reply, uptime, context.traffic, &own);
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
                return self.answer_briefly(context.now, caller, request, usize::MAX, reply);
            }
        }
        ReadNext::Line
    }

    /// Answers what may stand in a datagram as well. A list stops where it is
    /// longer than `room` bytes.
    fn answer_briefly(
        &mut self,
        now: Instant,
        caller: &mut RequestContext<'_>,
        request: Request<'_>,
        room: usize,
        reply: &mut Vec<u8>,
    ) -> ReadNext {
        let seen = caller.ip;
        match request {
            Request::Banner => say(reply, self.banner(seen.is_loopback())),
            Request::Register(ip, port) => match self.register(now, seen, ip, port) {
                Ok(registered) => {
                    caller.session.extended().subject =
                        Subject::Node(registered.address, self.registrations);
                    say(reply, registered);
                }
                Err((code, text)) => {
                    caller.session.extended().subject = Subject::Refused;
                    say(reply, Reply::Error(code, text.into()));
                    if code == Code::Full {
                        return ReadNext::Close(CloseReason::LimitReached(ResourceLimit::Nodes));
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
            Request::Unshare(name) => match self.announcing_node(caller) {
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
        ReadNext::Line
    }
}

impl Role for Relay {
    type Session = RelaySession;
    /// The relay sends no files.
    type File = std::os::fd::OwnedFd;
    /// Nobody tells it anything.
    type Message = std::convert::Infallible;

    fn start(&mut self, _: &mut Context<'_, Self>) {}

    fn on_accept(&mut self, _: SocketAddr) -> RelaySession {
        RelaySession::default()
    }

    fn on_refuse(&self, full: ResourceLimit, text: &mut Vec<u8>) {
        server::refuse(text, full);
    }

    fn prefetch<'a>(&self, arrived: impl Iterator<Item = (SocketAddr, &'a [u8])>) {
        self.look_ahead(arrived);
    }

    fn on_input(
        &mut self,
        context: &mut Context<'_, Self>,
        conn: ConnId,
        peer: SocketAddr,
        session: &mut RelaySession,
        heard: Input<'_>,
    ) -> ReadNext {
        let mut caller = RequestContext::new(peer, session);
        if heard == Input::Resumed {
            self.searched(context, conn, &mut caller);
            return ReadNext::Line;
        }
        let max_unknown = self.settings.max_unknown;
        match caller.request(heard, max_unknown, context.out.text(conn)) {
            Ok(request) => self.answer(context, conn, &mut caller, request),
            Err(next) => next,
        }
    }

    fn on_datagram(&mut self, context: &mut Context<'_, Self>, from: UdpPeer, bytes: &[u8]) {
        self.read_datagram(context, from, bytes);
    }

    fn on_close(&mut self, _: &mut Context<'_, Self>, session: RelaySession, _: &CloseReason) {
        let extended = session.into_extended();
        if let Some((address, conn)) = extended.listens {
            self.listeners.leave(&address, conn);
        }
        if let Some(conn) = extended.searches {
            self.forget_search(conn);
        }
    }

    fn on_message(&mut self, _: &mut Context<'_, Self>, message: Self::Message) {
        match message {}
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.directory.next_deadline()
    }

    fn has_work(&self) -> bool {
        self.has_pending_work()
    }

    fn on_timer(&mut self, context: &mut Context<'_, Self>) {
        for _ in 0..EXPIRED_AT_ONCE {
            let Some(address) = self.directory.expire_one(context.now) else {
                break;
            };
            self.expired += 1;
            self.journal.tell(
                context.now,
                format_args!("node {address} did not renew its lease"),
            );
        }
        self.work_on(context);
    }

    fn drain(&mut self, _: &mut Context<'_, Self>) {}
}

/// The answer to a request that only succeeds or fails.
fn done(result: Result<(), Rejection>) -> Reply<'static> {
    match result {
        Ok(()) => Reply::DONE,
        Err((code, text)) => Reply::Error(code, text.into()),
    }
}
