//! The relay's list of nodes, with the number and the id of each node.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::ops::Deref;

use crate::protocol::{NodeAddress, NodeItem};
use crate::tls::KeyId;

/// Nodes in the order of the relay.
#[derive(Default)]
pub(super) struct ListedNodes {
    nodes: Vec<NodeAddress>,
    /// Those that are known; none if several are claimed for one address.
    ids: HashMap<NodeAddress, Option<KeyId>>,
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

    /// The id of a node, if it is known.
    pub(super) fn id(&self, node: NodeAddress) -> Option<KeyId> {
        self.ids.get(&node).copied().flatten()
    }

    /// Whether several ids are claimed for a node: anybody can announce a wrong one.
    pub(super) fn is_id_disputed(&self, node: NodeAddress) -> bool {
        self.ids.get(&node) == Some(&None)
    }

    /// Whether the list is made of these items.
    pub(super) fn is_list_of(&self, items: &[NodeItem]) -> bool {
        let is_item = |(node, item): (&NodeAddress, &NodeItem)| {
            *node == item.address && self.id(*node) == item.id
        };
        self.nodes.len() == items.len() && self.nodes.iter().zip(items).all(is_item)
    }
}

impl From<Vec<NodeItem>> for ListedNodes {
    fn from(items: Vec<NodeItem>) -> Self {
        let mut ids = HashMap::new();
        for item in items.iter().filter(|item| item.id.is_some()) {
            let id = ids.entry(item.address).or_insert(item.id);
            *id = id.filter(|_| *id == item.id);
        }
        Self {
            ids,
            nodes: items.into_iter().map(|item| item.address).collect(),
            numbers: OnceCell::new(),
        }
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
        let list = ListedNodes::from([a, b, a].map(NodeItem::from).to_vec());
        assert_eq!(
            [a, b, c].map(|node| list.number(node)),
            [Some(1), Some(2), None]
        );
    }

    #[test]
    fn a_second_id_for_a_node_disputes_the_first() {
        let item = |text: &str, id: &[u8]| NodeItem {
            id: Some(KeyId::of(id)),
            ..NodeItem::parse(text).expect("a node")
        };
        let [a, b] = ["192.0.2.1 1", "192.0.2.2 1"];
        let items = vec![
            item(a, b"forged"),
            item(b, b"b"),
            item(a, b"a"),
            item(b, b"b"),
        ];
        let [a, b] = [items[0].address, items[1].address];
        let list = ListedNodes::from(items);
        assert_eq!(
            [a, b].map(|node| list.id(node)),
            [None, Some(KeyId::of(b"b"))]
        );
        assert_eq!([a, b].map(|node| list.is_id_disputed(node)), [true, false]);
    }

    #[test]
    fn a_list_with_other_ids_is_another_list() {
        let node = |text: &str| NodeItem::parse(text).expect("a node");
        let id = KeyId::of(b"key");
        let items = vec![node(&format!("192.0.2.1 1 {id}")), node("192.0.2.2 1")];
        let list = ListedNodes::from(items.clone());
        let ids = items.iter().map(|item| list.id(item.address));
        assert_eq!(ids.collect::<Vec<_>>(), [Some(id), None]);
        assert!(list.is_list_of(&items));
        assert!(!list.is_list_of(&items[..1]));
        let without = items.iter().map(|item| item.address.into());
        assert!(!list.is_list_of(&without.collect::<Vec<_>>()));
    }
}
