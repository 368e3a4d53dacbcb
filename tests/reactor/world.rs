//! A role that answers in every way that there is, and a loop around it whose streams
//! are scripted.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::{Duration, Instant};

use peerline::close_reason::{CloseReason, ResourceLimit};
use peerline::limits::{Limits, RateLimits, Timeouts};
use peerline::reactor::{Clock, Handle, Reactor, ReactorSettings};
use peerline::role::{ConnId, Context, FramingError, Input, PeerTls, ReadNext, Role};
use peerline::tls::ConnectionSecurity;

use super::fake_stream::{FakeFile, FakeStream, SharedWire, last_connected};

/// Answers each line with its own text, sent in the way that the first letter says:
/// `t`ext, a `m`ore that asks for more of an answer, `l`ong work before text, `s`hared, `f`ile,
/// a `c`hanged file, `w`ait, `p`arts that are sent one after the other, `q`uit.
#[derive(Default)]
struct EchoRole {
    events: SharedEvents,
    securities: SharedSecurities,
    waiting: Vec<ConnId>,
    own_work: OwnWork,
}

/// The steps of work of the role itself that are left.
type OwnWork = Rc<Cell<usize>>;

thread_local! {
    /// How long the work of this test has taken so far.
    static TIME_SPENT: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// What happened on the connection of a peer, by its port.
type SharedEvents = Rc<RefCell<BTreeMap<u16, Vec<String>>>>;

/// How the connection of a peer is encrypted, by its port.
type SharedSecurities = Rc<RefCell<BTreeMap<u16, ConnectionSecurity>>>;

/// What the test tells the role to do.
enum EchoCommand {
    /// Connect to this address.
    Connect(SocketAddr),
    /// Complete all answers that are awaited.
    Resume,
    /// End the loop at once.
    StopLoop,
}

/// A loop answers another thread within this time.
const DEADLINE: Duration = Duration::from_secs(60);
/// The work of a line that begins with `l`.
pub const LONG_WORK: usize = 500;
/// The time that it takes.
const LONG_TIME: Duration = Duration::from_millis(5);
/// The time of a step of the role's own work.
const STEP_TIME: Duration = Duration::from_millis(1);

struct EchoSession {
    port: u16,
    carries_content: bool,
    waits_with: String,
    /// The bytes of an answer in parts that are not sent yet.
    parts: Vec<u8>,
}

impl EchoSession {
    /// Sends the next three bytes of an answer.
    fn send_part(&mut self, text: &mut Vec<u8>) -> ReadNext {
        text.extend(self.parts.drain(..3.min(self.parts.len())));
        match self.parts.is_empty() {
            true => ReadNext::Line,
            false => ReadNext::Flush,
        }
    }
}

impl fmt::Display for EchoSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "port {}", self.port)
    }
}

/// The answer to a line.
pub fn answer(line: &str) -> String {
    format!("<{line}>\n")
}

impl Role for EchoRole {
    type Session = EchoSession;
    type File = FakeFile;
    type Message = EchoCommand;

    fn start(&mut self, _: &mut Context<'_, Self>) {}

    fn on_accept(&mut self, peer: SocketAddr) -> EchoSession {
        EchoSession {
            port: peer.port(),
            carries_content: false,
            waits_with: String::new(),
            parts: Vec::new(),
        }
    }

    fn on_encrypted(&mut self, session: &mut EchoSession, security: ConnectionSecurity) {
        let events = self.events.borrow();
        assert!(events.get(&session.port).is_none(), "it comes first");
        let mut securities = self.securities.borrow_mut();
        let earlier = securities.insert(session.port, security);
        assert!(earlier.is_none(), "it comes once");
    }

    fn on_refuse(&self, _: ResourceLimit, text: &mut Vec<u8>) {
        text.extend_from_slice(b"full\n");
    }

    fn on_input(
        &mut self,
        context: &mut Context<'_, Self>,
        conn: ConnId,
        peer: SocketAddr,
        session: &mut EchoSession,
        input: Input<'_>,
    ) -> ReadNext {
        let mut events = self.events.borrow_mut();
        let events = events.entry(peer.port()).or_default();
        let line = match input {
            Input::Line(line) => String::from_utf8_lossy(line).into_owned(),
            Input::Resumed if !session.parts.is_empty() => {
                return session.send_part(context.out.append_reply(conn));
            }
            Input::Resumed => {
                let line = std::mem::take(&mut session.waits_with);
                context
                    .out
                    .append_reply(conn)
                    .extend(answer(&line).into_bytes());
                return ReadNext::Line;
            }
            Input::FramingError(error) => {
                events.push(format!("{error:?}"));
                context.out.append_reply(conn).extend_from_slice(b"error\n");
                return ReadNext::Close(match error {
                    FramingError::LineTooLong => CloseReason::LineTooLong,
                    FramingError::UnexpectedEof => CloseReason::UnexpectedEof,
                    FramingError::LineTimeout => CloseReason::LineTimeout,
                    FramingError::SlowReceiver => CloseReason::SlowReceiver,
                    FramingError::TlsRequired => CloseReason::TlsRequired,
                    FramingError::OtherProtocol(protocol) => CloseReason::OtherProtocol(protocol),
                });
            }
            Input::Connected => {
                context.out.append_reply(conn).extend_from_slice(b"hello\n");
                return ReadNext::Line;
            }
            Input::Body(_)
            | Input::HttpHead(_)
            | Input::UnencryptedHttpHead(_)
            | Input::HttpError(_) => return ReadNext::Line,
        };
        events.push(line.clone());
        session.carries_content |= line.starts_with(['b', 'f']);
        let reply = answer(&line).into_bytes();
        match line.as_bytes().first() {
            // The reply has a body of this length.
            Some(b'b') => return ReadNext::Body(line[1..].parse().expect("a length")),
            Some(b'l') => {
                spend(LONG_TIME);
                context.out.add_work(LONG_WORK);
                context.out.append_reply(conn).extend(reply);
            }
            Some(b'm') => context.out.append_continuation(conn).extend(reply),
            Some(b's') => context.out.send_shared(conn, Arc::from(reply)),
            Some(first @ (b'f' | b'c')) => {
                let length = reply.len() as u64;
                let file = FakeFile {
                    content: reply,
                    is_changed: *first == b'c',
                };
                context.out.send_file(conn, file, 0, length);
            }
            Some(b'w') => {
                session.waits_with = line;
                self.waiting.push(conn);
                return ReadNext::Wait;
            }
            Some(b'p') => {
                session.parts = reply;
                return session.send_part(context.out.append_reply(conn));
            }
            Some(b'q') => {
                context.out.append_reply(conn).extend(reply);
                return ReadNext::Close(CloseReason::Quit);
            }
            _ => context.out.append_reply(conn).extend(reply),
        }
        ReadNext::Line
    }

    fn carries_content(session: &EchoSession) -> bool {
        session.carries_content
    }

    fn peer_tls(_: &EchoSession) -> PeerTls {
        PeerTls::Configured(0)
    }

    fn on_close(&mut self, _: &mut Context<'_, Self>, session: EchoSession, reason: &CloseReason) {
        let mut events = self.events.borrow_mut();
        let events = events.entry(session.port).or_default();
        let name = format!("{reason:?}");
        let name: String = name.chars().take_while(|c| c.is_alphanumeric()).collect();
        events.push(format!("closed: {name}"));
    }

    fn on_message(&mut self, context: &mut Context<'_, Self>, command: EchoCommand) {
        match command {
            EchoCommand::Connect(address) => {
                let session = self.on_accept(address);
                context.out.dial(address, session);
            }
            EchoCommand::Resume => {
                for conn in self.waiting.drain(..) {
                    context.out.resume(conn);
                }
            }
            EchoCommand::StopLoop => context.out.stop_loop(),
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        None
    }

    fn has_work(&self) -> bool {
        self.own_work.get() > 0
    }

    fn on_timer(&mut self, _: &mut Context<'_, Self>) {
        spend(STEP_TIME);
        self.own_work.set(self.own_work.get().saturating_sub(1));
    }

    fn drain(&mut self, _: &mut Context<'_, Self>) {}
}

fn spend(time: Duration) {
    TIME_SPENT.set(TIME_SPENT.get() + time);
}

fn loopback(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

/// The loop with scripted streams, events and time.
pub struct World {
    reactor: Reactor<EchoRole, FakeStream>,
    handle: Handle<EchoCommand>,
    events: SharedEvents,
    securities: SharedSecurities,
    own_work: OwnWork,
    clock: Clock,
    wires: Vec<SharedWire>,
    now: Instant,
}

impl World {
    pub fn new(max_queue: usize) -> Self {
        Self::with_rates(max_queue, RateLimits::default())
    }

    /// With limits on the rate of content: of connections that have sent a line which begins
    /// with `f` or with `b`.
    pub fn with_rates(max_queue: usize, rates: RateLimits) -> Self {
        Self::with_settings(max_queue, |settings| settings.rates = rates)
    }

    /// With other settings than the defaults.
    pub fn with_settings(max_queue: usize, change: impl FnOnce(&mut ReactorSettings)) -> Self {
        // The defaults are parsed, which takes longer than most plays.
        static DEFAULTS: LazyLock<(Limits, Timeouts)> = LazyLock::new(Default::default);
        let (limits, timeouts) = DEFAULTS.clone();
        let limits = Limits {
            max_connections: Some(100),
            max_queue,
            ..limits
        };
        let mut settings = ReactorSettings {
            speaks_http: false,
            tls: None,
            relay_tls: vec![None],
            certificates: None,
            node_ids: None,
            secret: None,
            limits,
            timeouts,
            rates: RateLimits::default(),
            read_size: 0,
            source_addresses: Vec::new(),
        };
        change(&mut settings);
        let now = Instant::now();
        let role = EchoRole::default();
        let events = Rc::clone(&role.events);
        let securities = Rc::clone(&role.securities);
        let own_work = Rc::clone(&role.own_work);
        // Only work takes time: else the tests pass the time of each round.
        let clock = Clock::new(now, || TIME_SPENT.get());
        let reactor = Reactor::new(role, settings, clock).expect("the system has a poll");
        Self {
            handle: reactor.handle(),
            reactor,
            events,
            securities,
            own_work,
            clock,
            wires: Vec::new(),
            now,
        }
    }

    /// A peer connects from a port on loopback.
    pub fn accept(&mut self, port: u16) -> SharedWire {
        self.accept_from([127, 0, 0, 1], port)
    }

    /// A peer connects from this address.
    pub fn accept_from(&mut self, ip: [u8; 4], port: u16) -> SharedWire {
        let wire = SharedWire::default();
        self.wires.push(Rc::clone(&wire));
        let stream = FakeStream(Rc::clone(&wire));
        self.reactor.accept_stream(stream, (ip, port).into());
        wire
    }

    /// We connect to a port on loopback.
    pub fn connect(&mut self, port: u16) -> SharedWire {
        self.connect_to(loopback(port))
    }

    /// We connect to this address.
    pub fn connect_to(&mut self, address: SocketAddr) -> SharedWire {
        self.handle.send(EchoCommand::Connect(address));
        self.run_round();
        self.reconnected()
    }

    /// The stream of the connection that the loop has opened last, by itself.
    pub fn reconnected(&mut self) -> SharedWire {
        let wire = last_connected();
        self.wires.push(Rc::clone(&wire));
        wire
    }

    /// The role completes all answers that are awaited, in the next round.
    pub fn resume_all(&mut self) {
        self.handle.send(EchoCommand::Resume);
    }

    /// The role ends the loop, in the next round.
    pub fn stop_loop(&mut self) {
        self.handle.send(EchoCommand::StopLoop);
    }

    /// The loop stops on this signal, and counts that.
    pub fn stop_on_signal(&mut self, signal: i32) -> Rc<Cell<usize>> {
        let stops = Rc::new(Cell::new(0));
        let count = Rc::clone(&stops);
        self.reactor.on_stopping(move || count.set(count.get() + 1));
        let installed = self.reactor.stop_on_signals(&[signal]);
        installed.expect("the signal can be handled");
        stops
    }

    /// Whether the loop answers another thread, without new events.
    pub fn answers(&mut self) -> bool {
        let handle = self.handle.clone();
        let answer = thread::spawn(move || handle.answers_within(DEADLINE));
        while !answer.is_finished() {
            self.run_round();
        }
        answer.join().expect("no panic")
    }

    /// The loop is stopped, in the next round.
    pub fn stop(&mut self) {
        self.handle.stop();
    }

    /// Runs one round with the events that have occurred.
    pub fn step(&mut self) {
        self.record_events();
        self.run_round();
    }

    /// The role has so many steps of work of its own.
    pub fn set_own_work(&mut self, steps: usize) {
        self.own_work.set(steps);
    }

    /// The steps of its own work that the role has not done yet.
    pub fn own_work(&self) -> usize {
        self.own_work.get()
    }

    /// Runs one round without new events.
    pub fn run_round(&mut self) {
        self.now = self.now.max(self.clock.now());
        self.reactor.run_round(self.now);
    }

    /// Runs rounds until nothing is left to do without another event.
    pub fn run(&mut self) {
        for _ in 0..10_000 {
            self.step();
            if !self.reactor.has_work() && !self.wires.iter().any(|w| w.borrow().has_event()) {
                return;
            }
        }
        panic!("the loop spins");
    }

    fn record_events(&mut self) {
        for wire in &self.wires {
            let mut wire = wire.borrow_mut();
            if let Some(token) = wire.token
                && wire.has_event()
            {
                self.reactor.record_event(token, wire.take_event());
            }
        }
    }

    /// The clock moves, and deadlines pass before anything else happens.
    pub fn advance(&mut self, time: Duration) {
        self.now += time;
        self.run_round();
        self.run();
    }

    /// What happened on the connection of a port.
    pub fn events(&self, port: u16) -> Vec<String> {
        let events = self.events.borrow();
        events.get(&port).cloned().unwrap_or_default()
    }

    /// How the connection of a port is encrypted.
    pub fn security(&self, port: u16) -> Option<ConnectionSecurity> {
        self.securities.borrow().get(&port).cloned()
    }

    /// Whether a connection only discards input: our side is shut down, and the stream is
    /// still open.
    pub fn is_lingering(&self) -> bool {
        self.wires.iter().any(|wire| {
            let wire = wire.borrow();
            wire.is_shut_down && !wire.is_dropped
        })
    }
}
