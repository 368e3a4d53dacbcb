//! The nodes that a download uses.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::jobs::content::PieceSet;
use crate::jobs::ids::RequestId;
use crate::jobs::slow_node::SLOW_BYTES;
use crate::protocol::{NodeAddress, address_group};

/// How often a node may fail in a row before it is given up.
const MAX_FAILURES: u32 = 4;

/// The same if it has another secret: somebody changes it on one machine after the other. With the
/// doubled delays, this is half a minute.
const MAX_OTHER_SECRETS: u32 = 8;

/// The most nodes that one download knows. The relay may name many more.
const MAX_KNOWN: usize = 1000;

/// The most slow nodes that others are used beside, for each place of a node.
const SLOW_PER_PLACE: usize = 3;

/// A node that has the content.
pub(super) struct Source {
    pub(super) node: NodeAddress,
    pub(super) state: SourceState,
    /// Its list of pieces was requested.
    pub(super) was_listed: bool,
    /// The user knows that it is asked.
    pub(super) was_reported: bool,
    /// Failures since its last right piece.
    failures: u32,
    /// Set if it has a part of the content only.
    pub(super) parts: Option<NodeParts>,
    /// It did not have a piece, and was asked which ones it has. From then on a piece that it
    /// has named and does not have is a failure.
    pub(super) has_lacked_piece: bool,
    /// Its list of pieces has arrived, and is right.
    pub(super) has_listed: bool,
    /// It has begun to send a piece.
    pub(super) has_sent: bool,
    /// It counts among those that have failed.
    pub(super) has_failed: bool,
    /// The bytes of the right pieces that it has sent.
    pub(super) bytes: u64,
    /// All bytes of pieces that it has sent.
    pub(super) received: u64,
    /// When it is checked whether it is slow, and what it had sent at the last check.
    rate_check: Option<(Instant, u64)>,
    /// It has sent little of what it was asked for.
    pub(super) is_slow: bool,
}

/// What a node has of a content that it is still fetching itself.
#[derive(Default)]
pub(super) struct NodeParts {
    /// The pieces that it had when it was asked last.
    pub(super) pieces: PieceSet,
    /// The request for them, as long as it is not answered.
    pub(super) stat: Option<RequestId>,
}

/// Whether a node may be asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum SourceState {
    /// It may be asked.
    Ready,
    /// It has failed, and may be asked again from this time on.
    Waiting(Instant),
    /// It cannot list the pieces, but may send them.
    WithoutList,
    /// It is not asked any longer. A later holder at its address may be another program.
    GivenUp,
    /// It has sent something wrong, and is never asked again.
    Liar,
}

impl Source {
    fn new(node: NodeAddress) -> Self {
        Self {
            node,
            state: SourceState::Ready,
            was_listed: false,
            was_reported: false,
            failures: 0,
            parts: None,
            has_lacked_piece: false,
            has_listed: false,
            has_sent: false,
            has_failed: false,
            bytes: 0,
            received: 0,
            rate_check: None,
            is_slow: false,
        }
    }

    /// It is asked for a first piece. At this time it is checked what it has sent.
    pub(super) fn start_rate_check(&mut self, due: Instant) {
        self.rate_check = Some((due, self.received));
    }

    /// When [`Source::check_rate`] is due.
    pub(super) fn next_rate_check(&self) -> Option<Instant> {
        self.rate_check.map(|(due, _)| due)
    }

    /// Checks whether it is slow, if that is due. The next check is an `interval` later.
    pub(super) fn check_rate(&mut self, now: Instant, interval: Duration) {
        if let Some((due, before)) = self.rate_check
            && due <= now
        {
            self.is_slow = self.received - before < SLOW_BYTES;
            self.start_rate_check(now + interval);
        }
    }

    /// Whether it may be asked for pieces now.
    pub(super) fn is_usable(&self) -> bool {
        matches!(self.state, SourceState::Ready | SourceState::WithoutList)
    }

    fn is_without_list(&self) -> bool {
        self.state == SourceState::WithoutList
    }

    /// Whether it may be asked now or later.
    pub(super) fn is_in_use(&self) -> bool {
        !matches!(self.state, SourceState::GivenUp | SourceState::Liar)
    }

    /// It has sent a right piece. Only that is progress: a node can say anything.
    pub(super) fn on_right_piece(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.failures = 0;
        self.state = SourceState::Ready;
    }

    /// Whether it is being asked which pieces it has.
    pub(super) fn awaits_parts(&self) -> bool {
        let parts = self.parts.as_ref();
        parts.is_some_and(|parts| parts.stat.is_some())
    }

    /// Whether it may have this piece.
    pub(super) fn may_have(&self, piece: u32) -> bool {
        let mut parts = self.parts.iter();
        parts.all(|parts| parts.stat.is_none() && parts.pieces.contains(piece))
    }

    /// It has failed. Several requests may fail together, so nothing counts while it waits.
    /// A node that has never sent a part of a piece is given up at once, unless it `is_busy`.
    /// Returns whether it is given up.
    pub(super) fn on_failure(&mut self, is_busy: bool, now: Instant, delay: Duration) -> bool {
        self.wait(self.has_sent || is_busy, MAX_FAILURES, now, delay)
    }

    /// The same for one that has another secret than we have. If it has sent anything, both had
    /// the same one, and will have the same one again.
    pub(super) fn on_other_secret(&mut self, now: Instant, delay: Duration) -> bool {
        let knew_ours = self.has_listed || self.has_sent;
        self.wait(knew_ours, MAX_OTHER_SECRETS, now, delay)
    }

    fn wait(&mut self, may_wait: bool, max: u32, now: Instant, delay: Duration) -> bool {
        if let SourceState::Waiting(_) = self.state {
            return false;
        }
        self.failures += 1;
        self.state = match may_wait && self.failures < max {
            true => SourceState::Waiting(now + delay * 2_u32.pow(self.failures - 1)),
            false => SourceState::GivenUp,
        };
        self.state == SourceState::GivenUp
    }
}

/// The nodes of a download: those in use, and spare ones.
pub(super) struct Sources {
    pub(super) all: Vec<Source>,
    spare: VecDeque<NodeAddress>,
    /// The nodes of both.
    known: BTreeSet<NodeAddress>,
    /// The most nodes in use.
    max: usize,
}

impl Sources {
    pub(super) fn new(nodes: impl IntoIterator<Item = NodeAddress>, max: usize) -> Self {
        let mut sources = Self {
            all: Vec::new(),
            spare: VecDeque::new(),
            known: BTreeSet::new(),
            max,
        };
        sources.add(nodes, |_| false);
        sources
    }

    /// Takes nodes into use: those that have waited long enough and, if `may_add`, spare
    /// ones. If it `needs_list`, nodes without one leave room for others.
    pub(super) fn refill(&mut self, may_add: bool, needs_list: bool, now: Instant) {
        for source in &mut self.all {
            if let SourceState::Waiting(until) = source.state
                && until <= now
            {
                source.state = SourceState::Ready;
            }
        }
        let max = self.places();
        let mut in_use = self.in_use();
        if needs_list {
            in_use -= self.without_list();
        }
        if may_add {
            self.add_spare(max.saturating_sub(in_use));
        }
    }

    /// Takes up to so many spare nodes into use. Those at addresses of which the fewest nodes are
    /// in use come first: many nodes at one address must not take all places.
    fn add_spare(&mut self, places: usize) {
        let places = places.min(self.spare.len());
        if places == 0 {
            return;
        }
        let group = |node: NodeAddress| address_group(node.ip());
        let mut in_use: BTreeMap<IpAddr, usize> = BTreeMap::new();
        for source in self.all.iter().filter(|source| source.is_in_use()) {
            *in_use.entry(group(source.node)).or_default() += 1;
        }
        for _ in 0..places {
            let count = |spare: NodeAddress| in_use.get(&group(spare)).copied().unwrap_or(0);
            let spare = self.spare.iter().enumerate();
            let next = spare.min_by_key(|(_, spare)| count(**spare));
            let next = next.map(|(next, _)| next);
            if let Some(node) = next.and_then(|next| self.spare.remove(next)) {
                *in_use.entry(group(node)).or_default() += 1;
                self.all.push(Source::new(node));
            }
        }
    }

    /// Adds nodes that hold the content now, and tries those again that were given up, if they
    /// `may_retry`. Returns how many of these had failed.
    pub(super) fn add(
        &mut self,
        nodes: impl IntoIterator<Item = NodeAddress>,
        may_retry: impl Fn(&Source) -> bool,
    ) -> usize {
        let mut had_failed = 0;
        let mut known_again = BTreeSet::new();
        for node in nodes {
            if self.known.contains(&node) {
                known_again.insert(node);
            } else if self.known.len() < MAX_KNOWN {
                self.known.insert(node);
                self.spare.push_back(node);
            }
        }
        for source in &mut self.all {
            let is_given_up = source.state == SourceState::GivenUp;
            if is_given_up && may_retry(source) && known_again.contains(&source.node) {
                had_failed += usize::from(source.has_failed);
                let bytes = source.bytes;
                *source = Source::new(source.node);
                source.bytes = bytes;
            }
        }
        had_failed
    }

    /// The number of nodes that do not list the pieces.
    pub(super) fn without_list(&self) -> usize {
        let sources = self.all.iter();
        sources.filter(|source| source.is_without_list()).count()
    }

    /// Whether more nodes could be used than are known.
    pub(super) fn wants_more(&self) -> bool {
        self.in_use() + self.spare.len() < self.places()
    }

    /// The most nodes that are used now.
    fn places(&self) -> usize {
        let used = self.all.iter().filter(|source| source.is_in_use());
        let slow = used.filter(|source| source.is_slow).count();
        let extra = slow.min(self.max.saturating_mul(SLOW_PER_PLACE));
        self.max.saturating_add(extra)
    }

    /// The number of nodes that may be asked now or later.
    pub(super) fn in_use(&self) -> usize {
        self.all.iter().filter(|source| source.is_in_use()).count()
    }

    /// When a node that waits may be asked again.
    pub(super) fn next_retry(&self) -> Option<Instant> {
        let waiting = self.all.iter().filter_map(|source| match source.state {
            SourceState::Waiting(until) => Some(until),
            _ => None,
        });
        waiting.min()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn many_nodes_at_one_address_come_after_those_at_others() {
        let node = |text: String| NodeAddress::parse(&text).expect("an address");
        let crowd = (1..=900).map(|port| node(format!("192.0.2.1 {port}")));
        let others = (1..=90).map(|last| node(format!("192.0.2.{} 1", last + 1)));
        let mut sources = Sources::new(crowd.chain(others), 100);
        sources.refill(true, false, Instant::now());
        let at_one = |source: &&Source| source.node.ip() == Ipv4Addr::new(192, 0, 2, 1);
        assert_eq!(sources.all.len(), 100);
        assert_eq!(sources.all.iter().filter(at_one).count(), 10);
        assert_eq!(sources.all[0].node.port().get(), 1);
    }

    #[test]
    fn a_relay_that_names_very_many_nodes_costs_little() {
        let first = u32::from(Ipv4Addr::new(192, 0, 2, 1));
        let node = |index| NodeAddress::parse(&format!("{} 1", Ipv4Addr::from_bits(first + index)));
        let nodes = (0..100_000).map(node);
        let nodes: Vec<NodeAddress> = nodes.map(|node| node.expect("an address")).collect();
        let nodes = || nodes.iter().copied();
        let mut sources = Sources::new(nodes(), 2);
        for _ in 0..3 {
            sources.refill(true, false, Instant::now());
            sources.add(nodes(), |_| true);
        }
        assert_eq!((sources.all.len(), sources.spare.len()), (2, MAX_KNOWN - 2));
        sources.all[0].state = SourceState::GivenUp;
        sources.refill(false, false, Instant::now());
        assert_eq!(sources.all.len(), 2);
        sources.all[0].has_failed = true;
        assert_eq!(sources.add(nodes(), |_| true), 1);
        assert_eq!(sources.add(nodes(), |_| true), 0);
        assert_eq!(sources.all[0].state, SourceState::Ready);
    }
}
