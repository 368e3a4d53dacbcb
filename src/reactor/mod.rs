//! The one loop. It waits for events and deadlines, moves bytes, and calls the
//! [`Role`] that it is given; it decides nothing about the protocol.
//!
//! Each round has four steps, and their order is the rule that must not break:
//!
//! 1. **Wait** until the next event or deadline.
//! 2. **Note.** Each event sets a bit on its connection, and the connection
//!    joins the run queue. Nothing is added, removed, read or written here, so
//!    no event can meet the wrong connection.
//! 3. **Act.** New connections join the queue. Each queued one has a turn within
//!    a budget: write what waits, read, let the role answer, write at once; many
//!    are read before the first is answered. Then datagrams, then deadlines,
//!    then messages.
//! 4. **Reap.** What has ended is taken out, and the role is told.
//!
//! A readiness bit is set by an event and cleared only by the operation that
//! finds nothing to do: edges come once (see mio's `Poll`, "Draining readiness").

mod accept;
mod actions;
mod close;
mod connection;
mod connection_limit;
mod datagrams;
mod deadlines;
mod descriptors;
mod handle;
mod listener;
mod outbox;
mod shutdown;
mod timer_fd;
mod turn;

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use log::warn;
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook_mio::v1_0::Signals;
use slab::Slab;

pub use datagrams::DatagramSocket;
pub use descriptors::{connections_within, raise_limit};
pub use handle::Handle;
pub use listener::ListeningSocket;
pub use shutdown::LoopOutcome;

use crate::close_reason::CloseReason;
use crate::limits::{Limits, Timeouts};
use crate::reactor::connection::{Connection, Origin};
use crate::reactor::connection_limit::ConnectionLimiter;
use crate::reactor::datagrams::LONGEST;
use crate::reactor::deadlines::LANES;
use crate::reactor::handle::ReactorCommand;
use crate::reactor::shutdown::Stopping;
use crate::reactor::timer_fd::TimerFd;
use crate::reactor::turn::PendingTurn;
use crate::role::{Output, Role, Traffic};
use crate::timers::Timers;

const WAKER: Token = Token(usize::MAX);
const SIGNALS: Token = Token(usize::MAX - 1);
/// Listeners count down from here; connections count up from 0.
const FIRST_LISTENER: usize = usize::MAX - 2;
/// The lowest token that may be a listener's.
const LAST_LISTENER: usize = usize::MAX - 1024;
/// What the role watches outside.
const OUTSIDE: Token = Token(usize::MAX - 1025);
const ALARM: Token = Token(usize::MAX - 1026);
/// Sockets for datagrams count down from here.
const FIRST_SOCKET: usize = usize::MAX - 1027;
/// The lowest token that may be one's.
const LAST_SOCKET: usize = usize::MAX - 2048;

/// Places for connections from the start; as in [`Timers`], beyond it the table
/// grows by moving pages.
const FIRST_CONNECTIONS: usize = 2048;
/// Events taken at once.
const EVENTS: usize = 1024;
/// Deadlines and messages handled in one round.
const AT_ONCE: usize = 1024;

/// What a loop is told at its start.
#[derive(Clone, Debug)]
pub struct ReactorSettings {
    /// For those who connect to us.
    pub limits: Limits,
    /// For those whom we connect to.
    pub patience: Timeouts,
    /// Bytes read at once, from one connection or several; at least a datagram's 65,535.
    pub read_size: usize,
    /// The addresses to connect from, where one is of the other side's family.
    pub sources: Vec<IpAddr>,
}

/// What events say beside those of connections and listeners.
#[derive(Clone, Copy, Default)]
struct PendingEvents {
    signal: bool,
    outside: bool,
}

/// A loop and the role that it serves.
pub struct Reactor<R: Role> {
    role: R,
    settings: ReactorSettings,
    poll: Poll,
    alarm: TimerFd,
    listeners: Vec<ListeningSocket>,
    sockets: Vec<DatagramSocket>,
    signals: Option<Signals>,
    outside: Option<OwnedFd>,
    letters: Receiver<ReactorCommand<R::Message>>,
    handle: Handle<R::Message>,
    connections: Slab<Connection<R::Session, R::File>>,
    next_serial: u32,
    gate: ConnectionLimiter,
    /// Connections that are told that there is no place.
    refused: usize,
    timers: Timers,
    run_queue: VecDeque<usize>,
    /// Turns that are being taken; empty between rounds.
    begun: Vec<PendingTurn>,
    ended: Vec<usize>,
    /// Dials for which there was not even a socket; the role is told at the reap.
    failed_dials: Vec<(R::Session, CloseReason)>,
    out: Output<R>,
    /// One buffer for all reads.
    scratch: Box<[u8]>,
    traffic: Traffic,
    started: Instant,
    now: Instant,
    stopping: Stopping,
}

impl<R: Role> Reactor<R>
where
    R::File: AsFd,
{
    /// A loop for `role`.
    ///
    /// # Errors
    /// The system gives no poll.
    pub fn new(role: R, settings: ReactorSettings, now: Instant) -> io::Result<Self> {
        let poll = Poll::new()?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER)?);
        let alarm = TimerFd::new(poll.registry(), ALARM)?;
        let (sender, letters) = mpsc::channel();
        let files = raise_limit();
        let max = settings
            .limits
            .max_connections
            .unwrap_or_else(|| connections_within(files));
        Ok(Self {
            role,
            poll,
            alarm,
            listeners: Vec::new(),
            sockets: Vec::new(),
            signals: None,
            outside: None,
            letters,
            handle: Handle {
                letters: sender,
                waker,
            },
            connections: Slab::with_capacity(FIRST_CONNECTIONS),
            next_serial: 0,
            gate: ConnectionLimiter::new(max, settings.limits.max_per_address),
            refused: 0,
            timers: Timers::new(now, LANES),
            run_queue: VecDeque::new(),
            begun: Vec::new(),
            ended: Vec::new(),
            failed_dials: Vec::new(),
            out: Output::default(),
            scratch: vec![0; settings.read_size.max(LONGEST)].into(),
            settings,
            traffic: Traffic::default(),
            started: now,
            now,
            stopping: Stopping::No,
        })
    }

    /// Lets others connect through `listener`.
    ///
    /// # Errors
    /// It cannot be watched.
    pub fn listen(&mut self, mut listener: ListeningSocket) -> io::Result<()> {
        let token = Token(FIRST_LISTENER - self.listeners.len());
        self.poll
            .registry()
            .register(&mut listener.socket, token, Interest::READABLE)?;
        self.listeners.push(listener);
        Ok(())
    }

    /// Stops on SIGINT and SIGTERM.
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

    /// Calls [`Role::on_external_event`] whenever `outside` becomes readable.
    ///
    /// # Errors
    /// It cannot be watched.
    pub fn watch_outside(&mut self, outside: OwnedFd) -> io::Result<()> {
        let descriptor = outside.as_raw_fd();
        self.poll
            .registry()
            .register(&mut SourceFd(&descriptor), OUTSIDE, Interest::READABLE)?;
        self.outside = Some(outside);
        Ok(())
    }

    /// A way for other threads to reach this loop.
    pub fn handle(&self) -> Handle<R::Message> {
        self.handle.clone()
    }

    /// RunsJobs until the role is done or the loop is told to stop.
    ///
    /// # Errors
    /// The system's poll fails.
    pub fn run(mut self) -> io::Result<(R, LoopOutcome)> {
        let mut events = Events::with_capacity(EVENTS);
        self.now = Instant::now();
        self.call_role(R::start);
        self.reap();
        loop {
            if let Some(outcome) = self.outcome() {
                return Ok((self.role, outcome));
            }
            let patience = self.patience();
            match self.poll.poll(&mut events, patience) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            }
            self.now = Instant::now();
            let noted = self.note(&events);
            self.act(noted);
            self.reap();
        }
    }

    /// How long to wait for the next event.
    fn patience(&mut self) -> Option<Duration> {
        let accepting = self.listeners.iter().any(|l| l.may_accept(self.now));
        // What the last reap has brought about is dealt with by the next one, so
        // that a long row of failures does not hold the loop.
        let to_reap = !self.ended.is_empty() || !self.failed_dials.is_empty();
        let arriving = self.sockets.iter().any(DatagramSocket::is_ready);
        let has_work = self.role.has_work();
        if !self.run_queue.is_empty() || accepting || arriving || to_reap || has_work {
            return Some(Duration::ZERO);
        }
        let drain = match self.stopping {
            Stopping::Draining(until, _) => Some(until),
            Stopping::No | Stopping::Now(_) => None,
        };
        let retry = self.listeners.iter().filter_map(|l| l.retry_at).min();
        let due = [self.timers.next(), self.role.next_deadline(), retry, drain]
            .into_iter()
            .flatten()
            .min()?;
        self.alarm.set(due)
    }

    /// Remembers what the events say, and does nothing else.
    fn note(&mut self, events: &Events) -> PendingEvents {
        let mut noted = PendingEvents::default();
        for event in events {
            match event.token() {
                WAKER => {}
                SIGNALS => noted.signal = true,
                OUTSIDE => noted.outside = true,
                ALARM => self.alarm.rang(),
                Token(token) if token > LAST_LISTENER => {
                    if let Some(listener) = self.listeners.get_mut(FIRST_LISTENER - token) {
                        listener.ready = true;
                    }
                }
                Token(token) if token > LAST_SOCKET => {
                    if let Some(socket) = self.sockets.get_mut(FIRST_SOCKET - token) {
                        socket.note();
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
        noted
    }

    fn act(&mut self, noted: PendingEvents) {
        self.accept();
        self.take_turns();
        self.read_datagrams();
        for _ in 0..AT_ONCE {
            let Some(slot) = self.timers.take_due(self.now) else {
                break;
            };
            self.too_late(slot);
        }
        let is_due = |due| due <= self.now;
        if self.role.has_work() || self.role.next_deadline().is_some_and(is_due) {
            self.call_role(R::on_timer);
        }
        self.read_letters();
        if noted.outside {
            self.call_role(R::on_external_event);
        }
        if noted.signal {
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
                    self.gate.leave(conn.peer.ip);
                } else {
                    self.refused -= 1;
                }
                self.traffic.open = self.gate.open() as u64;
            }
            let end = conn.take_end();
            conn.log_end(&end, self.age());
            let session = conn.session.take();
            // The descriptor is free before the role may want another.
            drop(conn);
            if let Some(session) = session {
                self.call_role(|role, turn| role.on_close(turn, session, &end));
            }
        }
        for (session, end) in std::mem::take(&mut self.failed_dials) {
            self.call_role(|role, turn| role.on_close(turn, session, &end));
        }
        if freed {
            self.listeners
                .iter_mut()
                .for_each(ListeningSocket::retry_now);
        }
    }

    /// Nanoseconds since the loop began: they last for 584 years.
    fn age(&self) -> u64 {
        self.now.saturating_duration_since(self.started).as_nanos() as u64
    }

    fn enqueue(&mut self, slot: usize) {
        if let Some(conn) = self.connections.get_mut(slot)
            && !conn.queued
        {
            conn.queued = true;
            self.run_queue.push_back(slot);
        }
    }

    fn read_letters(&mut self) {
        for _ in 0..AT_ONCE {
            match self.letters.try_recv() {
                Ok(ReactorCommand::Message(message)) => {
                    self.call_role(|role, turn| role.on_message(turn, message));
                }
                Ok(ReactorCommand::Stop) => self.stop(),
                Err(_) => return,
            }
        }
        // There may be more, and the waker has been heard already.
        if let Err(error) = self.handle.wake() {
            warn!("the loop cannot wake itself: {error}");
        }
    }
}
