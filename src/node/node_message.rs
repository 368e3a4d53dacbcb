//! What other threads send to the node.

use std::net::SocketAddr;

use crate::jobs::{self, PeerSource};
use crate::protocol::{NodeAddress, Text};

/// A message of another thread.
pub enum NodeMessage<U> {
    /// A result about the share.
    ShareUpdate(U),
    /// An event of the terminal.
    Terminal(jobs::TerminalEvent),
    /// An answer to a message, made by a program: the index of the relay that has brought the
    /// message, and its sender.
    Answer(usize, NodeAddress, Text<'static>),
    /// One more relay, and a seed for its pauses.
    RelayFound(PeerSource, u64),
    /// The addresses of the relay of this index, which may have changed.
    RelayAddresses(usize, Vec<SocketAddr>),
}

impl<U> From<jobs::TerminalEvent> for NodeMessage<U> {
    fn from(event: jobs::TerminalEvent) -> Self {
        Self::Terminal(event)
    }
}
