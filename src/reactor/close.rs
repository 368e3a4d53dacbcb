//! How a connection comes to its end: nothing more is input, what waits is sent,
//! and the last words are given time to arrive.

use std::os::fd::AsFd;

use crate::close_reason::CloseReason;
use crate::reactor::Reactor;
use crate::reactor::connection::{Origin, Phase, Received};
use crate::role::Role;

/// How much of what comes after our goodbye to listen to.
const LINGER_BYTES: u64 = 1024 * 1024;

impl<R: Role> Reactor<R>
where
    R::File: AsFd,
{
    /// Hears nothing more from a connection: what waits is sent, then it ends.
    pub(super) fn close(&mut self, slot: usize, reason: CloseReason) {
        let conn = &mut self.connections[slot];
        if conn.phase == Phase::Open {
            conn.phase = Phase::Closing;
            conn.close_reason = Some(Box::new(reason));
        }
    }

    /// Ends a closing connection whose answers are all sent. Input that nobody
    /// reads would make the kernel reset the connection and take back the tail
    /// of the answer, so we shut our side and listen for the peer's end: the next
    /// turn does, for which [`Reactor::finish_turn`] queues it.
    pub(super) fn shut_down_if_flushed(&mut self, slot: usize) {
        let conn = &mut self.connections[slot];
        if conn.phase != Phase::Closing || !conn.outbox.is_empty() {
            return;
        }
        if conn.origin == Origin::Outbound || conn.is_at_eof {
            let reason = conn.take_close_reason();
            self.mark_closed(slot, reason);
        } else {
            conn.shut_down_write();
            conn.phase = Phase::Lingering;
        }
    }

    /// Reads and forgets what comes after our goodbye.
    pub(super) fn linger(&mut self, slot: usize, read_buffer: &mut [u8]) {
        let conn = &mut self.connections[slot];
        let mut input = 0;
        while conn.readable {
            match conn.receive(read_buffer) {
                Ok(Received::Bytes(length)) => input += length as u64,
                Ok(Received::Nothing) => break,
                Ok(Received::EndOfInput) | Err(_) => input = u64::MAX,
            }
            if input > LINGER_BYTES {
                let reason = conn.take_close_reason();
                return self.mark_closed(slot, reason);
            }
        }
    }

    /// A connection is over. It is taken out at the end of the round.
    pub(super) fn mark_closed(&mut self, slot: usize, reason: CloseReason) {
        let conn = &mut self.connections[slot];
        if conn.phase != Phase::Closed {
            conn.phase = Phase::Closed;
            // What it was closing for is the reason, unless not all could be sent.
            if conn.close_reason.is_none() || !conn.outbox.is_empty() {
                conn.close_reason = Some(Box::new(reason));
            }
            self.closed.push(slot);
        }
    }
}
