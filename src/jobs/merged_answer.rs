//! Merges the answers of several sources to one query.

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use crate::jobs::relay_query::RelayAnswer;
use crate::protocol::{HolderItem, NodeAddress, NodeItem};

/// One answer of several: each node once, and each node once for a content. None without an
/// answer. The files of lists were merged before.
pub(super) fn merge(answers: impl Iterator<Item = RelayAnswer>) -> Option<RelayAnswer> {
    let (mut nodes, mut holders, mut other) = (Vec::new(), Vec::new(), None);
    for answer in answers {
        match answer {
            RelayAnswer::Nodes(list) => nodes.push(list),
            RelayAnswer::Holders(list) => holders.push(list),
            answer => other = other.or(Some(answer)),
        }
    }
    let nodes = merge_lists(nodes, |node| node.address, merge_nodes);
    let holders = merge_lists(holders, |holder| (holder.node, holder.hash), merge_holders);
    let nodes = nodes.map(RelayAnswer::Nodes);
    nodes.or(holders.map(RelayAnswer::Holders)).or(other)
}

/// The list that `merge` makes of several. The sources take turns, each in its own order: the
/// nodes are tried in this order, and one source that lies must not fill the first places.
fn merge_lists<T: Copy, K: Eq + Hash>(
    mut lists: Vec<Vec<T>>,
    key: impl Fn(&T) -> K,
    merge: impl Fn(&[T]) -> Vec<T>,
) -> Option<Vec<T>> {
    if lists.len() < 2 {
        return lists.pop();
    }
    let mut turns = HashMap::new();
    for (source, list) in lists.iter().enumerate() {
        for (turn, item) in list.iter().enumerate() {
            let first = turns.entry(key(item)).or_insert((turn, source));
            *first = (*first).min((turn, source));
        }
    }
    let mut merged = merge(&lists.concat());
    merged.sort_by_cached_key(|item| turns.get(&key(item)).copied());
    Some(merged)
}

/// The first source that names an address decides about its id, and the first address of an id
/// counts. An id that only a later source states does not: it could make many nodes one.
fn merge_nodes(all: &[NodeItem]) -> Vec<NodeItem> {
    let mut merged = unique(all, |node| node.address);
    let mut known = HashSet::new();
    merged.retain(|node| node.id.is_none_or(|id| known.insert(id)));
    merged
}

/// Two sources may know different contents of one node: only one of them is up to date. A
/// source that does not know the hash yet says nothing that another one does not say better.
/// Each address of an id stays, because a wrong one costs only an attempt.
fn merge_holders(all: &[HolderItem]) -> Vec<HolderItem> {
    let nodes = unique(all, |holder| holder.node);
    let ids: HashMap<_, _> = nodes.iter().map(|node| (node.node, node.id)).collect();
    let mut merged = unique(all, |holder| (holder.node, holder.hash));
    let with_hash = merged.iter().filter(|holder| holder.hash.0.is_some());
    let with_hash: HashSet<NodeAddress> = with_hash.map(|holder| holder.node).collect();
    merged.retain(|holder| holder.hash.0.is_some() || !with_hash.contains(&holder.node));
    for holder in &mut merged {
        holder.id = ids.get(&holder.node).copied().flatten();
    }
    merged
}

/// The first item of each key.
fn unique<T: Copy, K: Eq + Hash>(items: &[T], key: impl Fn(&T) -> K) -> Vec<T> {
    let mut keys = HashSet::new();
    let first = items.iter().filter(|item| keys.insert(key(item)));
    first.copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::KeyId;

    fn nodes<const N: usize>(lines: [&str; N]) -> Vec<NodeItem> {
        let parse = |line| NodeItem::parse(line).expect("a node");
        lines.map(parse).to_vec()
    }

    fn merge_nodes<const N: usize>(lists: [Vec<NodeItem>; N]) -> Vec<NodeItem> {
        match merge(lists.into_iter().map(RelayAnswer::Nodes)) {
            Some(RelayAnswer::Nodes(nodes)) => nodes,
            _ => panic!("no nodes"),
        }
    }

    fn merge_holders<const N: usize>(lists: [Vec<HolderItem>; N]) -> Vec<HolderItem> {
        match merge(lists.into_iter().map(RelayAnswer::Holders)) {
            Some(RelayAnswer::Holders(holders)) => holders,
            _ => panic!("no holders"),
        }
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
        let merged = merge_nodes([first, second]);
        let ids: Vec<_> = merged.iter().map(|node| node.id).collect();
        assert_eq!(ids, [None, Some(a), None]);
        let [first, second] = [a, b].map(|id| format!("192.0.2.1 1 5 - {id}"));
        let merged = merge_holders([holders([&first]), holders([&second])]);
        assert_eq!(merged, holders([&first]));
    }

    #[test]
    fn a_later_source_with_one_id_for_many_nodes_removes_none() {
        let id = KeyId::of(b"made up");
        let addresses = ["192.0.2.1 1", "192.0.2.2 1", "192.0.2.3 1"];
        let with_id = addresses.map(|address| format!("{address} {id}"));
        let second = nodes(with_id.each_ref().map(String::as_str));
        assert_eq!(merge_nodes([nodes(addresses), second]), nodes(addresses));
        let addresses = addresses.map(|address| format!("{address} 5 -"));
        let first = holders(addresses.each_ref().map(String::as_str));
        let with_id = addresses.each_ref().map(|line| format!("{line} {id}"));
        let second = holders(with_id.each_ref().map(String::as_str));
        assert_eq!(merge_holders([first.clone(), second]), first);
    }

    #[test]
    fn the_first_address_of_an_id_counts_but_each_holder_is_tried() {
        let id = KeyId::of(b"a");
        let lines = ["192.0.2.1 1", "198.51.100.1 1"].map(|node| format!("{node} {id}"));
        let [first, second] = lines.each_ref().map(|line| nodes([line]));
        assert_eq!(merge_nodes([first.clone(), second]), first);
        let lines = ["192.0.2.1 1", "198.51.100.1 1"].map(|node| format!("{node} 5 - {id}"));
        let [first, second] = lines.each_ref().map(|line| holders([line]));
        let both = [first.clone(), second.clone()].concat();
        assert_eq!(merge_holders([first, second]), both);
    }

    #[test]
    fn the_sources_take_turns() {
        let line = |host: u8| format!("192.0.2.{host} 1");
        let lists = [vec![1, 2, 3, 4], vec![5, 3], vec![6, 7, 5]];
        let merged = [1, 5, 6, 2, 3, 7, 4].map(line);
        let parse = |hosts: &Vec<u8>| {
            let nodes = hosts.iter().map(|host| NodeItem::parse(&line(*host)));
            nodes.collect::<Result<Vec<_>, _>>().expect("nodes")
        };
        let merged = nodes(merged.each_ref().map(String::as_str));
        assert_eq!(merge_nodes(lists.each_ref().map(parse)), merged);
        let line = |host: u8| format!("192.0.2.{host} 1 5 -");
        let parse = |hosts: &Vec<u8>| {
            let holders = hosts.iter().map(|host| HolderItem::parse(&line(*host)));
            holders.collect::<Result<Vec<_>, _>>().expect("holders")
        };
        let merged = [1, 5, 6, 2, 3, 7, 4].map(line);
        let merged = holders(merged.each_ref().map(String::as_str));
        assert_eq!(merge_holders(lists.each_ref().map(parse)), merged);
    }

    #[test]
    fn a_later_source_takes_no_id_by_an_earlier_turn() {
        let id = KeyId::of(b"a");
        let own = format!("192.0.2.2 1 {id}");
        let first = nodes(["192.0.2.1 1", &own]);
        let second = nodes([&format!("198.51.100.1 1 {id}")]);
        assert_eq!(merge_nodes([first.clone(), second]), first);
    }
}
