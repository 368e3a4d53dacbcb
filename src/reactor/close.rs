//! How a connection comes to its end: nothing more is heard, what waits is sent,
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
    pub(super) fn close(&mut self, slot: usize, end: CloseReason) {
        let conn = &mut self.connections[slot];
        if conn.phase == Phase::Open {
            conn.phase = Phase::Closing;
            conn.end = Some(Box::new(end));
        }
    }

    /// Ends a closing connection whose answers are all sent. Input that nobody
    /// reads would make the kernel reset the connection and take back the tail
    /// of the answer, so we shut our side and listen for the peer's end: the next
    /// turn does, for which [`Reactor::after_turn`] queues it.
    pub(super) fn close_if_sent(&mut self, slot: usize) {
        let conn = &mut self.connections[slot];
        if conn.phase != Phase::Closing || !conn.outbox.is_empty() {
            return;
        }
        if conn.origin == Origin::Dialled || conn.ended_input {
            let end = conn.take_end();
            self.end(slot, end);
        } else {
            conn.shut();
            conn.phase = Phase::Lingering;
        }
    }

    /// Reads and forgets what comes after our goodbye.
    pub(super) fn listen_for_end(&mut self, slot: usize, scratch: &mut [u8]) {
        let conn = &mut self.connections[slot];
        let mut heard = 0;
        while conn.readable {
            match conn.receive(scratch) {
                Ok(Received::Bytes(length)) => heard += length as u64,
                Ok(Received::Nothing) => break,
                Ok(Received::EndOfInput) | Err(_) => heard = u64::MAX,
            }
            if heard > LINGER_BYTES {
                let end = conn.take_end();
                return self.end(slot, end);
            }
        }
    }

    /// A connection is over. It is taken out at the end of the round.
    pub(super) fn end(&mut self, slot: usize, end: CloseReason) {
        let conn = &mut self.connections[slot];
        if conn.phase != Phase::Ended {
            conn.phase = Phase::Ended;
            // What it was closing for is the reason, unless not all could be sent.
            if conn.end.is_none() || !conn.outbox.is_empty() {
                conn.end = Some(Box::new(end));
            }
            self.ended.push(slot);
        }
    }
}
