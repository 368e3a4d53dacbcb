//! Merges the answers of several sources to one query.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use crate::jobs::relay_query::RelayAnswer;
use crate::protocol::{HolderItem, NodeAddress, NodeItem};

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

/// The first source that names an address decides about its id, and the first address of an id
/// counts. An id that only a later source states does not: it could make many nodes one.
fn merge_nodes(first: Vec<NodeItem>, second: Vec<NodeItem>) -> Vec<NodeItem> {
    let mut merged = unique(first.into_iter().chain(second), |node| node.address);
    let mut known = HashSet::new();
    merged.retain(|node| node.id.is_none_or(|id| known.insert(id)));
    merged
}

/// Two sources may know different contents of one node: only one of them is up to date. A
/// source that does not know the hash yet says nothing that another one does not say better.
/// Each address of an id stays, because a wrong one costs only an attempt.
fn merge_holders(first: Vec<HolderItem>, second: Vec<HolderItem>) -> Vec<HolderItem> {
    let all = || first.iter().chain(&second).copied();
    let nodes = unique(all(), |holder| holder.node);
    let ids: HashMap<_, _> = nodes.iter().map(|node| (node.node, node.id)).collect();
    let mut merged = unique(all(), |holder| (holder.node, holder.hash));
    let with_hash = merged.iter().filter(|holder| holder.hash.0.is_some());
    let with_hash: HashSet<NodeAddress> = with_hash.map(|holder| holder.node).collect();
    merged.retain(|holder| holder.hash.0.is_some() || !with_hash.contains(&holder.node));
    for holder in &mut merged {
        holder.id = ids.get(&holder.node).copied().flatten();
    }
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
    use crate::tls::KeyId;

    fn nodes<const N: usize>(lines: [&str; N]) -> Vec<NodeItem> {
        let parse = |line| NodeItem::parse(line).expect("a node");
        lines.map(parse).to_vec()
    }

    fn holders<const N: usize>(lines: [&str; N]) -> Vec<HolderItem> {
        let parse = |line| HolderItem::parse(line).expect("a holder");
        lines.map(parse).to_vec()
    }

    #[test]
    fn the_first_source_that_names_a_node_decides_about_its_id() {
        let [a, b] = [&b"a"[..], b"b"].map(KeyId::of);
        let [first, second] = [a, b].map(|id| format!("192.0.2.2 1 {id}"));
        let first = nodes(["192.0.2.1 1", &first]);
        let second = nodes([&second, "192.0.2.3 1"]);
        let merged = merge_nodes(first, second);
        let ids: Vec<_> = merged.iter().map(|node| node.id).collect();
        assert_eq!(ids, [None, Some(a), None]);
        let [first, second] = [a, b].map(|id| format!("192.0.2.1 1 5 - {id}"));
        let merged = merge_holders(holders([&first]), holders([&second]));
        assert_eq!(merged, holders([&first]));
    }

    #[test]
    fn a_later_source_with_one_id_for_many_nodes_removes_none() {
        let id = KeyId::of(b"made up");
        let addresses = ["192.0.2.1 1", "192.0.2.2 1", "192.0.2.3 1"];
        let with_id = addresses.map(|address| format!("{address} {id}"));
        let second = nodes(with_id.each_ref().map(String::as_str));
        assert_eq!(merge_nodes(nodes(addresses), second), nodes(addresses));
        let addresses = addresses.map(|address| format!("{address} 5 -"));
        let first = holders(addresses.each_ref().map(String::as_str));
        let with_id = addresses.each_ref().map(|line| format!("{line} {id}"));
        let second = holders(with_id.each_ref().map(String::as_str));
        assert_eq!(merge_holders(first.clone(), second), first);
    }

    #[test]
    fn the_first_address_of_an_id_counts_but_each_holder_is_tried() {
        let id = KeyId::of(b"a");
        let lines = ["192.0.2.1 1", "198.51.100.1 1"].map(|node| format!("{node} {id}"));
        let [first, second] = lines.each_ref().map(|line| nodes([line]));
        assert_eq!(merge_nodes(first.clone(), second), first);
        let lines = ["192.0.2.1 1", "198.51.100.1 1"].map(|node| format!("{node} 5 - {id}"));
        let [first, second] = lines.each_ref().map(|line| holders([line]));
        let both = [first.clone(), second.clone()].concat();
        assert_eq!(merge_holders(first, second), both);
    }
}
