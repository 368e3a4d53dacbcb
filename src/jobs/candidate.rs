//! The nodes that a fetch tries, in order.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Instant;

use crate::jobs::job_context::JobContext;
use crate::jobs::offer::Offer;
use crate::jobs::wanted_file::ListedContent;
use crate::protocol::{ContentHash, HolderItem, NodeAddress, address_group};

/// How many nodes at one address are tried before it is the turn of other addresses.
const NODES_PER_TURN: usize = 4;

/// A node to try.
#[derive(Clone, Copy)]
pub(super) struct Candidate {
    pub(super) node: NodeAddress,
    /// The hash that the content must have: the wanted one, the one that the node has announced,
    /// or else the one that other nodes have announced.
    pub(super) hash: Option<ContentHash>,
    /// Whether only other nodes have announced this hash.
    pub(super) has_hash_of_others: bool,
    /// The size that belongs to this hash.
    pub(super) size: u64,
    /// Whether it is tried again because our output was slow.
    pub(super) is_retry: bool,
}

/// The holders by their contents, in the order of `offers`, and those without a known
/// hash; then the other nodes. Of the holders of one content, those with its most announced
/// size come first, and of these the nodes that could be reached a moment ago. If a content
/// is wanted, only its holders. If the hash of a content is known, nodes without a known hash
/// must send the first such content. Addresses take turns, so that many nodes at one address do
/// not hide the others. Of equal nodes, those with the fewest unanswered requests come first:
/// many small files come from all of them, and fewer from a slow one.
pub(super) fn candidates(
    wanted: Option<ContentHash>,
    context: &JobContext,
    holders: &[HolderItem],
    offers: &[Offer],
    now: Instant,
) -> VecDeque<Candidate> {
    let hashes = offers.iter().enumerate();
    let ranks: BTreeMap<_, _> = hashes.map(|(rank, offer)| (offer.hash, rank)).collect();
    let rank = |hash: ContentHash| ranks.get(&hash).copied().unwrap_or(offers.len());
    let mut known = BTreeSet::from_iter(context.own_addresses.values().copied());
    let mut contents = BTreeSet::new();
    let mut is_first = |holder: &HolderItem| {
        // Several relays may know different contents of a node: one of them is right.
        let may_have_another = context.has_several_sources && !context.is_own(holder.node);
        let is_new = contents.insert((holder.node, holder.hash));
        known.insert(holder.node) || (may_have_another && is_new)
    };
    let holders = holders
        .iter()
        .filter(|holder| (wanted.is_none() || holder.hash.0 == wanted) && is_first(holder));
    let unannounced = |node, size| match offers.first() {
        Some(offer) => Candidate {
            has_hash_of_others: true,
            ..Candidate::new(node, Some(offer.hash), offer.size)
        },
        None => Candidate::new(node, None, size),
    };
    let holders = holders.map(|holder| {
        let candidate = match holder.hash.0 {
            Some(hash) => Candidate::new(holder.node, Some(hash), holder.size),
            None => unannounced(holder.node, holder.size),
        };
        (holder.hash.0.map_or(offers.len(), rank), candidate)
    });
    let mut all: Vec<_> = holders.collect();
    if wanted.is_none() {
        let is_untrusted = |node| context.node_tls.is_untrusted(node, now);
        let is_other = |node: &&NodeAddress| !known.contains(node) && !is_untrusted(**node);
        let others = context.nodes.iter().filter(is_other);
        all.extend(others.map(|node| (offers.len() + 1, unannounced(*node, 0))));
    }
    in_order(context, all, offers, now)
}

/// All nodes, for a content that each of them has.
pub(super) fn candidates_for_listed(
    context: &JobContext,
    content: ListedContent,
    now: Instant,
) -> VecDeque<Candidate> {
    let others = context.nodes.iter().filter(|node| !context.is_own(**node));
    let candidate = |node: &NodeAddress| Candidate::new(*node, Some(content.hash), content.size);
    let all = others.map(|node| (0, candidate(node)));
    in_order(context, all.collect(), &[], now)
}

/// The candidates with the ranks of their contents, in the order in which they are tried.
fn in_order(
    context: &JobContext,
    all: Vec<(usize, Candidate)>,
    offers: &[Offer],
    now: Instant,
) -> VecDeque<Candidate> {
    let mut counts: HashMap<(usize, IpAddr), usize> = HashMap::new();
    let in_turn = all.into_iter().map(|(rank, candidate)| {
        let address = address_group(candidate.node.ip());
        let count = counts.entry((rank, address)).or_default();
        let turn = *count / NODES_PER_TURN;
        *count += 1;
        (rank, turn, candidate)
    });
    let mut in_turn: Vec<_> = in_turn.collect();
    let has_other_size = |rank: usize, candidate: &Candidate| {
        let offer = offers.get(rank);
        offer.is_some_and(|offer| offer.size != candidate.size)
    };
    in_turn.sort_by_cached_key(|(rank, turn, candidate)| {
        let has_other_size = has_other_size(*rank, candidate);
        let is_unreachable = context.unreachable.contains(candidate.node, now);
        let load = context.pool.load(candidate.node);
        (*rank, has_other_size, is_unreachable, *turn, load)
    });
    in_turn
        .into_iter()
        .map(|(.., candidate)| candidate)
        .collect()
}

impl Candidate {
    /// Whether the other one is expected to send the same content.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        (self.hash, self.has_hash_of_others) == (other.hash, other.has_hash_of_others)
    }

    fn new(node: NodeAddress, hash: Option<ContentHash>, size: u64) -> Self {
        Self {
            node,
            hash,
            has_hash_of_others: false,
            size,
            is_retry: false,
        }
    }
}
