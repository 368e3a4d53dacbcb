//! The one loop. It waits for events and deadlines, moves bytes, and calls the
//! [`Role`] that it is given; it decides nothing about the protocol.
//!
//! Each round has four steps, and their order is the rule that must not break:
//!
//! 1. **Wait** until the next event or deadline.
//! 2. **Note.** Each event sets a bit on its connection, and the connection
//!    joins the run queue. Nothing is added, removed, read or written here, so
//!    no event can meet the wrong connection.
//! 3. **Act.** Each queued connection has one turn within a budget: write what
//!    waits, read, let the role answer, write at once. Then deadlines, then new
//!    connections, then messages.
//! 4. **Reap.** What has ended is taken out, and the role is told.
//!
//! A readiness bit is set by an event and cleared only by the operation that
//! finds nothing to do: edges come once (see mio's `Poll`, "Draining readiness").

mod connection;
mod descriptors;
mod gate;
mod handle;
mod listener;
mod outbox;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use log::{debug, info, warn};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token, Waker};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;
use slab::Slab;

pub use descriptors::{connections_within, raise_limit};
pub use handle::Handle;
pub use listener::Listener;

use self::connection::{Connection, Origin, Phase, Received, set_nodelay};
use self::gate::Gate;
use self::handle::Letter;
use crate::end::{End, Full};
use crate::inbox::Piece;
use crate::limits::{Limits, Patience};
use crate::role::{ConnId, Fault, Heard, Next, Output, Role, Step, Traffic, Turn};
use crate::timers::{Lane, Timers};

const WAKER: Token = Token(usize::MAX);
const SIGNALS: Token = Token(usize::MAX - 1);
/// Listeners count down from here; connections count up from 0.
const FIRST_LISTENER: usize = usize::MAX - 2;
/// The lowest token that may be a listener's.
const LAST_LISTENER: usize = usize::MAX - 1024;

/// What a connection can wait for; each has its deadline in a lane of its own.
const DIAL: Lane = 0;
const FIRST_LINE: Lane = 1;
const IDLE: Lane = 2;
const STALL: Lane = 3;
const PROGRESS: Lane = 4;
const LINGER: Lane = 5;
const LANES: Lane = 6;

/// Events taken at once.
const EVENTS: usize = 1024;
/// Connections accepted in one round.
const ACCEPTS: usize = 64;
/// Deadlines and messages handled in one round.
const AT_ONCE: usize = 1024;
/// Pieces of input that one connection may have handled in one turn.
const PIECES: usize = 4096;
/// Bytes read from one peer in one turn.
const READ_BUDGET: usize = 4 * 1024 * 1024;
/// How long to listen for the peer's end after our own goodbye.
const LINGER_TIME: Duration = Duration::from_secs(2);
/// How much of it to listen to.
const LINGER_BYTES: u64 = 1024 * 1024;
/// Places for those who are told that there is no place.
const REFUSED_AT_ONCE: usize = 64;

/// How a loop ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The role's work is done.
    Finished,
    /// It was told to stop, and finished what was begun.
    Drained,
    /// It was told to stop, and cut so many connections that were not finished.
    Cut(usize),
}

/// What a loop is told at its start.
#[derive(Clone, Debug)]
pub struct Settings {
    /// For those who connect to us.
    pub limits: Limits,
    /// For those whom we connect to.
    pub patience: Patience,
    /// Bytes read at once.
    pub read_size: usize,
}

/// A loop and the role that it serves.
pub struct Reactor<R: Role> {
    role: R,
    settings: Settings,
    poll: Poll,
    listeners: Vec<Listener>,
    signals: Option<Signals>,
    letters: Receiver<Letter<R::Message>>,
    handle: Handle<R::Message>,
    connections: Slab<Connection<R::Session, R::File>>,
    next_serial: u32,
    gate: Gate,
    /// Connections that are told that there is no place.
    refused: usize,
    timers: Timers,
    run_queue: VecDeque<usize>,
    ended: Vec<usize>,
    /// Dials for which there was not even a socket; the role is told at the reap.
    failed_dials: Vec<(R::Session, End)>,
    out: Output<R>,
    /// One buffer for all reads.
    scratch: Box<[u8]>,
    traffic: Traffic,
    now: Instant,
    stopping: Stopping,
}

/// Whether the loop is to end.
enum Stopping {
    No,
    /// Until then there is time to finish; so many were cut.
    Draining(Instant, usize),
    /// At once.
    Now(Outcome),
}

impl<R: Role> Reactor<R>
where
    R::File: AsFd,
{
    /// A loop for `role`.
    ///
    /// # Errors
    /// The system gives no poll.
    pub fn new(role: R, settings: Settings, now: Instant) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let (sender, letters) = mpsc::channel();
        let max = settings
            .limits
            .max_connections
            .unwrap_or_else(|| connections_within(raise_limit()));
        Ok(Self {
            role,
            poll,
            listeners: Vec::new(),
            signals: None,
            letters,
            handle: Handle {
                letters: sender,
                waker,
            },
            connections: Slab::new(),
            next_serial: 0,
            gate: Gate::new(max, settings.limits.max_per_address),
            refused: 0,
            timers: Timers::new(now, LANES),
            run_queue: VecDeque::new(),
            ended: Vec::new(),
            failed_dials: Vec::new(),
            out: Output::default(),
            scratch: vec![0; settings.read_size].into(),
            settings,
            traffic: Traffic::default(),
            now,
            stopping: Stopping::No,
        })
    }

    /// Lets others connect through `listener`.
    ///
    /// # Errors
    /// It cannot be watched.
    pub fn listen(&mut self, mut listener: Listener) -> io::Result<()> {
        let token = Token(FIRST_LISTENER - self.listeners.len());
        self.poll
            .registry()
            .register(&mut listener.socket, token, Interest::READABLE)?;
        self.listeners.push(listener);
        Ok(())
    }

    /// Stops on SIGINT and SIGTERM. To be called before any thread starts.
    ///
    /// # Errors
    /// The handlers cannot be installed.
    pub fn stop_on_signals(&mut self) -> io::Result<()> {
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        self.poll
            .registry()
            .register(&mut signals, SIGNALS, Interest::READABLE)?;
        self.signals = Some(signals);
        Ok(())
    }

    /// A way for other threads to reach this loop.
    pub fn handle(&self) -> Handle<R::Message> {
        self.handle.clone()
    }

    /// Runs until the role is done or the loop is told to stop.
    ///
    /// # Errors
    /// The system's poll fails.
    pub fn run(mut self) -> io::Result<(R, Outcome)> {
        let mut events = Events::with_capacity(EVENTS);
        self.now = Instant::now();
        self.call_role(R::start);
        self.reap();
        loop {
            if let Some(outcome) = self.outcome() {
                return Ok((self.role, outcome));
            }
            match self.poll.poll(&mut events, self.patience()) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            }
            self.now = Instant::now();
            let signalled = self.note(&events);
            self.act(signalled);
            self.reap();
        }
    }

    /// How long to wait for the next event.
    fn patience(&self) -> Option<Duration> {
        let accepting = self.listeners.iter().any(|l| l.may_accept(self.now));
        if !self.run_queue.is_empty() || accepting {
            return Some(Duration::ZERO);
        }
        let drain = match self.stopping {
            Stopping::Draining(until, _) => Some(until),
            Stopping::No | Stopping::Now(_) => None,
        };
        let retry = self.listeners.iter().filter_map(|l| l.retry_at).min();
        [self.timers.next(), self.role.next_deadline(), retry, drain]
            .into_iter()
            .flatten()
            .min()
            .map(|due| due.saturating_duration_since(Instant::now()))
    }

    /// Whether the loop is over.
    fn outcome(&self) -> Option<Outcome> {
        match self.stopping {
            Stopping::Now(outcome) => Some(outcome),
            Stopping::Draining(_, 0) if self.connections.is_empty() => Some(Outcome::Drained),
            Stopping::Draining(_, cut) if self.connections.is_empty() => Some(Outcome::Cut(cut)),
            Stopping::No | Stopping::Draining(..) => None,
        }
    }

    /// Remembers what the events say, and does nothing else.
    fn note(&mut self, events: &Events) -> bool {
        let mut signalled = false;
        for event in events {
            match event.token() {
                WAKER => {}
                SIGNALS => signalled = true,
                Token(token) if token > LAST_LISTENER => {
                    if let Some(listener) = self.listeners.get_mut(FIRST_LISTENER - token) {
                        listener.ready = true;
                    }
                }
                Token(slot) => {
                    if let Some(conn) = self.connections.get_mut(slot) {
                        conn.note(event);
                        self.enqueue(slot);
                    }
                }
            }
        }
        signalled
    }

    fn act(&mut self, signalled: bool) {
        for _ in 0..self.run_queue.len() {
            let Some(slot) = self.run_queue.pop_front() else {
                break;
            };
            self.take_turn(slot);
        }
        for _ in 0..AT_ONCE {
            let Some(slot) = self.timers.take_due(self.now) else {
                break;
            };
            self.too_late(slot);
        }
        if self.role.next_deadline().is_some_and(|due| due <= self.now) {
            self.call_role(R::tick);
        }
        self.accept();
        self.read_letters();
        if signalled {
            self.read_signals();
        }
        if let Stopping::Draining(until, _) = self.stopping
            && until <= self.now
        {
            self.cut_all();
        }
    }

    /// Takes out what has ended, and tells the role.
    fn reap(&mut self) {
        let mut freed = false;
        while let Some(slot) = self.ended.pop() {
            let Some(mut conn) = self.connections.try_remove(slot) else {
                continue;
            };
            freed = true;
            self.timers.clear(slot);
            if conn.origin == Origin::Accepted {
                if conn.session.is_some() {
                    self.gate.leave(conn.peer.ip());
                } else {
                    self.refused -= 1;
                }
                self.traffic.open = self.gate.open() as u64;
            }
            let end = conn.end.take().unwrap_or(End::Done);
            log_end(&conn, &end, self.now);
            let session = conn.session.take();
            // The descriptor is free before the role may want another.
            drop(conn);
            if let Some(session) = session {
                self.call_role(|role, turn| role.ended(turn, session, &end));
            }
        }
        for (session, end) in std::mem::take(&mut self.failed_dials) {
            self.call_role(|role, turn| role.ended(turn, session, &end));
        }
        if freed {
            self.listeners.iter_mut().for_each(Listener::retry_now);
        }
    }

    /// One connection's turn.
    fn take_turn(&mut self, slot: usize) {
        let Some(conn) = self.connections.get_mut(slot) else {
            return;
        };
        conn.queued = false;
        let before = (conn.bytes_in, conn.bytes_out);
        match conn.phase {
            Phase::Dialling => self.finish_dial(slot),
            Phase::Open | Phase::Closing => self.serve(slot),
            Phase::Lingering => self.listen_for_end(slot),
            Phase::Ended => return,
        }
        self.after_turn(slot, before);
    }

    /// Counts what was moved since `before`, sets the connection's deadline and
    /// queues it again if there is more to do.
    fn after_turn(&mut self, slot: usize, before: (u64, u64)) {
        let Some(conn) = self.connections.get_mut(slot) else {
            return;
        };
        let moved = (conn.bytes_in - before.0, conn.bytes_out - before.1);
        self.traffic.bytes_in += moved.0;
        self.traffic.bytes_out += moved.1;
        let may_write = conn.writable && !conn.outbox.is_empty();
        let has_room = conn.outbox.queued() < self.settings.limits.max_queue as u64;
        let may_read = conn.readable || conn.held || conn.ended_input;
        let again = match conn.phase {
            Phase::Open => may_write || (has_room && may_read),
            Phase::Closing => may_write,
            Phase::Lingering => conn.readable,
            Phase::Dialling | Phase::Ended => false,
        };
        if again {
            self.enqueue(slot);
        }
        self.set_deadline(slot, moved);
    }

    fn enqueue(&mut self, slot: usize) {
        if let Some(conn) = self.connections.get_mut(slot)
            && !conn.queued
        {
            conn.queued = true;
            self.run_queue.push_back(slot);
        }
    }

    /// Each connection waits for one thing at a time.
    fn set_deadline(&mut self, slot: usize, moved: (u64, u64)) {
        let Some(conn) = self.connections.get_mut(slot) else {
            return;
        };
        let heard_line = std::mem::take(&mut conn.heard_line);
        let limits = &self.settings.limits;
        let (lane, time, progress) = match (conn.phase, conn.origin) {
            (Phase::Dialling | Phase::Ended, _) => return,
            (Phase::Lingering, _) => (LINGER, LINGER_TIME, false),
            (Phase::Open | Phase::Closing, _) if !conn.outbox.is_empty() => {
                (STALL, limits.stall, moved.1 > 0)
            }
            (_, Origin::Dialled) => (PROGRESS, self.settings.patience.timeout, moved != (0, 0)),
            (_, Origin::Accepted) if !conn.spoke => (FIRST_LINE, limits.first_line, false),
            (_, Origin::Accepted) => (IDLE, limits.idle, heard_line),
        };
        if progress || self.timers.lane(slot) != Some(lane) {
            let since = match lane {
                // What was received may have taken long to put away: that is
                // not the other side's fault.
                PROGRESS => Instant::now(),
                FIRST_LINE => conn.since,
                _ => self.now,
            };
            self.timers.set(slot, lane, since + time);
        }
    }

    /// A connection's deadline has passed.
    fn too_late(&mut self, slot: usize) {
        let Some(conn) = self.connections.get_mut(slot) else {
            return;
        };
        // The lane is gone with the deadline; the state tells what was waited for.
        let end = match (conn.phase, conn.origin) {
            (Phase::Ended, _) => return,
            (Phase::Dialling, _) => End::DialTimeout,
            (Phase::Lingering, _) => return self.end(slot, End::Done),
            (Phase::Open | Phase::Closing, _) if !conn.outbox.is_empty() => End::Stalled,
            (_, Origin::Dialled) => End::NoProgress,
            (_, Origin::Accepted) if !conn.inbox.is_empty() => {
                let before = (conn.bytes_in, conn.bytes_out);
                self.break_input(slot, Fault::Late);
                return self.after_turn(slot, before);
            }
            (_, Origin::Accepted) if !conn.spoke => End::Silent,
            (_, Origin::Accepted) => End::Idle,
        };
        self.end(slot, end);
    }

    fn finish_dial(&mut self, slot: usize) {
        let conn = &mut self.connections[slot];
        match conn.dialled() {
            Err(end) => self.end(slot, end),
            Ok(false) => {}
            Ok(true) => {
                conn.writable = true;
                let next = self.hear(slot, Heard::Connected);
                self.apply();
                if let Next::Close(end) = next {
                    self.close(slot, end);
                }
                self.serve(slot);
            }
        }
    }

    /// Writes what waits, reads, lets the role answer.
    fn serve(&mut self, slot: usize) {
        if let Err(end) = self.connections[slot].flush() {
            return self.end(slot, end);
        }
        // Out of `self` while the role hears from it.
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut budget = READ_BUDGET;
        loop {
            let conn = &mut self.connections[slot];
            let has_room = conn.outbox.queued() < self.settings.limits.max_queue as u64;
            if conn.phase != Phase::Open || !has_room || budget == 0 {
                break;
            }
            if conn.held {
                self.hear_input(slot, &[]);
                // What could not be heard now waits for the next turn.
                if self.connections[slot].held {
                    break;
                }
                continue;
            }
            if conn.ended_input {
                self.input_ended(slot);
                break;
            }
            if !conn.readable {
                break;
            }
            match conn.receive(&mut scratch) {
                Ok(Received::Bytes(length)) => {
                    budget = budget.saturating_sub(length);
                    self.hear_input(slot, &scratch[..length]);
                }
                Ok(Received::Nothing | Received::EndOfInput) => {}
                Err(end) => {
                    self.end(slot, end);
                    break;
                }
            }
        }
        self.scratch = scratch;
        self.close_if_sent(slot);
    }

    /// Cuts what arrived into pieces and lets the role hear each, as long as not
    /// too many answers wait.
    fn hear_input(&mut self, slot: usize, arrived: &[u8]) {
        let max_line = self.settings.limits.max_line;
        let max_queue = self.settings.limits.max_queue as u64;
        let mut unread = self.connections[slot].inbox.open(arrived);
        let mut pieces = PIECES;
        let mut held = true;
        let mut close = None;
        while pieces > 0 && self.connections[slot].outbox.queued() < max_queue {
            held = false;
            // One batch: its answers leave together.
            while close.is_none() {
                if pieces == 0 || self.out.queued() >= max_queue {
                    held = true;
                    break;
                }
                pieces -= 1;
                let heard = match unread.next(max_line) {
                    None => break,
                    Some(Piece::Line(line)) => {
                        let conn = &mut self.connections[slot];
                        conn.spoke = true;
                        conn.heard_line = true;
                        Heard::Line(line)
                    }
                    Some(Piece::Body(bytes)) => Heard::Body(bytes),
                    Some(Piece::TooLong) => Heard::Broken(Fault::TooLong),
                };
                match self.hear(slot, heard) {
                    Next::Line => {}
                    Next::Body(length) => unread.expect_body(length),
                    Next::Close(end) => close = Some(end),
                }
            }
            self.apply();
            if !held || self.connections[slot].phase != Phase::Open {
                break;
            }
        }
        let conn = &mut self.connections[slot];
        conn.held = held && !unread.is_empty();
        if let Some(end) = close {
            self.close(slot, end);
        } else {
            conn.inbox.keep(unread);
        }
    }

    /// The peer will say no more, and everything it said was heard.
    fn input_ended(&mut self, slot: usize) {
        if self.connections[slot].inbox.is_empty() {
            self.close(slot, End::Done);
        } else {
            self.break_input(slot, Fault::Cut);
        }
    }

    fn break_input(&mut self, slot: usize, fault: Fault) {
        let next = self.hear(slot, Heard::Broken(fault));
        self.apply();
        let end = match next {
            Next::Close(end) => end,
            Next::Line | Next::Body(_) => End::Done,
        };
        self.close(slot, end);
        self.close_if_sent(slot);
    }

    fn hear(&mut self, slot: usize, heard: Heard<'_>) -> Next {
        let conn = &mut self.connections[slot];
        let id = ConnId {
            slot: slot as u32,
            serial: conn.serial,
        };
        let Some(session) = &mut conn.session else {
            return Next::Close(End::Done);
        };
        let mut turn = Turn {
            now: self.now,
            traffic: &self.traffic,
            out: &mut self.out,
        };
        self.role.heard(&mut turn, id, session, heard)
    }

    fn call_role(&mut self, call: impl FnOnce(&mut R, &mut Turn<'_, R>)) {
        let mut turn = Turn {
            now: self.now,
            traffic: &self.traffic,
            out: &mut self.out,
        };
        call(&mut self.role, &mut turn);
        self.apply();
    }

    /// Does what the role wants.
    fn apply(&mut self) {
        if self.out.is_empty() {
            return;
        }
        let (text, mut steps) = self.out.take();
        let mut rest = steps.drain(..).peekable();
        let mut sent = 0;
        while let Some(step) = rest.next() {
            let result = match step {
                Step::Text { to, end } => {
                    let bytes = &text[sent..end];
                    sent = end;
                    let more = rest.peek().is_some_and(|next| next.to() == Some(to));
                    self.recipient(to, |conn| conn.send(bytes, more))
                }
                Step::Shared { to, bytes } => self.recipient(to, |conn| conn.send_shared(bytes)),
                Step::File {
                    to,
                    file,
                    offset,
                    length,
                } => self.recipient(to, |conn| conn.send_file(file, offset, length)),
                Step::Dial { address, session } => {
                    self.dial(address, session);
                    None
                }
                Step::Finish => {
                    self.stopping = Stopping::Now(Outcome::Finished);
                    None
                }
            };
            if let Some((slot, end)) = result {
                self.end(slot, end);
            }
        }
        drop(rest);
        self.out.recycle(text, steps);
    }

    /// Sends something to a connection, if it is still there. Returns how it
    /// ended, if it did.
    fn recipient(
        &mut self,
        to: ConnId,
        send: impl FnOnce(&mut Connection<R::Session, R::File>) -> Result<(), End>,
    ) -> Option<(usize, End)> {
        let slot = to.slot as usize;
        let conn = self.connections.get_mut(slot)?;
        if conn.serial != to.serial || !matches!(conn.phase, Phase::Open | Phase::Closing) {
            return None;
        }
        send(conn).err().map(|end| (slot, end))
    }

    fn dial(&mut self, address: SocketAddr, session: R::Session) {
        let result = TcpStream::connect(address).and_then(|stream| self.watch(stream));
        match result {
            Ok(stream) => {
                let slot = self.insert(stream, address, Origin::Dialled, Some(session));
                let due = self.now + self.settings.patience.connect_timeout;
                self.timers.set(slot, DIAL, due);
            }
            Err(error) => self.failed_dials.push((session, End::NotReached(error))),
        }
    }

    /// Registers a socket under the slot that it will get. Both interests, once.
    fn watch(&self, mut stream: TcpStream) -> io::Result<TcpStream> {
        let token = Token(self.connections.vacant_key());
        self.poll.registry().register(
            &mut stream,
            token,
            Interest::READABLE | Interest::WRITABLE,
        )?;
        Ok(stream)
    }

    fn insert(
        &mut self,
        stream: TcpStream,
        peer: SocketAddr,
        origin: Origin,
        session: Option<R::Session>,
    ) -> usize {
        let serial = self.next_serial;
        self.next_serial = serial.wrapping_add(1);
        let conn = Connection::new(stream, peer, origin, session, serial, self.now);
        self.connections.insert(conn)
    }

    fn accept(&mut self) {
        for index in 0..self.listeners.len() {
            for _ in 0..ACCEPTS {
                let listener = &mut self.listeners[index];
                if !listener.may_accept(self.now) {
                    break;
                }
                let Some((stream, peer)) = listener.accept(self.now) else {
                    break;
                };
                match self.watch(stream) {
                    Ok(stream) => self.admit(stream, peer),
                    Err(error) => warn!("{peer}: cannot be watched: {error}"),
                }
            }
        }
    }

    fn admit(&mut self, stream: TcpStream, peer: SocketAddr) {
        set_nodelay(&stream);
        match self.gate.enter(peer.ip()) {
            Ok(()) => {
                self.traffic.accepted += 1;
                self.traffic.open = self.gate.open() as u64;
                let session = self.role.accepted(peer);
                let slot = self.insert(stream, peer, Origin::Accepted, Some(session));
                // Its first line is usually there already.
                self.take_turn(slot);
            }
            Err(full) => self.refuse(stream, peer, full),
        }
    }

    /// Tells somebody that there is no place, and listens for their end so that
    /// the words arrive: closing with unread input would take them back.
    fn refuse(&mut self, stream: TcpStream, peer: SocketAddr, full: Full) {
        self.traffic.refused += 1;
        if self.refused == REFUSED_AT_ONCE {
            return debug!("{peer}: refused without a word: {full}");
        }
        self.refused += 1;
        let mut text = Vec::new();
        self.role.refused(full, &mut text);
        let slot = self.insert(stream, peer, Origin::Accepted, None);
        match self.connections[slot].send(&text, false) {
            Ok(()) => {
                self.close(slot, End::Full(full));
                self.close_if_sent(slot);
                self.after_turn(slot, (0, 0));
            }
            Err(end) => self.end(slot, end),
        }
    }

    fn read_letters(&mut self) {
        for _ in 0..AT_ONCE {
            match self.letters.try_recv() {
                Ok(Letter::Message(message)) => {
                    self.call_role(|role, turn| role.told(turn, message));
                }
                Ok(Letter::Stop) => self.stop(),
                Err(_) => return,
            }
        }
        // There may be more, and the waker has been heard already.
        if let Err(error) = self.handle.wake() {
            warn!("the loop cannot wake itself: {error}");
        }
    }

    fn read_signals(&mut self) {
        let Some(signals) = &mut self.signals else {
            return;
        };
        let count = signals.pending().count();
        for _ in 0..count {
            self.stop();
        }
    }

    /// The first time: finish what is begun. The second time: end.
    fn stop(&mut self) {
        match self.stopping {
            Stopping::No => self.drain(),
            Stopping::Draining(..) => self.cut_all(),
            Stopping::Now(_) => {}
        }
    }

    fn drain(&mut self) {
        info!("stopping");
        self.stopping = Stopping::Draining(self.now + self.settings.limits.drain, 0);
        self.listeners.clear();
        let accepted: Vec<usize> = self
            .connections
            .iter()
            .filter(|(_, conn)| conn.origin == Origin::Accepted)
            .map(|(slot, _)| slot)
            .collect();
        for slot in accepted {
            let conn = &mut self.connections[slot];
            if conn.phase == Phase::Open && !conn.outbox.is_empty() {
                conn.end = Some(End::Drained);
                conn.phase = Phase::Closing;
            } else if conn.phase != Phase::Closing {
                self.end(slot, End::Drained);
            }
        }
        self.call_role(R::drain);
    }

    fn cut_all(&mut self) {
        let slots: Vec<usize> = self.connections.iter().map(|(slot, _)| slot).collect();
        let mut cut = 0;
        for slot in slots {
            cut += usize::from(!self.connections[slot].outbox.is_empty());
            self.end(slot, End::Cut);
        }
        self.stopping = Stopping::Draining(self.now, cut);
    }

    /// Hears nothing more from a connection: what waits is sent, then it ends.
    fn close(&mut self, slot: usize, end: End) {
        let conn = &mut self.connections[slot];
        if conn.phase == Phase::Open {
            conn.phase = Phase::Closing;
            conn.end = Some(end);
        }
    }

    /// Ends a closing connection whose answers are all sent. Input that nobody
    /// reads would make the kernel reset the connection and take back the tail
    /// of the answer, so we shut our side and listen for the peer's end.
    fn close_if_sent(&mut self, slot: usize) {
        let conn = &mut self.connections[slot];
        if conn.phase != Phase::Closing || !conn.outbox.is_empty() {
            return;
        }
        if conn.origin == Origin::Dialled || conn.ended_input {
            let end = conn.end.take().unwrap_or(End::Done);
            self.end(slot, end);
        } else {
            conn.shut();
            conn.phase = Phase::Lingering;
            self.listen_for_end(slot);
        }
    }

    /// Reads and forgets what comes after our goodbye.
    fn listen_for_end(&mut self, slot: usize) {
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut heard = 0;
        let conn = &mut self.connections[slot];
        let over = loop {
            if !conn.readable {
                break false;
            }
            match conn.receive(&mut scratch) {
                Ok(Received::Bytes(length)) => heard += length as u64,
                Ok(Received::Nothing) => break false,
                Ok(Received::EndOfInput) | Err(_) => break true,
            }
            if heard > LINGER_BYTES {
                break true;
            }
        };
        self.scratch = scratch;
        if over {
            let end = self.connections[slot].end.take().unwrap_or(End::Done);
            self.end(slot, end);
        }
    }

    /// A connection is over. It is taken out at the end of the round.
    fn end(&mut self, slot: usize, end: End) {
        let conn = &mut self.connections[slot];
        if conn.phase != Phase::Ended {
            conn.phase = Phase::Ended;
            // What it was closing for is the reason, whatever came after.
            conn.end.get_or_insert(end);
            self.ended.push(slot);
        }
    }
}

/// One line for each connection that others made; our own are told by the role.
fn log_end<S: std::fmt::Display, F>(conn: &Connection<S, F>, end: &End, now: Instant) {
    let level = match conn.origin {
        Origin::Accepted => log::Level::Info,
        Origin::Dialled => log::Level::Debug,
    };
    let (peer, bytes_in, bytes_out) = (conn.peer, conn.bytes_in, conn.bytes_out);
    let ms = now.saturating_duration_since(conn.since).as_millis();
    match &conn.session {
        Some(session) => log::log!(
            level,
            "{peer}: {session}, {bytes_in} B in, {bytes_out} B out, {ms} ms, {end}"
        ),
        None => log::log!(level, "{peer}: {end}"),
    }
}
