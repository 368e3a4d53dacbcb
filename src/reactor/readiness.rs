//! What is known about a stream from its events and from the operations on it.

use crate::reactor::transport::StreamEvent;

/// What the events have reported, and operations have not disproved.
#[derive(Clone, Copy, Default)]
pub(super) struct Readiness {
    /// Reading may return bytes. Set by an event, cleared by the read that finds the
    /// stream empty.
    pub(super) readable: bool,
    /// Sending may be accepted. Set and cleared likewise.
    pub(super) writable: bool,
    pub(super) end_of_input: EndOfInput,
    /// Urgent data has arrived: see tcp(7).
    pub(super) has_urgent_data: bool,
}

/// Whether the peer has ended its side.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum EndOfInput {
    #[default]
    Unknown,
    /// An event announced the end: read on until it is reached, because no other event
    /// follows.
    Announced,
    /// The same, and nothing can be sent: the stream has failed.
    Failed,
    /// A read reached the end.
    Reached,
}

/// How much input a read has left over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum InputLeft {
    /// None: another event announces more.
    None,
    /// None, unless [`Readiness::is_short_read_trusted`] says no.
    Unlikely,
    /// Perhaps some.
    Likely,
}

impl Readiness {
    /// Records what an event reports.
    pub(super) fn record(&mut self, event: StreamEvent) {
        self.readable |= event.is_readable;
        self.writable |= event.is_writable;
        if event.is_failed {
            self.end_of_input = EndOfInput::Failed;
        } else if event.is_closed && self.end_of_input == EndOfInput::Unknown {
            self.end_of_input = EndOfInput::Announced;
        }
        self.has_urgent_data |= event.is_urgent;
    }

    /// Whether a read that does not fill its buffer has emptied the stream (epoll(7), question 9).
    /// The end of input may follow, if an event has announced it, and a read stops at the mark of
    /// urgent data.
    pub(super) fn is_short_read_trusted(&self) -> bool {
        self.end_of_input == EndOfInput::Unknown && !self.has_urgent_data
    }
}
