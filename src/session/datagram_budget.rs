//! The room in a datagram of replies.
//!
//! Requests are executed in order until the datagram is full. Those that are not
//! executed have no reply; the client counts the replies and sends the others again.

use crate::protocol::MAX_DATAGRAM;

/// No reply to a request that changes anything is longer. With less room the next
/// request is not executed.
const MAX_SHORT_REPLY: usize = 200;

/// Offsets in the text of an output.
pub(crate) struct DatagramBudget {
    /// Where the datagram begins.
    start: usize,
    /// Where the reply to the first request begins.
    first_reply: usize,
    /// Where the reply to the last request begins.
    last_reply: usize,
    /// Whether the last reply is a list that was truncated to the room.
    pub(crate) is_truncated: bool,
}

impl DatagramBudget {
    /// A datagram that begins at `start`, with replies from `first_reply` on.
    pub(crate) fn new(start: usize, first_reply: usize) -> Self {
        Self {
            start,
            first_reply,
            last_reply: first_reply,
            is_truncated: false,
        }
    }

    /// Bytes that the last reply may have.
    pub(crate) fn room(&self) -> usize {
        MAX_DATAGRAM.saturating_sub(self.last_reply - self.start)
    }

    /// Begins a reply at the `end` of the text. Returns whether it has room.
    pub(crate) fn begin_reply(&mut self, end: usize) -> bool {
        self.last_reply = end;
        self.is_truncated = false;
        self.room() >= MAX_SHORT_REPLY
    }

    /// Removes the last reply if it does not fit. Returns whether it fits. Only the
    /// first reply may be a truncated list: others may have a datagram of their own.
    pub(crate) fn end_reply(&self, text: &mut Vec<u8>) -> bool {
        let is_first = self.last_reply == self.first_reply;
        let fits = text.len() - self.last_reply <= self.room();
        if fits && (is_first || !self.is_truncated) {
            return true;
        }
        debug_assert!(!is_first, "no reply but a list is as long as a datagram");
        text.truncate(self.last_reply);
        false
    }

    /// Removes the whole datagram if it is longer than `max_bytes`.
    pub(crate) fn discard_if_longer(&self, text: &mut Vec<u8>, max_bytes: usize) {
        if text.len() - self.start > max_bytes {
            text.truncate(self.start);
        }
    }
}
