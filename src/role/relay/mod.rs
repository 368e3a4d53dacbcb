//! The relay: the directory of live nodes. It never dials anybody.

mod directory;
mod messages;
mod session;
mod trust;

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use log::{debug, info};

pub use trust::{Network, Trust};

pub use session::Session;

use self::directory::{Directory, Refusal};
use self::messages::{Listeners, Listening};
use self::session::Subject;
use super::visitor::{self, Help, say};
use super::{ConnId, Heard, Next, Role, Turn};
use crate::end::{End, Full};
use crate::protocol::{
    ClaimedIp, Code, Delivery, NodeAddress, Port, Registered, Reply, Request, Text, Verb,
};
use crate::visible::Visible;

/// What the relay answers to `HELP`.
const COMMANDS: [Help; 9] = [
    (Verb::Register, "a node enters or renews; ip may be *"),
    (Verb::Unregister, "a node leaves"),
    (Verb::List, "the nodes, each as: ip port"),
    (
        Verb::Listen,
        "this connection receives messages: FROM ip port text",
    ),
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
    /// Unknown commands until a connection is closed.
    pub max_unknown: u32,
    /// Messages that one sender may send in a second.
    pub message_rate: u32,
    /// Who may register addresses that are not their own.
    pub trust: Trust,
}

/// The relay's part.
pub struct Relay {
    settings: Settings,
    started: Instant,
    directory: Directory,
    listeners: Listeners,
    messages: u64,
    registrations: u64,
    lists: u64,
    expired: u64,
}

impl Relay {
    /// A relay that knows nobody, started at `now`.
    #[must_use]
    pub fn new(settings: Settings, now: Instant) -> Self {
        Self {
            settings,
            started: now,
            directory: Directory::new(now),
            listeners: Listeners::default(),
            messages: 0,
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

    /// Makes the connection the one that receives what is sent to its address.
    fn listen(
        &mut self,
        turn: &mut Turn<'_, Self>,
        conn: ConnId,
        session: &mut Session,
    ) -> Result<NodeAddress, (Code, String)> {
        let (address, registered) = self.speaker(session)?;
        if let Some((earlier, conn)) = session.listens.take() {
            self.listeners.leave(&earlier, conn);
        }
        match self.listeners.listen(address, conn, registered) {
            Listening::Now => {}
            Listening::Instead(earlier) => {
                let error = Reply::Error(Code::Changed, "replaced".into());
                say(turn.out.unasked(earlier), error);
                turn.out.close(earlier, End::Replaced);
            }
            Listening::Taken => {
                return Err((
                    Code::NotAllowed,
                    format!("the node {address} listens there; REGISTER first if it is you"),
                ));
            }
        }
        session.listens = Some((address, conn));
        Ok(address)
    }

    fn send(
        &mut self,
        turn: &mut Turn<'_, Self>,
        session: &mut Session,
        to: &NodeAddress,
        text: Text<'_>,
    ) -> Result<(), (Code, String)> {
        let rate = self.settings.message_rate;
        if !session.pace(rate, turn.now).allows(rate, turn.now) {
            return Err((
                Code::SlowDown,
                format!("at most {rate} messages a second; wait a little"),
            ));
        }
        let (from, _) = self.speaker(session)?;
        let listener = self.listeners.at(to).ok_or_else(|| {
            (
                Code::NoSuchNode,
                format!("nobody listens at {to}; whoever is there types LISTEN first"),
            )
        })?;
        self.messages += 1;
        say(turn.out.unasked(listener), Delivery { from, text });
        Ok(())
    }

    /// The address at which others answer to what is said on this connection,
    /// and whether it is a registered one.
    fn speaker(&self, session: &Session) -> Result<(NodeAddress, bool), (Code, String)> {
        let refused = |why: &str| (Code::NotAllowed, why.to_owned());
        match session.subject {
            Subject::Node(address) if self.directory.has(&address, session.ip) => {
                Ok((address, true))
            }
            Subject::Node(_) | Subject::Refused => Err(refused("REGISTER first")),
            Subject::Never => session
                .own
                .map(|own| (own, false))
                .ok_or_else(|| refused("your address cannot be answered to")),
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
        session: &mut Session,
        request: Request<'_>,
    ) -> Next {
        let seen = session.ip;
        let reply = turn.out.text(conn);
        match request {
            Request::Banner => say(reply, self.banner(seen.is_loopback())),
            Request::Register(ip, port) => match self.register(turn.now, seen, ip, port) {
                Ok(registered) => {
                    session.subject = Subject::Node(registered.address);
                    say(reply, registered);
                }
                Err((code, text)) => {
                    session.subject = Subject::Refused;
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
            Request::Listen => match self.listen(turn, conn, session) {
                Ok(address) => {
                    say(turn.out.text(conn), Reply::Ok(address.to_string().into()));
                    turn.out.keep(conn);
                }
                Err((code, text)) => {
                    say(turn.out.text(conn), Reply::Error(code, text.into()));
                }
            },
            Request::Send(to, text) => {
                let reply = match self.send(turn, session, &to, text) {
                    Ok(()) => Reply::Ok("".into()),
                    Err((code, text)) => Reply::Error(code, text.into()),
                };
                say(turn.out.text(conn), reply);
            }
            Request::Ping => return visitor::pong(reply),
            Request::Stats => {
                let uptime = turn.now.saturating_duration_since(self.started);
                let own = [
                    ("nodes", self.directory.len(true) as u64),
                    ("nodes_expired", self.expired),
                    ("registrations", self.registrations),
                    ("lists", self.lists),
                    ("listeners", self.listeners.len() as u64),
                    ("messages", self.messages),
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
        Session::new(peer)
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
                self.answer(turn, conn, session, request)
            }
            Err(next) => next,
        }
    }

    fn ended(&mut self, _: &mut Turn<'_, Self>, session: Session, _: &End) {
        if let Some((address, conn)) = session.listens {
            self.listeners.leave(&address, conn);
        }
    }

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
