//! The nodes that a download uses.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::protocol::NodeAddress;

/// How often a node may fail in a row before it is given up.
const MAX_FAILURES: u32 = 4;

/// A node that has the content.
pub(super) struct Source {
    pub(super) node: NodeAddress,
    pub(super) state: SourceState,
    /// Its list of pieces was requested.
    pub(super) was_listed: bool,
    /// The user knows that it is asked.
    pub(super) was_reported: bool,
    /// Failures since its last right piece, and when the last one was.
    failures: u32,
    failed_at: Option<Instant>,
    /// It has begun to send a piece.
    pub(super) has_sent: bool,
    /// The number of right pieces that it has sent.
    pub(super) pieces: u32,
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
            failed_at: None,
            has_sent: false,
            pieces: 0,
        }
    }

    /// Whether it may be asked for pieces now.
    pub(super) fn is_usable(&self) -> bool {
        matches!(self.state, SourceState::Ready | SourceState::WithoutList)
    }

    /// Whether it may be asked now or later.
    pub(super) fn is_in_use(&self) -> bool {
        !matches!(self.state, SourceState::GivenUp | SourceState::Liar)
    }

    /// It has sent a right piece.
    pub(super) fn on_right_piece(&mut self) {
        self.failures = 0;
        self.pieces += 1;
        self.state = SourceState::Ready;
    }

    /// It has failed. Several requests may be lost with one connection. A node that has
    /// never sent a part of a piece is given up at once. Returns whether it is given up.
    pub(super) fn on_failure(&mut self, now: Instant, delay: Duration) -> bool {
        if self.failed_at == Some(now) {
            return false;
        }
        self.failed_at = Some(now);
        self.failures += 1;
        self.state = match self.has_sent && self.failures < MAX_FAILURES {
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
    /// The most nodes in use.
    max: usize,
}

impl Sources {
    pub(super) fn new(nodes: impl IntoIterator<Item = NodeAddress>, max: usize) -> Self {
        Self {
            all: Vec::new(),
            spare: nodes.into_iter().collect(),
            max,
        }
    }

    /// Takes nodes into use: spare ones, and those that have waited long enough.
    pub(super) fn refill(&mut self, now: Instant) {
        for source in &mut self.all {
            if let SourceState::Waiting(until) = source.state
                && until <= now
            {
                source.state = SourceState::Ready;
            }
        }
        let mut in_use = self.in_use();
        while in_use < self.max
            && let Some(node) = self.spare.pop_front()
        {
            self.all.push(Source::new(node));
            in_use += 1;
        }
    }

    /// Adds nodes that hold the content now. Nodes that were given up are only tried again
    /// with `again`.
    pub(super) fn add(&mut self, nodes: impl Iterator<Item = NodeAddress>, again: bool) {
        for node in nodes {
            match self.all.iter_mut().find(|source| source.node == node) {
                Some(source) if again && source.state == SourceState::GivenUp => {
                    let pieces = source.pieces;
                    *source = Source::new(node);
                    source.pieces = pieces;
                }
                Some(_) => {}
                None if self.spare.contains(&node) => {}
                None => self.spare.push_back(node),
            }
        }
    }

    /// Whether more nodes could be used than are known.
    pub(super) fn wants_more(&self) -> bool {
        self.in_use() + self.spare.len() < self.max
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
