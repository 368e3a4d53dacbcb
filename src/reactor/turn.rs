//! The turns of the connections: write what waits, read, let the role hear, write
//! its answers at once.

use std::ops::Range;
use std::os::fd::AsFd;

use crate::close_reason::CloseReason;
use crate::protocol::TLS_FIRST_BYTE;
use crate::reactor::Reactor;
use crate::reactor::connection::{Phase, Received, Spoke, Waiting};
use crate::reactor::shutdown::Stopping;
use crate::role::{ConnId, Context, FramingError, Input, ReadNext, Role};
use crate::session::inbox::Piece;

/// Pieces of input that one connection may have handled in one turn.
const PIECES: usize = 4096;
/// So many bytes of answers count as one more piece.
const BYTES_A_PIECE: u64 = 1024;
/// Connections whose turns are taken together.
const TOGETHER: usize = 64;
/// No read has less room: else those that are left have their turns in the next batch.
const LEAST_READ: usize = 4096;

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
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut begun = std::mem::take(&mut self.begun);
        let mut left = self.run_queue.len();
        while left > 0 {
            let mut read = 0;
            while left > 0 && begun.len() < TOGETHER && scratch.len() - read >= LEAST_READ {
                left -= 1;
                // Who has ended since it was queued has no turn, nor has the next
                // one in its place a second one.
                if let Some(slot) = self.run_queue.pop_front()
                    && let Some(conn) = self.connections.get(slot).filter(|conn| conn.queued)
                {
                    let before = conn.moved();
                    let length = self.begin_turn(slot, &mut scratch[read..]);
                    let arrived = read..read + length;
                    read = arrived.end;
                    begun.push(PendingTurn {
                        slot,
                        arrived,
                        before,
                    });
                }
            }
            self.role.prefetch(begun.iter().map(|turn| {
                let peer = self.connections[turn.slot].peer;
                (peer.into(), &scratch[turn.arrived.clone()])
            }));
            for turn in begun.drain(..) {
                self.answer(turn.slot, &scratch[turn.arrived]);
                self.after_turn(turn.slot, turn.before);
            }
        }
        self.begun = begun;
        self.scratch = scratch;
    }

    /// Writes what waits and reads once. Returns how many bytes there are to hear.
    fn begin_turn(&mut self, slot: usize, scratch: &mut [u8]) -> usize {
        let conn = &mut self.connections[slot];
        conn.queued = false;
        let before = conn.bytes_out;
        let flushed = match conn.phase {
            Phase::Open | Phase::Closing => conn.flush(),
            Phase::Lingering => {
                self.listen_for_end(slot, scratch);
                return 0;
            }
            Phase::Dialling | Phase::Ended => return 0,
        };
        self.traffic.bytes_out += conn.bytes_out - before;
        let has_room = conn.outbox.queued() < self.settings.limits.max_queue as u64;
        let received = match flushed {
            Ok(()) if has_room && conn.may_receive() => conn.receive(scratch),
            other => other.map(|()| Received::Nothing),
        };
        match received {
            Ok(Received::Bytes(length)) => {
                self.traffic.reads += 1;
                return length;
            }
            Ok(Received::Nothing | Received::EndOfInput) => {}
            Err(end) => self.end(slot, end),
        }
        0
    }

    /// Lets the role hear what arrived, and what waited to be heard.
    fn answer(&mut self, slot: usize, arrived: &[u8]) {
        let conn = &self.connections[slot];
        match conn.phase {
            Phase::Dialling => self.finish_dial(slot),
            Phase::Open if conn.waiting == Waiting::Over => self.resume(slot),
            Phase::Open | Phase::Closing | Phase::Lingering | Phase::Ended => {}
        }
        let conn = &self.connections[slot];
        debug_assert!(
            arrived.is_empty() || conn.phase != Phase::Open || conn.waiting == Waiting::No,
            "what a peer said is lost"
        );
        if conn.phase == Phase::Open && conn.waiting == Waiting::No {
            if conn.held || !arrived.is_empty() {
                self.hear_input(slot, arrived);
            } else if conn.ended_input {
                self.input_ended(slot);
            }
        }
        self.close_if_sent(slot);
    }

    /// Counts what was moved since `before`, sets the connection's deadline and
    /// queues it again if there is more to do.
    pub(super) fn after_turn(&mut self, slot: usize, before: (u64, u64)) {
        let Some(conn) = self.connections.get_mut(slot) else {
            return;
        };
        let after = conn.moved();
        let moved = (after.0 - before.0, after.1 - before.1);
        self.traffic.bytes_in += moved.0;
        let may_write = conn.writable && !conn.outbox.is_empty();
        let has_room = conn.outbox.queued() < self.settings.limits.max_queue as u64;
        let may_read = conn.readable || conn.held || conn.ended_input;
        let again = match conn.phase {
            Phase::Open => may_write || (has_room && may_read && conn.waiting == Waiting::No),
            Phase::Closing => may_write,
            Phase::Lingering => conn.readable,
            Phase::Dialling | Phase::Ended => false,
        };
        if again {
            self.enqueue(slot);
        }
        self.set_deadline(slot, moved);
    }

    fn finish_dial(&mut self, slot: usize) {
        let conn = &mut self.connections[slot];
        match conn.dialled() {
            Err(end) => self.end(slot, end),
            Ok(false) => {}
            Ok(true) => {
                conn.writable = true;
                let next = self.hear(slot, Input::Connected);
                self.apply();
                if let ReadNext::Close(end) = next {
                    self.close(slot, end);
                }
            }
        }
    }

    /// Cuts what arrived into pieces and lets the role hear each, as long as not
    /// too many answers wait.
    fn hear_input(&mut self, slot: usize, arrived: &[u8]) {
        let mut pieces = PIECES;
        let max_line = self.settings.limits.max_line;
        let max_queue = self.settings.limits.max_queue as u64;
        let mut unread = self.connections[slot].inbox.open(arrived);
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
                let is_tls = self.connections[slot].spoke == Spoke::Never
                    && unread.unfinished().first() == Some(&TLS_FIRST_BYTE);
                let heard = match unread.next(max_line) {
                    // TLS has no lines: who waits for the end of one waits in vain.
                    _ if is_tls => Input::Line(&[TLS_FIRST_BYTE]),
                    None => break,
                    Some(Piece::Line(line)) => {
                        let conn = &mut self.connections[slot];
                        conn.spoke = Spoke::Lately;
                        Input::Line(line)
                    }
                    Some(Piece::Body(bytes)) => Input::Body(bytes),
                    Some(Piece::TooLong) => Input::FramingError(FramingError::LineTooLong),
                };
                match self.hear(slot, heard) {
                    ReadNext::Line => {}
                    ReadNext::Body(length) => unread.expect_body(length),
                    ReadNext::Wait => {
                        self.connections[slot].waiting = Waiting::Yes;
                        held = true;
                        break;
                    }
                    ReadNext::Close(end) => close = Some(end),
                }
            }
            // Long answers take their share of the turn as well.
            pieces = pieces.saturating_sub((self.out.queued() / BYTES_A_PIECE) as usize);
            self.apply();
            let conn = &self.connections[slot];
            if !held || conn.waiting != Waiting::No || conn.phase != Phase::Open {
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

    /// The role has the answer that the peer waits for.
    fn resume(&mut self, slot: usize) {
        self.connections[slot].waiting = Waiting::No;
        let next = self.hear(slot, Input::Resumed);
        self.apply();
        match next {
            ReadNext::Close(end) => self.close(slot, end),
            ReadNext::Line | ReadNext::Body(_) | ReadNext::Wait => {
                if !matches!(self.stopping, Stopping::No) {
                    self.close(slot, CloseReason::Shutdown);
                }
            }
        }
    }

    /// The peer will say no more, and everything it said was heard.
    pub(super) fn input_ended(&mut self, slot: usize) {
        if self.connections[slot].inbox.is_empty() {
            self.close(slot, CloseReason::EndOfInput);
        } else {
            self.break_input(slot, FramingError::UnexpectedEof);
        }
    }

    pub(super) fn break_input(&mut self, slot: usize, fault: FramingError) {
        let next = self.hear(slot, Input::FramingError(fault));
        self.apply();
        let end = match next {
            ReadNext::Close(end) => end,
            ReadNext::Line | ReadNext::Body(_) | ReadNext::Wait => CloseReason::EndOfInput,
        };
        self.close(slot, end);
        self.close_if_sent(slot);
    }

    pub(super) fn hear(&mut self, slot: usize, heard: Input<'_>) -> ReadNext {
        let conn = &mut self.connections[slot];
        let id = ConnId {
            slot: slot as u32,
            serial: conn.serial,
        };
        let Some(session) = &mut conn.session else {
            return ReadNext::Close(CloseReason::EndOfInput);
        };
        let mut turn = Context {
            now: self.now,
            traffic: &self.traffic,
            out: &mut self.out,
        };
        self.role
            .on_input(&mut turn, id, conn.peer.into(), session, heard)
    }
}
