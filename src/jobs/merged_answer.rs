//! Merges the answers of several sources to one query.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use crate::jobs::relay_query::RelayAnswer;
use crate::protocol::{HolderItem, NodeAddress, NodeItem};
use crate::tls::KeyId;

/// One answer of several, in the order of the sources: each node once, and each node once for
/// a content. None without an answer. The files of lists were merged before.
pub(super) fn merge(answers: impl Iterator<Item = RelayAnswer>) -> Option<RelayAnswer> {
    answers.reduce(|merged, answer| match (merged, answer) {
        (RelayAnswer::Nodes(first), RelayAnswer::Nodes(second)) => {
            RelayAnswer::Nodes(merge_nodes(first, second))
        }
        (RelayAnswer::Holders(first), RelayAnswer::Holders(second)) => {
            RelayAnswer::Holders(merge_holders(first, second))
        }
        (merged, _) => merged,
    })
}

/// A source may know a node without its key, or under another address: the first one counts.
fn merge_nodes(first: Vec<NodeItem>, second: Vec<NodeItem>) -> Vec<NodeItem> {
    let all = first.iter().chain(&second);
    let ids = first_ids(all.map(|node| (node.address, node.id)));
    let mut merged = unique(first.into_iter().chain(second), |node| node.address);
    for node in &mut merged {
        node.id = ids.get(&node.address).copied();
    }
    let mut known = HashSet::new();
    merged.retain(|node| node.id.is_none_or(|id| known.insert(id)));
    merged
}

/// The first id of each node that has one.
fn first_ids(
    nodes: impl DoubleEndedIterator<Item = (NodeAddress, Option<KeyId>)>,
) -> HashMap<NodeAddress, KeyId> {
    let nodes = nodes.rev();
    nodes.filter_map(|(node, id)| Some((node, id?))).collect()
}

/// Two sources may know different contents of one node: only one of them is up to date. A
/// source that does not know the hash yet says nothing that another one does not say better.
fn merge_holders(first: Vec<HolderItem>, second: Vec<HolderItem>) -> Vec<HolderItem> {
    let all = first.iter().chain(&second);
    let ids = first_ids(all.map(|holder| (holder.node, holder.id)));
    let all = first.into_iter().chain(second);
    let mut merged = unique(all, |holder| (holder.node, holder.hash));
    let with_hash = merged.iter().filter(|holder| holder.hash.0.is_some());
    let with_hash: HashSet<NodeAddress> = with_hash.map(|holder| holder.node).collect();
    merged.retain(|holder| holder.hash.0.is_some() || !with_hash.contains(&holder.node));
    for holder in &mut merged {
        holder.id = ids.get(&holder.node).copied();
    }
    let mut known = HashSet::new();
    merged.retain(|holder| holder.id.is_none_or(|id| known.insert((id, holder.hash))));
    merged
}

/// The first item of each key.
fn unique<T, K: Eq + Hash>(items: impl Iterator<Item = T>, key: impl Fn(&T) -> K) -> Vec<T> {
    let mut keys = HashSet::new();
    items.filter(|item| keys.insert(key(item))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_keeps_the_id_that_one_source_knows() {
        let [a, b] = [&b"a"[..], b"b"].map(KeyId::of);
        let node = |line: &str| NodeItem::parse(line).expect("a node");
        let first = vec![node("192.0.2.1 1"), node(&format!("192.0.2.2 1 {a}"))];
        let second = vec![
            node(&format!("192.0.2.1 1 {b}")),
            node(&format!("192.0.2.2 1 {b}")),
            node("192.0.2.3 1"),
        ];
        let merged = merge_nodes(first, second);
        let ids: Vec<_> = merged.iter().map(|node| node.id).collect();
        assert_eq!(ids, [Some(b), Some(a), None]);
        let holder = |line: &str| HolderItem::parse(line).expect("a holder");
        let first = vec![holder("192.0.2.1 1 5 -")];
        let second = vec![holder(&format!("192.0.2.1 1 5 - {b}"))];
        let merged = merge_holders(first, second);
        assert_eq!(merged, [holder(&format!("192.0.2.1 1 5 - {b}"))]);
    }

    #[test]
    fn a_node_with_two_addresses_is_one_node() {
        let id = KeyId::of(b"a");
        let lines = ["192.0.2.1 1", "198.51.100.1 1"].map(|node| format!("{node} {id}"));
        let [first, second] = lines.map(|line| NodeItem::parse(&line).expect("a node"));
        assert_eq!(merge_nodes(vec![first], vec![second]), [first]);
        let lines = ["192.0.2.1 1", "198.51.100.1 1"].map(|node| format!("{node} 5 - {id}"));
        let [first, second] = lines.map(|line| HolderItem::parse(&line).expect("a holder"));
        assert_eq!(merge_holders(vec![first], vec![second]), [first]);
    }
}
