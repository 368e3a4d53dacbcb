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
}

/// Whether the peer has ended its side.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) enum EndOfInput {
    #[default]
    Unknown,
    /// An event announced the end: read on until it is reached, because no other event
    /// follows.
    Announced,
    /// A read reached the end.
    Reached,
}

/// How much input a read has left over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum InputLeft {
    /// None: another event announces more.
    None,
    /// None, unless the end of input.
    Unlikely,
    /// Perhaps some.
    Likely,
}

impl Readiness {
    /// Records what an event reports.
    pub(super) fn record(&mut self, event: StreamEvent) {
        self.readable |= event.is_readable;
        self.writable |= event.is_writable;
        if event.is_closed && self.end_of_input == EndOfInput::Unknown {
            self.end_of_input = EndOfInput::Announced;
        }
    }
}
