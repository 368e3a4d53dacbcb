//! One connection of a client: what was asked there, and how it went.

use std::fmt;
use std::time::Instant;

use super::asking::Asking;
use super::user::NotStored;
use crate::protocol::{Code, NodeAddress};

/// One connection of a client.
pub enum Session {
    /// To the relay.
    Relay(Asking),
    /// To a node.
    Node {
        /// Which.
        node: NodeAddress,
        /// When it was asked.
        asked: Instant,
        /// The size of the file and how much has arrived, once it was found.
        body: Option<(u64, u64)>,
        /// How it went.
        outcome: Outcome,
    },
}

/// How it went with a node.
#[derive(Debug)]
pub enum Outcome {
    /// It is not over.
    Open,
    /// The file is complete.
    Complete,
    /// The node does not have the file.
    NotFound,
    /// All of it came, and it is another content than the one that is wanted.
    OtherContent,
    /// The answer was an error.
    Error(Code, String),
    /// We could not put the content where it should go.
    NotStored(NotStored),
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Relay(_) => f.write_str("our relay"),
            Self::Node { node, .. } => write!(f, "node {node}"),
        }
    }
}
