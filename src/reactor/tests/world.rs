//! A role that answers in every way that there is, and a loop around it whose streams
//! are scripted.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use super::fake::{FakeStream, SharedWire, Tail, Wire};
use crate::close_reason::{CloseReason, ResourceLimit};
use crate::limits::{Limits, Timeouts};
use crate::reactor::connection::{EndOfInput, Origin, Phase};
use crate::reactor::deadlines::TurnProgress;
use crate::reactor::{Reactor, ReactorSettings};
use crate::role::{ConnId, Context, FramingError, Input, ReadNext, Role};

/// Answers each line with its own text, sent in the way that the first letter says:
/// `t`ext, `s`hared, `f`ile, `w`ait, `q`uit.
#[derive(Default)]
pub(super) struct EchoRole {
    /// What happened on the connection of a peer, by its port.
    pub(super) events: BTreeMap<u16, Vec<String>>,
    pub(super) waiting: Vec<(ConnId, String)>,
}

pub(super) struct EchoSession {
    port: u16,
    waits_with: String,
}

impl fmt::Display for EchoSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "port {}", self.port)
    }
}

/// The answer to a line.
pub(super) fn answer(line: &str) -> String {
    format!("<{line}>\n")
}

impl Role for EchoRole {
    type Session = EchoSession;
    type File = Rc<[u8]>;
    type Message = ();

    fn start(&mut self, _: &mut Context<'_, Self>) {}

    fn on_accept(&mut self, peer: SocketAddr) -> EchoSession {
        EchoSession {
            port: peer.port(),
            waits_with: String::new(),
        }
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
        let events = self.events.entry(peer.port()).or_default();
        let line = match input {
            Input::Line(line) => String::from_utf8_lossy(line).into_owned(),
            Input::Resumed => {
                let line = std::mem::take(&mut session.waits_with);
                context.out.text(conn).extend(answer(&line).into_bytes());
                return ReadNext::Line;
            }
            Input::FramingError(error) => {
                events.push(format!("{error:?}"));
                context.out.text(conn).extend_from_slice(b"error\n");
                return ReadNext::Close(match error {
                    FramingError::LineTooLong => CloseReason::LineTooLong,
                    FramingError::UnexpectedEof => CloseReason::UnexpectedEof,
                    FramingError::LineTimeout => CloseReason::LineTimeout,
                    FramingError::OtherProtocol(protocol) => CloseReason::OtherProtocol(protocol),
                });
            }
            Input::Connected => {
                context.out.text(conn).extend_from_slice(b"hello\n");
                return ReadNext::Line;
            }
            Input::Body(_) => unreachable!("no body was announced"),
        };
        events.push(line.clone());
        let reply = answer(&line).into_bytes();
        match line.as_bytes().first() {
            Some(b's') => context.out.shared(conn, Arc::from(reply)),
            Some(b'f') => {
                let length = reply.len() as u64;
                context.out.file(conn, Rc::from(reply), 0, length);
            }
            Some(b'w') => {
                session.waits_with = line.clone();
                self.waiting.push((conn, line));
                return ReadNext::Wait;
            }
            Some(b'q') => {
                context.out.text(conn).extend(reply);
                return ReadNext::Close(CloseReason::Quit);
            }
            _ => context.out.text(conn).extend(reply),
        }
        ReadNext::Line
    }

    fn on_close(&mut self, _: &mut Context<'_, Self>, session: EchoSession, reason: &CloseReason) {
        let events = self.events.entry(session.port).or_default();
        events.push(format!("closed: {}", reason.name()));
    }

    fn on_message(&mut self, _: &mut Context<'_, Self>, (): ()) {}

    fn next_deadline(&self) -> Option<Instant> {
        None
    }

    fn on_timer(&mut self, _: &mut Context<'_, Self>) {}

    fn drain(&mut self, _: &mut Context<'_, Self>) {}
}

/// The loop with scripted streams.
pub(super) struct World {
    pub(super) reactor: Reactor<EchoRole, FakeStream>,
    wires: Vec<(usize, SharedWire)>,
}

impl World {
    pub(super) fn new(max_queue: usize) -> Self {
        // The defaults are parsed, which takes longer than most plays.
        static DEFAULTS: LazyLock<(Limits, Timeouts)> = LazyLock::new(Default::default);
        let (limits, timeouts) = DEFAULTS.clone();
        let limits = Limits {
            max_connections: Some(100),
            max_queue,
            ..limits
        };
        let settings = ReactorSettings {
            limits,
            timeouts,
            read_size: 0,
            source_addresses: Vec::new(),
        };
        let reactor = Reactor::create(EchoRole::default(), settings, Instant::now());
        Self {
            reactor: reactor.expect("the system has a poll"),
            wires: Vec::new(),
        }
    }

    /// A peer connects from a port on loopback.
    pub(super) fn accept(&mut self, port: u16) -> SharedWire {
        let wire = Rc::new(RefCell::new(Wire::new()));
        let slot = self.reactor.connections.vacant_key();
        self.wires.push((slot, Rc::clone(&wire)));
        let stream = FakeStream(Rc::clone(&wire));
        self.reactor.admit(stream, ([127, 0, 0, 1], port).into());
        wire
    }

    /// We connect to a port on loopback.
    pub(super) fn connect(&mut self, port: u16) -> SharedWire {
        let wire = Rc::new(RefCell::new(Wire::new()));
        let peer = ([127, 0, 0, 1], port).into();
        let session = self.reactor.role.on_accept(peer);
        let stream = FakeStream(Rc::clone(&wire));
        let slot = self
            .reactor
            .insert(stream, peer, Origin::Outbound, Some(session));
        self.reactor.set_deadline(slot, &TurnProgress::default());
        self.wires.push((slot, Rc::clone(&wire)));
        wire
    }

    /// The connection attempt gets its result.
    pub(super) fn establish(&mut self, wire: &SharedWire, result: Result<(), ErrorKind>) {
        wire.borrow_mut().established = Some(result);
        wire.borrow_mut().raise_writable = true;
    }

    /// The role completes all answers that it has been awaited for.
    pub(super) fn resume_all(&mut self) {
        self.reactor.call_role(|role, context| {
            for (conn, _) in role.waiting.drain(..) {
                context.out.resume(conn);
            }
        });
    }

    /// Runs rounds until nothing is left to do without another event.
    pub(super) fn run(&mut self) {
        for _ in 0..10_000 {
            self.raise_events();
            if self.reactor.run_queue.is_empty() && self.reactor.closed.is_empty() {
                return;
            }
            self.reactor.take_turns();
            self.reactor.reap();
        }
        panic!("the loop spins");
    }

    fn raise_events(&mut self) {
        for (slot, wire) in &self.wires {
            let mut wire = wire.borrow_mut();
            let (readable, writable) = (wire.raise_readable, wire.raise_writable);
            wire.raise_readable = false;
            wire.raise_writable = false;
            if wire.is_dropped || !(readable || writable) {
                continue;
            }
            let conn = &mut self.reactor.connections[*slot];
            conn.readiness.readable |= readable;
            conn.readiness.writable |= writable;
            if wire.tail() != Tail::Open && conn.readiness.end_of_input == EndOfInput::Unknown {
                conn.readiness.end_of_input = EndOfInput::Announced;
            }
            self.reactor.enqueue(*slot);
        }
    }

    /// The clock moves, and deadlines pass.
    pub(super) fn advance(&mut self, time: Duration) {
        self.reactor.now += time;
        self.reactor.fire_deadlines();
        self.run();
    }

    /// What happened on the connection of a port.
    pub(super) fn events(&self, port: u16) -> Vec<String> {
        let events = self.reactor.role.events.get(&port);
        events.cloned().unwrap_or_default()
    }

    /// Whether the connection only discards input.
    pub(super) fn is_lingering(&self) -> bool {
        let mut connections = self.reactor.connections.iter();
        connections.any(|(_, conn)| matches!(conn.phase, Phase::Lingering(_)))
    }
}
