//! One connection of a client: what was asked there, and how it went.

use std::fmt;
use std::time::Instant;

use log::Level;

use super::NotStored;
use crate::end::End;
use crate::protocol::{Code, NodeAddress, Reply};
use crate::role::Next;
use crate::visible::Visible;

/// One connection of a client.
pub enum Session {
    /// To the relay.
    Relay {
        /// Which of its addresses.
        attempt: usize,
        /// How many lines are still to come of the list.
        left: Option<u64>,
        /// Those that came.
        nodes: Vec<NodeAddress>,
        /// Whether a line of it named no node.
        skipped: bool,
        /// How it went.
        outcome: Outcome,
    },
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

/// How a conversation went.
#[derive(Debug)]
pub enum Outcome {
    /// It is not over.
    Open,
    /// All came that was asked for.
    Complete,
    /// The node does not have the file.
    NotFound,
    /// The answer was an error.
    Error(Code, String),
    /// The list is too long.
    TooMany(u64),
    /// We could not put the content where it should go.
    NotStored(NotStored),
}

impl fmt::Display for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Relay { .. } => f.write_str("our relay"),
            Self::Node { node, .. } => write!(f, "node {node}"),
        }
    }
}

/// Reads one line from the relay: the head of the list or one of its items.
pub(super) fn relay_said(
    line: &[u8],
    max_nodes: u64,
    left: &mut Option<u64>,
    nodes: &mut Vec<NodeAddress>,
    skipped: &mut bool,
    outcome: &mut Outcome,
) -> Next {
    match left {
        None => match Reply::parse(line) {
            Ok(Reply::Nodes(count)) if count > max_nodes => *outcome = Outcome::TooMany(count),
            Ok(Reply::Nodes(count)) => *left = Some(count),
            Ok(Reply::Error(code, text)) => *outcome = Outcome::Error(code, text.into_owned()),
            Ok(_) | Err(_) => return Next::Close(End::Nonsense),
        },
        Some(left) => {
            let node = std::str::from_utf8(line)
                .ok()
                .and_then(|line| NodeAddress::parse(line).ok());
            match node {
                Some(node) => nodes.push(node),
                // It cannot be asked; the others can.
                None => {
                    // A hostile list must not flood the terminal.
                    let again = std::mem::replace(skipped, true);
                    let level = if again { Level::Debug } else { Level::Warn };
                    log::log!(level, "the relay lists {}", Visible(line));
                }
            }
            *left = left.saturating_sub(1);
        }
    }
    if *left == Some(0) {
        *outcome = Outcome::Complete;
    }
    if let Outcome::Open = outcome {
        Next::Line
    } else {
        Next::Close(End::Satisfied)
    }
}
