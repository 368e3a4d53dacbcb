//! The rounds of the loop: wait, record, act, reap.

use std::io;
use std::time::{Duration, Instant};

use log::warn;
use mio::{Events, Token};

use crate::reactor::connection::Origin;
use crate::reactor::handle::ReactorCommand;
use crate::reactor::shutdown::{LoopOutcome, Stopping};
use crate::reactor::transport::{StreamEvent, Transport};
use crate::reactor::{
    DatagramSocket, EXTERNAL, FIRST_LISTENER, FIRST_SOCKET, Reactor, SIGNALS, TIMER, WAKER,
};
use crate::role::{ConnId, Role};

/// Events fetched by one poll.
const EVENT_CAPACITY: usize = 1024;
/// The most deadlines, and the most commands, handled in one round.
const MAX_PER_ROUND: usize = 1024;
/// The longest time of a round for the work of the role itself.
const MAX_OWN_WORK: Duration = Duration::from_millis(10);

impl<R: Role, T: Transport<R::File>> Reactor<R, T> {
    /// Runs until the role finishes or the loop is stopped.
    ///
    /// # Errors
    /// The system's poll fails.
    pub fn run(mut self) -> io::Result<(R, LoopOutcome)> {
        let mut events = Events::with_capacity(EVENT_CAPACITY);
        self.set_now(self.clock.now());
        self.call_role(R::start);
        self.reap();
        loop {
            if let Some(outcome) = self.outcome() {
                return Ok((self.role, outcome));
            }
            let timeout = self.poll_timeout();
            match self.poll.poll(&mut events, timeout) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other?,
            }
            self.record_events(&events);
            self.run_round(self.clock.now());
        }
    }

    /// Acts on everything that the recorded events and the time `now` allow, and reaps the
    /// closed connections. Does not wait.
    pub fn run_round(&mut self, now: Instant) {
        self.set_now(now);
        self.renew_secret();
        self.accept();
        self.take_turns();
        self.limit_memory();
        self.read_datagrams();
        self.fire_deadlines();
        let is_due = |due| due <= self.now;
        if self.role.has_work() || self.role.next_deadline().is_some_and(is_due) {
            self.run_timer();
        }
        if std::mem::take(&mut self.is_signal_pending) {
            self.read_signals();
        }
        self.read_commands();
        if std::mem::take(&mut self.is_external_ready) {
            self.call_role(R::on_external_event);
        }
        match self.stopping {
            Stopping::Draining { until, .. } if until <= self.now => self.abort_all(),
            Stopping::Now(_) => self.end_streams(),
            Stopping::No | Stopping::Draining { .. } => {}
        }
        self.reap();
    }

    /// Lets the role do its own work for as long as the round has taken so far. A search takes a
    /// step in each call, so with a single call connections that are always busy would delay it.
    fn run_timer(&mut self) {
        let started = self.clock.now();
        let time = started
            .saturating_duration_since(self.now)
            .min(MAX_OWN_WORK);
        loop {
            self.call_role(R::on_timer);
            let spent = self.clock.now().saturating_duration_since(started);
            if !self.role.has_work() || spent >= time {
                return;
            }
        }
    }

    /// Whether another round has work to do at the same time, without another event.
    pub fn has_work(&self) -> bool {
        // Failures caused by the last reap wait for the next one, so that a long row
        // of failures does not hold up the loop.
        let to_reap = !self.closed.is_empty() || !self.failed_connects.is_empty();
        to_reap
            || self.addresses.has_due()
            || self.role.has_work()
            || self.listeners.iter().any(|l| l.may_accept(self.now))
            || self.sockets.iter().any(DatagramSocket::is_ready)
    }

    /// The timeout of the next poll; `None` waits for an event.
    fn poll_timeout(&mut self) -> Option<Duration> {
        if self.has_work() {
            return Some(Duration::ZERO);
        }
        let drain = match self.stopping {
            Stopping::Draining { until, .. } => Some(until),
            Stopping::No | Stopping::Now(_) => None,
        };
        let retry = self.listeners.iter().filter_map(|l| l.retry_at).min();
        let due = [self.timers.next(), self.role.next_deadline(), retry, drain]
            .into_iter()
            .flatten()
            .min()?;
        self.timer.set(due, &self.clock)
    }

    /// Records what the events report, and does nothing else.
    fn record_events(&mut self, events: &Events) {
        for event in events {
            match event.token() {
                WAKER => {}
                SIGNALS => self.is_signal_pending = true,
                EXTERNAL => self.is_external_ready = true,
                TIMER => self.timer.on_fired(),
                Token(token) if token >= FIRST_LISTENER => {
                    if let Some(listener) = self.listeners.get_mut(token - FIRST_LISTENER) {
                        listener.ready = true;
                    }
                }
                Token(token) if token >= FIRST_SOCKET => {
                    if let Some(socket) = self.sockets.get_mut(token - FIRST_SOCKET) {
                        socket.ready = true;
                    }
                }
                connection => self.record_event(connection, event.into()),
            }
        }
    }

    /// Records what an event reports about the connection that was registered with this
    /// token, and queues its turn if there may be something to do in it: each new connection
    /// becomes writable once, with nothing to send.
    pub fn record_event(&mut self, Token(slot): Token, event: StreamEvent) {
        if let Some(conn) = self.connections.get_mut(slot) {
            conn.readiness.record(event);
            if conn.may_progress() {
                self.enqueue(slot);
            }
        }
    }

    /// Closes the connections whose deadline has passed, a bounded number a round.
    pub(super) fn fire_deadlines(&mut self) {
        for _ in 0..MAX_PER_ROUND {
            let Some(slot) = self.timers.take_due(self.now) else {
                break;
            };
            self.on_deadline(slot);
        }
    }

    /// Removes the closed connections, and calls the role for each.
    pub(super) fn reap(&mut self) {
        let mut freed = false;
        while let Some(slot) = self.closed.pop() {
            let Some(conn) = self.connections.try_remove(slot) else {
                continue;
            };
            freed = true;
            self.timers.clear(slot);
            self.cancel_pacing(slot);
            let serial = conn.serial;
            let id = ConnId {
                slot: slot as u32,
                serial,
            };
            self.out.set_full(id, false);
            if conn.origin == Origin::Inbound {
                if conn.session.is_some() {
                    self.addresses.release(conn.group);
                } else {
                    self.open_refusals -= 1;
                }
                self.traffic.open = self.addresses.open() as u64;
            }
            // The descriptor must be free before the role opens another one.
            self.log_end(&conn);
            if let (Some(session), reason) = conn.into_session() {
                self.call_role(|role, context| role.on_close(context, session, &reason));
            }
        }
        for (session, reason) in std::mem::take(&mut self.failed_connects) {
            self.call_role(|role, context| role.on_close(context, session, &reason));
        }
        debug_assert!(!self.connections.is_empty() || self.memory.own() == 0);
        if freed {
            // The next attempt to accept need not wait.
            self.listeners.iter_mut().for_each(|l| l.retry_at = None);
        }
    }

    fn read_commands(&mut self) {
        for _ in 0..MAX_PER_ROUND {
            match self.commands.try_recv() {
                Ok(ReactorCommand::Message(message)) => {
                    self.call_role(|role, context| role.on_message(context, message));
                }
                Ok(ReactorCommand::AddRelay(tls)) => self.connectors.add_relay(tls),
                Ok(ReactorCommand::Stop) => self.stop(),
                Ok(ReactorCommand::Ping(answer)) => {
                    // Those that have arrived in this round, too: their event comes with the next
                    // one, in which the loop may be blocked.
                    self.read_signals();
                    // The other thread may have given up.
                    let _ = answer.send(());
                }
                Err(_) => return,
            }
        }
        // More commands may wait, and the event of the waker is already consumed.
        if let Err(error) = self.handle.waker.wake() {
            warn!("cannot wake the loop: {error}");
        }
    }
}
