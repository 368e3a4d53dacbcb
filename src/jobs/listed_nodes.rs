//! The relay's list of nodes, and the number of each node in it.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::ops::Deref;

use crate::protocol::NodeAddress;

/// Nodes in the order of the relay.
#[derive(Default)]
pub(super) struct ListedNodes {
    nodes: Vec<NodeAddress>,
    /// Made for the first question: each file asks for the numbers of its nodes.
    numbers: OnceCell<HashMap<NodeAddress, usize>>,
}

impl ListedNodes {
    /// The position of a node, from 1 on.
    pub(super) fn number(&self, node: NodeAddress) -> Option<usize> {
        let numbers = self.numbers.get_or_init(|| {
            // The first one counts.
            let nodes = self.nodes.iter().enumerate().rev();
            nodes.map(|(index, node)| (*node, index + 1)).collect()
        });
        numbers.get(&node).copied()
    }
}

impl From<Vec<NodeAddress>> for ListedNodes {
    fn from(nodes: Vec<NodeAddress>) -> Self {
        let numbers = OnceCell::new();
        Self { nodes, numbers }
    }
}

impl Deref for ListedNodes {
    type Target = [NodeAddress];

    fn deref(&self) -> &[NodeAddress] {
        &self.nodes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_has_its_first_position() {
        let node = |text: &str| NodeAddress::parse(text).expect("an address");
        let [a, b, c] = ["192.0.2.1 1", "192.0.2.2 1", "192.0.2.3 1"].map(node);
        let list = ListedNodes::from(vec![a, b, a]);
        assert_eq!(
            [a, b, c].map(|node| list.number(node)),
            [Some(1), Some(2), None]
        );
    }
}
