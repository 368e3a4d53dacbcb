//! The turns of the connections: write what waits, read, let the role hear, write
//! its answers at once.

use std::ops::Range;
use std::os::fd::AsFd;

use crate::close_reason::CloseReason;
use crate::protocol::TLS_FIRST_BYTE;
use crate::reactor::Reactor;
use crate::reactor::connection::{LineSeen, Phase, Received, RoleWait};
use crate::reactor::shutdown::Stopping;
use crate::role::{ConnId, Context, FramingError, Input, ReadNext, Role};
use crate::session::inbox::Piece;

/// Pieces of input that one connection may have handled in one turn.
const PIECES_PER_TURN: usize = 4096;
/// So many bytes of answers count as one more piece.
const BYTES_PER_PIECE: u64 = 1024;
/// Connections whose turns are taken together.
const BATCH: usize = 64;
/// No read has less room: else those that are left have their turns in the next batch.
const MIN_READ: usize = 4096;

/// A turn of which the answers are still to come.
pub(super) struct PendingTurn {
    slot: usize,
    /// Where in the buffer of all reads is what it said.
    arrived: Range<usize>,
    /// What had been moved before it.
    before: (u64, u64),
}

impl<R: Role> Reactor<R>
where
    R::File: AsFd,
{
    /// Gives each connection that waits in the run queue its turn, many together:
    /// what all of them say is read, and counted, before the first is answered, so
    /// that the role can look ahead, or outside, once for all of them.
    pub(super) fn take_turns(&mut self) {
        // Out of `self` while the role hears.
        let mut read_buffer = std::mem::take(&mut self.read_buffer);
        let mut turns = std::mem::take(&mut self.turns);
        let mut left = self.run_queue.len();
        while left > 0 {
            let mut read = 0;
            while left > 0 && turns.len() < BATCH && read_buffer.len() - read >= MIN_READ {
                left -= 1;
                // Who has ended since it was queued has no turn, nor has the next
                // one in its place a second one.
                if let Some(slot) = self.run_queue.pop_front()
                    && let Some(conn) = self.connections.get(slot).filter(|conn| conn.is_queued)
                {
                    let before = conn.moved();
                    let length = self.flush_and_read(slot, &mut read_buffer[read..]);
                    let arrived = read..read + length;
                    read = arrived.end;
                    turns.push(PendingTurn {
                        slot,
                        arrived,
                        before,
                    });
                }
            }
            self.role.prefetch(turns.iter().map(|turn| {
                let peer = self.connections[turn.slot].peer;
                (peer.into(), &read_buffer[turn.arrived.clone()])
            }));
            for turn in turns.drain(..) {
                self.handle_context(turn.slot, &read_buffer[turn.arrived]);
                self.finish_turn(turn.slot, turn.before);
            }
        }
        self.turns = turns;
        self.read_buffer = read_buffer;
    }

    /// Writes what waits and reads once. Returns how many bytes there are to hear.
    fn flush_and_read(&mut self, slot: usize, read_buffer: &mut [u8]) -> usize {
        let conn = &mut self.connections[slot];
        conn.is_queued = false;
        let before = conn.bytes_out;
        let flushed = match conn.phase {
            Phase::Open | Phase::Closing => conn.flush(),
            Phase::Lingering => {
                self.linger(slot, read_buffer);
                return 0;
            }
            Phase::Connecting | Phase::Closed => return 0,
        };
        self.traffic.bytes_out += conn.bytes_out - before;
        let has_room = conn.outbox.queued() < self.settings.limits.max_queue as u64;
        let received = match flushed {
            Ok(()) if has_room && conn.may_receive() => conn.receive(read_buffer),
            other => other.map(|()| Received::Nothing),
        };
        match received {
            Ok(Received::Bytes(length)) => {
                self.traffic.reads += 1;
                return length;
            }
            Ok(Received::Nothing | Received::EndOfInput) => {}
            Err(reason) => self.mark_closed(slot, reason),
        }
        0
    }

    /// Lets the role hear what arrived, and what waited to be input.
    fn handle_context(&mut self, slot: usize, arrived: &[u8]) {
        let conn = &self.connections[slot];
        match conn.phase {
            Phase::Connecting => self.finish_connect(slot),
            Phase::Open if conn.role_wait == RoleWait::Over => self.resume(slot),
            Phase::Open | Phase::Closing | Phase::Lingering | Phase::Closed => {}
        }
        let conn = &self.connections[slot];
        debug_assert!(
            arrived.is_empty() || conn.phase != Phase::Open || conn.role_wait == RoleWait::No,
            "what a peer said is lost"
        );
        if conn.phase == Phase::Open && conn.role_wait == RoleWait::No {
            if conn.has_backlog || !arrived.is_empty() {
                self.handle_input(slot, arrived);
            } else if conn.is_at_eof {
                self.on_end_of_input(slot);
            }
        }
        self.shut_down_if_flushed(slot);
    }

    /// Counts what was moved since `before`, sets the connection's deadline and
    /// queues it again if there is more to do.
    pub(super) fn finish_turn(&mut self, slot: usize, before: (u64, u64)) {
        let Some(conn) = self.connections.get_mut(slot) else {
            return;
        };
        let after = conn.moved();
        let moved = (after.0 - before.0, after.1 - before.1);
        self.traffic.bytes_in += moved.0;
        let may_write = conn.writable && !conn.outbox.is_empty();
        let has_room = conn.outbox.queued() < self.settings.limits.max_queue as u64;
        let may_read = conn.readable || conn.has_backlog || conn.is_at_eof;
        let again = match conn.phase {
            Phase::Open => may_write || (has_room && may_read && conn.role_wait == RoleWait::No),
            Phase::Closing => may_write,
            Phase::Lingering => conn.readable,
            Phase::Connecting | Phase::Closed => false,
        };
        if again {
            self.enqueue(slot);
        }
        self.set_deadline(slot, moved);
    }

    fn finish_connect(&mut self, slot: usize) {
        let conn = &mut self.connections[slot];
        match conn.connect_result() {
            Err(reason) => self.mark_closed(slot, reason),
            Ok(false) => {}
            Ok(true) => {
                conn.writable = true;
                let next = self.on_input(slot, Input::Connected);
                self.apply();
                if let ReadNext::Close(reason) = next {
                    self.close(slot, reason);
                }
            }
        }
    }

    /// Cuts what arrived into pieces and lets the role hear each, as long as not
    /// too many answers wait.
    fn handle_input(&mut self, slot: usize, arrived: &[u8]) {
        let mut pieces = PIECES_PER_TURN;
        let max_line = self.settings.limits.max_line;
        let max_queue = self.settings.limits.max_queue as u64;
        let mut unread = self.connections[slot].inbox.open(arrived);
        let mut has_backlog = true;
        let mut close = None;
        while pieces > 0 && self.connections[slot].outbox.queued() < max_queue {
            has_backlog = false;
            // One batch: its answers leave together.
            while close.is_none() {
                if pieces == 0 || self.out.queued() >= max_queue {
                    has_backlog = true;
                    break;
                }
                pieces -= 1;
                let is_tls = self.connections[slot].line_seen == LineSeen::Never
                    && unread.unfinished().first() == Some(&TLS_FIRST_BYTE);
                let input = match unread.next(max_line) {
                    // TLS has no lines: who waits for the end of one waits in vain.
                    _ if is_tls => Input::Line(&[TLS_FIRST_BYTE]),
                    None => break,
                    Some(Piece::Line(line)) => {
                        let conn = &mut self.connections[slot];
                        conn.line_seen = LineSeen::ThisTurn;
                        Input::Line(line)
                    }
                    Some(Piece::Body(bytes)) => Input::Body(bytes),
                    Some(Piece::TooLong) => Input::FramingError(FramingError::LineTooLong),
                };
                match self.on_input(slot, input) {
                    ReadNext::Line => {}
                    ReadNext::Body(length) => unread.expect_body(length),
                    ReadNext::Wait => {
                        self.connections[slot].role_wait = RoleWait::Yes;
                        has_backlog = true;
                        break;
                    }
                    ReadNext::Close(reason) => close = Some(reason),
                }
            }
            // Long answers take their share of the turn as well.
            pieces = pieces.saturating_sub((self.out.queued() / BYTES_PER_PIECE) as usize);
            self.apply();
            let conn = &self.connections[slot];
            if !has_backlog || conn.role_wait != RoleWait::No || conn.phase != Phase::Open {
                break;
            }
        }
        let conn = &mut self.connections[slot];
        conn.has_backlog = has_backlog && !unread.is_empty();
        if let Some(reason) = close {
            self.close(slot, reason);
        } else {
            conn.inbox.keep(unread);
        }
    }

    /// The role has the answer that the peer waits for.
    fn resume(&mut self, slot: usize) {
        self.connections[slot].role_wait = RoleWait::No;
        let next = self.on_input(slot, Input::Resumed);
        self.apply();
        match next {
            ReadNext::Close(reason) => self.close(slot, reason),
            ReadNext::Line | ReadNext::Body(_) | ReadNext::Wait => {
                if !matches!(self.stopping, Stopping::No) {
                    self.close(slot, CloseReason::Shutdown);
                }
            }
        }
    }

    /// The peer will say no more, and everything it said was input.
    pub(super) fn on_end_of_input(&mut self, slot: usize) {
        if self.connections[slot].inbox.is_empty() {
            self.close(slot, CloseReason::EndOfInput);
        } else {
            self.on_framing_error(slot, FramingError::UnexpectedEof);
        }
    }

    pub(super) fn on_framing_error(&mut self, slot: usize, fault: FramingError) {
        let next = self.on_input(slot, Input::FramingError(fault));
        self.apply();
        let reason = match next {
            ReadNext::Close(reason) => reason,
            ReadNext::Line | ReadNext::Body(_) | ReadNext::Wait => CloseReason::EndOfInput,
        };
        self.close(slot, reason);
        self.shut_down_if_flushed(slot);
    }

    pub(super) fn on_input(&mut self, slot: usize, input: Input<'_>) -> ReadNext {
        let conn = &mut self.connections[slot];
        let id = ConnId {
            slot: slot as u32,
            serial: conn.serial,
        };
        let Some(session) = &mut conn.session else {
            return ReadNext::Close(CloseReason::EndOfInput);
        };
        let mut context = Context {
            now: self.now,
            traffic: &self.traffic,
            out: &mut self.out,
        };
        self.role
            .on_input(&mut context, id, conn.peer.into(), session, input)
    }
}
