//! How a node is named for people.

use crate::protocol::NodeAddress;

/// Such as `192.0.2.1 port 9001`.
pub(crate) fn node_text(node: NodeAddress) -> String {
    format!("{} port {}", node.ip(), node.port())
}
