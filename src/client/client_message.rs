//! What other threads send to the client.

use crate::jobs::{PeerSource, TerminalEvent};

/// A message of another thread.
pub enum ClientMessage {
    /// An event of the terminal.
    Terminal(TerminalEvent),
    /// Nodes that were found since the start.
    NodesFound(Vec<PeerSource>),
}

impl From<TerminalEvent> for ClientMessage {
    fn from(event: TerminalEvent) -> Self {
        Self::Terminal(event)
    }
}
