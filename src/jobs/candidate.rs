//! The nodes that a fetch tries, in order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::jobs::choice::Offer;
use crate::jobs::job::JobContext;
use crate::protocol::{ContentHash, HolderItem, NodeAddress};

/// A node to try.
#[derive(Clone, Copy)]
pub(super) struct Candidate {
    pub(super) node: NodeAddress,
    /// The hash that the content must have: the wanted one, or the announced one.
    pub(super) hash: Option<ContentHash>,
    /// The size that belongs to this hash.
    pub(super) size: u64,
    /// Whether it is tried again because our output was slow.
    pub(super) is_retry: bool,
}

/// The holders by their contents, in the order of `offers`, and those without a known
/// hash; then the other nodes. If a content is wanted, only its holders.
pub(super) fn candidates(
    wanted: Option<ContentHash>,
    context: &JobContext,
    holders: &[HolderItem],
    offers: &[Offer],
) -> VecDeque<Candidate> {
    let hashes = offers.iter().enumerate();
    let ranks: BTreeMap<_, _> = hashes.map(|(rank, offer)| (offer.hash, rank)).collect();
    let rank = |hash: Option<ContentHash>| hash.and_then(|hash| ranks.get(&hash).copied());
    let mut known = BTreeSet::from_iter(context.own_address);
    let holders = holders.iter().filter(|holder| {
        (wanted.is_none() || holder.hash.0 == wanted) && known.insert(holder.node)
    });
    let mut holders: Vec<_> = holders
        .map(|holder| (holder.node, holder.hash.0, holder.size))
        .collect();
    holders.sort_by_key(|(_, hash, _)| rank(*hash).unwrap_or(usize::MAX));
    let others = context.nodes.iter().filter(|node| !known.contains(node));
    let others = others.filter(|_| wanted.is_none());
    let all = holders
        .into_iter()
        .chain(others.map(|node| (*node, None, 0)));
    let candidate = |(node, hash, size)| Candidate {
        node,
        hash,
        size,
        is_retry: false,
    };
    all.map(candidate).collect()
}
