//! The relay: the directory of live nodes. It never dials anybody.

mod directory;
mod trust;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use log::{debug, info};

pub use trust::{Network, Trust};

use self::directory::{Directory, Refusal};
use super::visitor::{self, Help, say};
use super::{ConnId, Heard, Next, Role, Turn, Visitor};
use crate::end::{End, Full};
use crate::protocol::{
    ClaimedIp, Code, NodeAddress, Port, Registered, Reply, Request, Verb, canonical,
};
use crate::visible::Visible;

/// What the relay answers to `HELP`.
const COMMANDS: [Help; 7] = [
    (Verb::Register, "a node enters or renews; ip may be *"),
    (Verb::Unregister, "a node leaves"),
    (Verb::List, "the nodes, each as: ip port"),
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
    /// Unknown commands until a connection is closed.
    pub max_unknown: u32,
    /// Who may register addresses that are not their own.
    pub trust: Trust,
}

/// The relay's part.
pub struct Relay {
    settings: Settings,
    started: Instant,
    directory: Directory,
    registrations: u64,
    lists: u64,
    expired: u64,
}

/// Somebody who talks to the relay.
pub struct Session {
    visitor: Visitor,
    /// The address at which the relay sees them.
    ip: IpAddr,
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.fmt(f)
    }
}

impl Relay {
    /// A relay that knows nobody, started at `now`.
    #[must_use]
    pub fn new(settings: Settings, now: Instant) -> Self {
        Self {
            settings,
            started: now,
            directory: Directory::new(now),
            registrations: 0,
            lists: 0,
            expired: 0,
        }
    }

    fn register(
        &mut self,
        now: Instant,
        seen: IpAddr,
        ip: ClaimedIp,
        port: Port,
    ) -> Result<Registered, (Code, String)> {
        let address = self.claimed(seen, ip, port)?;
        let lease = self.settings.lease;
        let before = self.directory.len(true);
        self.directory
            .register(address, seen, now + lease, self.settings.max_nodes)
            .map_err(|refusal| refused(refusal, address))?;
        self.registrations += 1;
        if self.directory.len(true) > before {
            info!("node {address} registered by {seen}");
        }
        Ok(Registered {
            lease,
            address,
            files: 0,
        })
    }

    fn unregister(
        &mut self,
        seen: IpAddr,
        ip: ClaimedIp,
        port: Port,
    ) -> Result<(), (Code, String)> {
        let address = match ip {
            ClaimedIp::Seen => self.claimed(seen, ip, port)?,
            // The directory knows who registered it.
            ClaimedIp::Is(ip) => node_address(ip, port)?,
        };
        let trusted = self.settings.trust.includes(seen);
        if address.is_loopback() && !seen.is_loopback() && !trusted {
            // Nobody elsewhere learns what is registered on loopback.
            return Err(refused(Refusal::Unknown, address));
        }
        self.directory
            .unregister(&address, seen, trusted)
            .map_err(|refusal| refused(refusal, address))?;
        info!("node {address} unregistered by {seen}");
        Ok(())
    }

    /// The address that a node asks to be listed under, if it may have it:
    /// a relay that believed every claim would be a tool to attack others.
    fn claimed(
        &self,
        seen: IpAddr,
        ip: ClaimedIp,
        port: Port,
    ) -> Result<NodeAddress, (Code, String)> {
        match ip {
            ClaimedIp::Seen => node_address(seen, port),
            ClaimedIp::Is(ip) if ip == seen || self.settings.trust.includes(seen) => {
                node_address(ip, port)
            }
            ClaimedIp::Is(_) => Err((
                Code::NotAllowed,
                format!("you are seen at {seen}: use REGISTER * {port} or REGISTER {seen} {port}"),
            )),
        }
    }

    fn banner(&self, on_loopback: bool) -> Reply<'static> {
        let nodes = self.directory.len(on_loopback);
        let plural = if nodes == 1 { "" } else { "s" };
        Reply::Ok(format!("peerline relay, {nodes} node{plural}; HELP lists the commands").into())
    }

    fn answer(
        &mut self,
        turn: &mut Turn<'_, Self>,
        conn: ConnId,
        seen: IpAddr,
        request: Request<'_>,
    ) -> Next {
        let reply = turn.out.text(conn);
        match request {
            Request::Banner => say(reply, self.banner(seen.is_loopback())),
            Request::Register(ip, port) => match self.register(turn.now, seen, ip, port) {
                Ok(registered) => say(reply, registered),
                Err((code, text)) => {
                    say(reply, Reply::Error(code, text.into()));
                    if code == Code::Full {
                        return Next::Close(End::Full(Full::Directory));
                    }
                }
            },
            Request::Unregister(ip, port) => match self.unregister(seen, ip, port) {
                Ok(()) => say(reply, Reply::Ok("".into())),
                Err((code, text)) => say(reply, Reply::Error(code, text.into())),
            },
            Request::List => {
                self.lists += 1;
                let list = self.directory.list(seen.is_loopback());
                if list.len() <= COPIED_LIST {
                    reply.extend_from_slice(&list);
                } else {
                    turn.out.shared(conn, list);
                }
            }
            Request::Ping => return visitor::pong(reply),
            Request::Stats => {
                let uptime = turn.now.saturating_duration_since(self.started);
                let own = [
                    ("nodes", self.directory.len(seen.is_loopback()) as u64),
                    ("nodes_expired", self.expired),
                    ("registrations", self.registrations),
                    ("lists", self.lists),
                ];
                return visitor::stats(reply, uptime, turn.traffic, &own);
            }
            Request::Help => return visitor::help(reply, &COMMANDS),
            Request::Quit => return visitor::bye(reply),
            Request::Get(_) | Request::More => {
                return visitor::not_here(reply, "a node answers that; LIST names the nodes");
            }
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

    fn accepted(&mut self, peer: SocketAddr) -> Session {
        Session {
            visitor: Visitor::default(),
            ip: canonical(peer.ip()),
        }
    }

    fn refused(&self, full: Full, text: &mut Vec<u8>) {
        visitor::refuse(text, full);
    }

    fn heard(
        &mut self,
        turn: &mut Turn<'_, Self>,
        conn: ConnId,
        session: &mut Session,
        heard: Heard<'_>,
    ) -> Next {
        let max_unknown = self.settings.max_unknown;
        let request = session
            .visitor
            .request(heard, max_unknown, turn.out.text(conn));
        match request {
            Ok(request) => {
                debug!(
                    "{} asks: {}",
                    session.ip,
                    Visible::text(&request.to_string())
                );
                self.answer(turn, conn, session.ip, request)
            }
            Err(next) => next,
        }
    }

    fn ended(&mut self, _: &mut Turn<'_, Self>, _: Session, _: &End) {}

    fn told(&mut self, _: &mut Turn<'_, Self>, message: Self::Message) {
        match message {}
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.directory.next_deadline()
    }

    fn tick(&mut self, turn: &mut Turn<'_, Self>) {
        for _ in 0..EXPIRED_AT_ONCE {
            let Some(address) = self.directory.expire_one(turn.now) else {
                return;
            };
            self.expired += 1;
            info!("node {address} did not renew its lease");
        }
    }

    fn drain(&mut self, _: &mut Turn<'_, Self>) {}
}

fn node_address(ip: IpAddr, port: Port) -> Result<NodeAddress, (Code, String)> {
    NodeAddress::new(ip, port).map_err(|why| (Code::Syntax, why.to_string()))
}

fn refused(refusal: Refusal, address: NodeAddress) -> (Code, String) {
    match refusal {
        Refusal::Unknown => (Code::NoSuchNode, format!("no node {address} is registered")),
        Refusal::NotYours => (
            Code::NotAllowed,
            format!("{address} was registered by somebody else"),
        ),
        Refusal::Full => (Code::Full, format!("{}; try again later", Full::Directory)),
    }
}
