//! Closing a connection: no more input is handled, the outbox is flushed, and the last
//! bytes get time to arrive.

use std::io;

use crate::close_reason::CloseReason;
use crate::reactor::Reactor;
use crate::reactor::connection::{Connection, Origin, Phase};
use crate::reactor::outbox::MemoryUsage;
use crate::reactor::readiness::EndOfInput;
use crate::reactor::transport::Transport;
use crate::reactor::turn::MOVED_BYTES;
use crate::role::Role;

/// The most bytes of input that a lingering connection discards.
const LINGER_BYTES: u64 = 1024 * 1024;

impl<S, F, T> Connection<S, F, T> {
    /// # Errors
    /// The role works on an answer that nobody receives.
    pub(super) fn check_receiver(&self) -> Result<(), CloseReason> {
        let has_open_answer =
            matches!(&self.phase, Phase::Open(driver) if driver.state().has_open_answer());
        let is_failed = self.readiness.end_of_input == EndOfInput::Failed;
        if self.origin == Origin::Inbound && is_failed && has_open_answer {
            let error = io::ErrorKind::ConnectionReset.into();
            return Err(CloseReason::ConnectionLost(error));
        }
        Ok(())
    }
}

impl<R: Role, T: Transport<R::File>> Reactor<R, T> {
    /// Ends a closing connection whose outbox is flushed. Unread input would make the
    /// kernel reset the connection, and the peer might lose the tail of the answer. So
    /// our side is shut down first, and the connection lingers until the peer's end of
    /// input; [`Reactor::finish_turn`] queues it for that.
    pub(super) fn linger_if_flushed(&mut self, slot: usize) {
        let conn = &mut self.connections[slot];
        if !matches!(conn.phase, Phase::Closing(_)) || conn.has_output() {
            return;
        }
        if conn.tls.is_some() && !self.finish_stream(slot) {
            return;
        }
        let conn = &mut self.connections[slot];
        let is_at_eof = conn.readiness.end_of_input == EndOfInput::Reached;
        if conn.origin == Origin::Outbound || is_at_eof {
            self.close_now(slot, CloseReason::EndOfInput);
        } else {
            conn.start_lingering();
        }
    }

    /// Ends an encrypted stream. Returns whether our side may be shut down.
    fn finish_stream(&mut self, slot: usize) -> bool {
        let conn = &mut self.connections[slot];
        let usage = conn.usage();
        let finished = conn.finish_stream();
        let (group, new_usage) = (conn.group, conn.usage());
        self.count_memory(group, usage, new_usage);
        finished.unwrap_or_else(|reason| {
            self.close_now(slot, reason);
            false
        })
    }

    /// Reads and discards the input of a lingering connection.
    pub(super) fn linger(&mut self, slot: usize, read_buffer: &mut [u8]) {
        let conn = &mut self.connections[slot];
        let mut discarded = 0;
        while conn.readiness.readable {
            match conn.receive(read_buffer) {
                Ok(None) => break,
                Ok(Some(0)) | Err(_) => discarded = u64::MAX,
                Ok(Some(length)) => {
                    discarded += length as u64;
                    if conn.tls.is_some() {
                        // Records are no content, but to read them is work.
                        conn.bytes_in -= length as u64;
                        self.addresses.charge(conn.group, length / MOVED_BYTES);
                    }
                }
            }
            if discarded > LINGER_BYTES {
                return self.close_now(slot, CloseReason::EndOfInput);
            }
        }
    }

    /// Handles no more input of a connection, and closes it when its outbox is flushed.
    pub(super) fn start_closing(&mut self, slot: usize, reason: CloseReason) {
        let conn = &mut self.connections[slot];
        let usage = conn.usage();
        conn.start_closing(reason);
        let (group, new_usage) = (conn.group, conn.usage());
        self.count_memory(group, usage, new_usage);
    }

    /// Closes a connection at once; it is removed at the end of the round.
    pub(super) fn close_now(&mut self, slot: usize, reason: CloseReason) {
        let conn = &mut self.connections[slot];
        let usage = conn.usage();
        let is_lost = matches!(
            reason,
            CloseReason::ConnectionLost(_) | CloseReason::TlsFailed(_) | CloseReason::SecretChanged
        );
        if conn.set_closed(reason) {
            if conn.tls.is_some() {
                conn.close_tls(is_lost);
                self.end_handshake(slot);
            }
            let group = self.connections[slot].group;
            self.log_unsent_files(slot);
            drop(std::mem::take(&mut self.connections[slot].outbox));
            self.count_memory(group, usage, MemoryUsage::default());
            self.closed.push(slot);
        }
    }
}
