//! The turns of the connections: flush the outbox, read, call the role, send its
//! answers at once.

use std::ops::Range;

use crate::close_reason::CloseReason;
use crate::reactor::Reactor;
use crate::reactor::address_groups::ROUND_WORK;
use crate::reactor::connection::{Connection, Origin, Pacing, Phase};
use crate::reactor::deadlines::TurnProgress;
use crate::reactor::shutdown::Stopping;
use crate::reactor::transport::Transport;
use crate::role::{ConnId, Context, Input, LastRequest, ReadNext, Role};
use crate::session::driver::{DrivenConnection, InputDriver, ReadState, TurnLimits, TurnReport};
use crate::tls::TlsAcceptor;
use crate::wall_clock;

/// Connections whose turns form a batch.
const BATCH: usize = 64;
/// The most addresses of a batch: each may do some work, although the batch is read before any of
/// it counts.
const BATCH_ADDRESSES: usize = 16;
/// The least room for a read: with less, the next connection starts another batch.
const MIN_READ: usize = 4096;

/// The system calls of a turn count as much work as so many short lines.
const TURN_WORK: usize = 8;
/// Bytes that are read for each unit of work that may be done: as many as a short line has.
const READ_BYTES: usize = 64;
/// Bytes flushed or read that count as much work as a short line.
pub(super) const MOVED_BYTES: usize = 4096;
/// The same for bytes of TLS records that are no content: each record has at least 22 of them,
/// and one that changes keys takes longer than a short line.
const OVERHEAD_BYTES: usize = 16;

/// A turn whose input is read and not handled yet.
pub(super) struct PendingTurn {
    slot: usize,
    /// It is the first one of its address in this round.
    is_first: bool,
    /// The position of its input in the read buffer.
    arrived: Range<usize>,
    /// The bytes that the connection had moved before.
    before: (u64, u64),
    /// What has happened, once it is handled.
    report: TurnReport,
}

impl<S, F, T> Connection<S, F, T> {
    /// Whether an event may have made a turn useful. What else a connection waits for queues its
    /// turn by itself.
    pub(super) fn may_progress(&self) -> bool {
        !matches!(self.phase, Phase::Open(_)) || self.readiness.readable || self.has_output()
    }
}

impl<R: Role, T: Transport<R::File>> Reactor<R, T> {
    /// Gives each connection in the run queue its turn. Reads for a whole batch of
    /// connections first, and handles the input afterwards, so that the role can
    /// prefetch for the batch.
    pub(super) fn take_turns(&mut self) {
        // Moved out of `self` while the role borrows them.
        let mut read_buffer = std::mem::take(&mut self.read_buffer);
        let mut turns = std::mem::take(&mut self.turns);
        self.addresses.start_round(match self.role.has_work() {
            // The other half of the round is for the work of the role itself.
            true => ROUND_WORK / 2,
            false => ROUND_WORK,
        });
        loop {
            self.read_turns(&mut turns, &mut read_buffer);
            if turns.is_empty() {
                break;
            }
            self.role.prefetch(turns.iter().map(|turn| {
                let peer = self.connections[turn.slot].peer;
                (peer.into(), &read_buffer[turn.arrived.clone()])
            }));
            let mut requests = 0;
            for turn in &mut turns {
                let arrived = &read_buffer[turn.arrived.clone()];
                turn.report = self.handle_turn(turn.slot, arrived, turn.is_first);
                if self.connections[turn.slot].origin == Origin::Inbound {
                    requests += turn.report.lines;
                }
            }
            // Those that have to wait for another turn have it before the others.
            turns.sort_by_key(|turn| turn.report.work > 0);
            for turn in turns.drain(..) {
                self.finish_turn(turn.slot, turn.before, turn.report);
            }
            // The time is read once for a batch: it would cost too much for each request.
            if requests > 0 {
                let time = self.clock.now().saturating_duration_since(self.now);
                self.traffic.answer_times.record(time, requests);
            }
        }
        self.turns = turns;
        self.read_buffer = read_buffer;
    }

    /// Begins the turns of a batch: reads the input of each connection.
    fn read_turns(&mut self, turns: &mut Vec<PendingTurn>, read_buffer: &mut [u8]) {
        let (mut read, mut addresses) = (0, 0);
        while turns.len() < BATCH
            && addresses < BATCH_ADDRESSES
            && read_buffer.len() - read >= MIN_READ
        {
            let Some((slot, is_first)) = self.addresses.pop() else {
                return;
            };
            addresses += usize::from(is_first);
            // Skips entries of removed connections. A new connection in the slot has
            // one turn only: the turn clears `is_queued`.
            if let Some(conn) = self.connections.get(slot).filter(|conn| conn.is_queued) {
                let (before, group) = (conn.bytes_moved(), conn.group);
                let start = read;
                let end = start + self.most_to_read(slot, read_buffer.len() - start);
                read += self.flush_and_read(slot, &mut read_buffer[start..end]);
                let conn = &mut self.connections[slot];
                let after = conn.bytes_moved();
                let moved = (after.0 - before.0) + (after.1 - before.1);
                let overhead = conn.tls.as_mut().map_or(0, |tls| tls.take_overhead());
                let work = moved as usize / MOVED_BYTES + overhead / OVERHEAD_BYTES;
                // At once: a batch must not move much for each of many connections.
                self.addresses.charge(group, work);
                turns.push(PendingTurn {
                    slot,
                    is_first,
                    arrived: start..read,
                    before,
                    report: TurnReport::default(),
                });
            }
        }
    }

    /// The most bytes of a read. A peer that connected to us is not read beyond the work that its
    /// address may do: the rest would wait in our memory.
    fn most_to_read(&self, slot: usize, room: usize) -> usize {
        let conn = &self.connections[slot];
        match conn.origin {
            Origin::Outbound => room,
            Origin::Inbound => {
                let work = self.addresses.work_left(conn.group, false);
                let bytes = match conn.tls {
                    None => READ_BYTES,
                    // Perhaps no record has content.
                    Some(_) => OVERHEAD_BYTES,
                };
                room.min((work * bytes).max(MIN_READ))
            }
        }
    }

    /// Flushes the outbox and reads once. Returns the number of bytes to handle.
    fn flush_and_read(&mut self, slot: usize, read_buffer: &mut [u8]) -> usize {
        let now = self.age;
        let conn = &mut self.connections[slot];
        conn.is_queued = false;
        let (before, usage) = (conn.bytes_out, conn.usage());
        let flushed = match conn.phase {
            Phase::Open(_) | Phase::Closing(_) if conn.pacing == Pacing::Sending => {
                self.flush_paced(slot)
            }
            Phase::Open(_) | Phase::Closing(_) => conn.flush(now),
            Phase::Lingering(_) => {
                self.linger(slot, read_buffer);
                return 0;
            }
            Phase::Connecting | Phase::Closed(_) => return 0,
        };
        let conn = &mut self.connections[slot];
        self.traffic.bytes_out += conn.bytes_out - before;
        let has_room = conn.outbox.queued() < self.settings.limits.max_queue as u64;
        let received = match flushed.and_then(|()| conn.check_receiver()) {
            Ok(()) if has_room && conn.may_receive() => match conn.pacing {
                Pacing::Receiving => self.receive_paced(slot, read_buffer),
                Pacing::None | Pacing::Sending => conn.receive(read_buffer),
            },
            other => {
                if conn.pacing == Pacing::Receiving {
                    self.cancel_pacing(slot);
                }
                other.map(|()| None)
            }
        };
        let received = self.receive_tls(slot, received, read_buffer);
        let conn = &mut self.connections[slot];
        let (group, new_usage) = (conn.group, conn.usage());
        let (mut arrived, mut failure) = (0, None);
        match received {
            Ok(None) => {}
            Ok(Some(0)) => {
                if let Some(driver) = conn.driver() {
                    driver.end_input();
                }
            }
            Ok(Some(length)) => {
                self.traffic.reads += 1;
                arrived = length;
            }
            Err(reason) => failure = Some(reason),
        }
        self.count_memory(group, usage, new_usage);
        if let Some(reason) = failure {
            self.close_now(slot, reason);
        }
        arrived
    }

    /// Handles `arrived`, and the input that earlier turns have stored. It is stored as well if
    /// others at the address have done the work of the round, unless the turn `is_first`.
    fn handle_turn(&mut self, slot: usize, arrived: &[u8], is_first: bool) -> TurnReport {
        let report = match self.connections[slot].phase {
            Phase::Connecting => {
                self.finish_connect(slot);
                TurnReport::default()
            }
            Phase::Open(_) => self.drive(slot, |conn| {
                conn.is_first = is_first;
                let report = InputDriver::run(conn, arrived);
                // At once: the next turn of the batch may do less.
                let group = conn.reactor.connections[slot].group;
                conn.reactor.addresses.charge(group, report.work);
                report
            }),
            Phase::Closing(_) | Phase::Lingering(_) | Phase::Closed(_) => TurnReport::default(),
        };
        self.linger_if_flushed(slot);
        report
    }

    /// Counts the work and the bytes moved since `before`, sets the connection's deadline,
    /// and queues the connection again if more can be done at once.
    pub(super) fn finish_turn(&mut self, slot: usize, before: (u64, u64), report: TurnReport) {
        let Some(conn) = self.connections.get_mut(slot) else {
            return;
        };
        let after = conn.bytes_moved();
        let progress = TurnProgress {
            bytes_in: after.0 - before.0,
            bytes_out: after.1 - before.1,
            has_line: report.lines > 0,
        };
        self.addresses.charge(conn.group, TURN_WORK);
        self.traffic.bytes_in += progress.bytes_in;
        if !conn.is_full(self.settings.limits.max_queue) {
            let serial = conn.serial;
            let slot = slot as u32;
            self.out.set_full(ConnId { slot, serial }, false);
        }
        let conn = &self.connections[slot];
        let pacing = match self.paced_until(slot) {
            Some(_) => conn.pacing,
            None => Pacing::None,
        };
        let may_write = conn.readiness.writable && conn.has_output() && pacing != Pacing::Sending;
        let has_room = conn.outbox.queued() < self.settings.limits.max_queue as u64;
        let has_more = match &conn.phase {
            Phase::Open(driver)
                if driver.state() == ReadState::Flushing && conn.outbox.is_empty() =>
            {
                // A long answer goes on.
                self.enqueue_again(slot);
                false
            }
            Phase::Open(driver) => {
                let may_read = match driver.state() {
                    ReadState::NeedsInput => conn.readiness.readable && pacing != Pacing::Receiving,
                    ReadState::Backlogged | ReadState::AtEof => true,
                    // The action that resumes a connection queues it.
                    ReadState::Flushing | ReadState::AwaitingRole | ReadState::Resumable => false,
                };
                may_write || (has_room && may_read)
            }
            Phase::Closing(_) => may_write,
            Phase::Lingering(_) => conn.readiness.readable,
            Phase::Connecting | Phase::Closed(_) => false,
        };
        if has_more {
            self.enqueue(slot);
        }
        self.set_deadline(slot, &progress);
    }

    /// Lets the driver of a connection handle input. The stored input is counted as memory
    /// before and after, and not while the driver works on it.
    pub(super) fn drive<V>(
        &mut self,
        slot: usize,
        act: impl FnOnce(&mut ConnectionInSlot<'_, R, T>) -> V,
    ) -> V {
        self.set_handling_input(slot, true);
        let value = act(&mut ConnectionInSlot {
            reactor: self,
            slot,
            is_first: false,
        });
        self.set_handling_input(slot, false);
        value
    }

    fn set_handling_input(&mut self, slot: usize, is_handling_input: bool) {
        let conn = &mut self.connections[slot];
        let usage = conn.usage();
        conn.is_handling_input = is_handling_input;
        let (group, new_usage) = (conn.group, conn.usage());
        self.count_memory(group, usage, new_usage);
    }
}

/// A connection as its driver sees it.
pub(super) struct ConnectionInSlot<'a, R: Role, T> {
    reactor: &'a mut Reactor<R, T>,
    slot: usize,
    /// The turn is the first one of its address in this round.
    is_first: bool,
}

impl<R: Role, T: Transport<R::File>> DrivenConnection for ConnectionInSlot<'_, R, T> {
    fn limits(&self) -> TurnLimits {
        let reactor = &self.reactor;
        let limits = &reactor.settings.limits;
        let conn = &reactor.connections[self.slot];
        let (group, origin) = (conn.group, conn.origin);
        TurnLimits {
            max_line: limits.max_line,
            max_head: (reactor.settings.speaks_http && origin == Origin::Inbound)
                .then_some(limits.max_head),
            max_queue: limits.max_queue as u64,
            max_work: reactor.addresses.work_left(group, self.is_first),
            lacks_tls: conn.tls.is_none()
                && origin == Origin::Inbound
                && (reactor.settings.tls.as_ref()).is_some_and(TlsAcceptor::is_required),
            is_draining: !matches!(reactor.stopping, Stopping::No),
        }
    }

    fn driver(&mut self) -> Option<&mut InputDriver> {
        self.reactor.connections[self.slot].driver()
    }

    fn on_input(&mut self, input: Input<'_>) -> ReadNext {
        let reactor = &mut *self.reactor;
        let conn = &mut reactor.connections[self.slot];
        let id = ConnId {
            slot: self.slot as u32,
            serial: conn.serial,
        };
        let Some(session) = &mut conn.session else {
            return ReadNext::Close(CloseReason::EndOfInput);
        };
        let files = reactor.out.pending_files();
        reactor.traffic.are_files_exhausted = !reactor.addresses.may_open_file(conn.group, files);
        let mut context = Context {
            now: reactor.now,
            wall_clock: wall_clock::now,
            traffic: &reactor.traffic,
            out: &mut reactor.out,
        };
        let peer = conn.peer.into();
        let next = reactor
            .role
            .on_input(&mut context, id, peer, session, input);
        if reactor.out.pending_files() > files {
            let request = conn.session.as_ref().and_then(R::last_request);
            reactor
                .out
                .set_file_request(request.and_then(LastRequest::for_file));
        }
        if reactor.throttle.is_some() {
            reactor.set_pacing(self.slot);
        }
        next
    }

    fn unapplied_bytes(&self) -> u64 {
        self.reactor.out.queued()
    }

    fn take_work(&mut self) -> usize {
        self.reactor.out.take_work()
    }

    fn apply(&mut self) {
        self.reactor.apply();
    }

    fn queued_bytes(&self) -> u64 {
        self.reactor.connections[self.slot].outbox.queued()
    }

    fn start_closing(&mut self, reason: CloseReason) {
        self.reactor.start_closing(self.slot, reason);
    }
}
