//! Merges the answers of several sources to one query.

use std::collections::HashSet;
use std::hash::Hash;

use crate::jobs::relay_query::RelayAnswer;
use crate::protocol::{HolderItem, NodeAddress};

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

fn merge_nodes(first: Vec<NodeAddress>, second: Vec<NodeAddress>) -> Vec<NodeAddress> {
    unique(first.into_iter().chain(second), |node| *node)
}

/// Two sources may know different contents of one node: only one of them is up to date. A
/// source that does not know the hash yet says nothing that another one does not say better.
fn merge_holders(first: Vec<HolderItem>, second: Vec<HolderItem>) -> Vec<HolderItem> {
    let all = first.into_iter().chain(second);
    let mut merged = unique(all, |holder| (holder.node, holder.hash));
    let with_hash = merged.iter().filter(|holder| holder.hash.0.is_some());
    let with_hash: HashSet<NodeAddress> = with_hash.map(|holder| holder.node).collect();
    merged.retain(|holder| holder.hash.0.is_some() || !with_hash.contains(&holder.node));
    merged
}

/// The first item of each key.
fn unique<T, K: Eq + Hash>(items: impl Iterator<Item = T>, key: impl Fn(&T) -> K) -> Vec<T> {
    let mut keys = HashSet::new();
    items.filter(|item| keys.insert(key(item))).collect()
}
