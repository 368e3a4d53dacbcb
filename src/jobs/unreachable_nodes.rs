//! The nodes that could not be reached a moment ago: the next files ask others first.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::close_reason::CloseReason;
use crate::protocol::NodeAddress;

/// How long a node is asked after the others.
const TIME: Duration = Duration::from_secs(30);

/// Nodes that did not answer, and when.
#[derive(Default)]
pub(super) struct UnreachableNodes(BTreeMap<NodeAddress, Instant>);

impl UnreachableNodes {
    /// A connection to the node has ended before its requests were answered.
    pub(super) fn on_close(&mut self, node: NodeAddress, reason: &CloseReason, now: Instant) {
        if let CloseReason::ConnectFailed(_)
        | CloseReason::ConnectTimeout
        | CloseReason::ReadTimeout = reason
        {
            self.0.retain(|_, since| *since + TIME > now);
            self.0.insert(node, now);
        }
    }

    /// The node has answered.
    pub(super) fn on_answer(&mut self, node: NodeAddress) {
        if !self.0.is_empty() {
            self.0.remove(&node);
        }
    }

    pub(super) fn contains(&self, node: NodeAddress, now: Instant) -> bool {
        self.0.get(&node).is_some_and(|since| *since + TIME > now)
    }
}
