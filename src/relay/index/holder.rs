//! A holder of a file name, its content, and what the holders of a name have.

use std::ops::{AddAssign, SubAssign};

use crate::protocol::{ContentHash, MaybeHash};
use crate::relay::index::{Minute, SlotId};

/// Identifies a content.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(in crate::relay) struct ContentId {
    pub(in crate::relay) size: u64,
    /// All zeros if the hash is not known yet: a known one is never zeros.
    hash: [u8; 32],
}

impl ContentId {
    pub(in crate::relay) fn new(size: u64, hash: MaybeHash) -> Self {
        let hash = hash.0.map_or([0; 32], |hash| hash.0);
        Self { size, hash }
    }

    pub(in crate::relay) fn hash(&self) -> MaybeHash {
        MaybeHash(self.is_known().then_some(ContentHash(self.hash)))
    }

    /// Whether the hash is known.
    pub(in crate::relay) fn is_known(&self) -> bool {
        self.hash != [0; 32]
    }

    /// Whether the node may have computed the hash since it has announced `self`.
    pub(super) fn becomes(&self, later: Self) -> bool {
        self.size == later.size && !self.is_known()
    }
}

/// One node's file under a name. Packed, because there are millions of them:
/// alignment would add padding to each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(Rust, packed(1))]
pub(in crate::relay) struct Holder {
    pub(in crate::relay) node: SlotId,
    pub(in crate::relay) content: ContentId,
    /// The node is on loopback; requesters elsewhere do not see it.
    pub(in crate::relay) on_loopback: bool,
    /// Since when the content has had holders under this name, as those see it who see this one.
    pub(in crate::relay) since: Minute,
}

impl Holder {
    /// Copied: there are no references into a packed struct.
    pub(in crate::relay) fn content(&self) -> ContentId {
        self.content
    }

    /// Whether everybody who sees `other` sees this one.
    pub(super) fn is_seen_with(&self, other: &Self) -> bool {
        other.on_loopback || !self.on_loopback
    }
}

/// A content of a name, as the requester may see it.
#[derive(Clone, Copy)]
pub(super) struct NameContent {
    pub(super) content: ContentId,
    /// Its holders.
    pub(super) holders: u64,
    /// Since when it has had holders.
    pub(super) since: Minute,
}

/// The number of different contents of a name.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct ContentCounts {
    /// Visible to requesters on loopback: all.
    pub(super) all: usize,
    /// Visible to requesters elsewhere.
    pub(super) public: usize,
}

impl ContentCounts {
    pub(super) fn seen(self, on_loopback: bool) -> usize {
        if on_loopback { self.all } else { self.public }
    }
}

impl AddAssign for ContentCounts {
    fn add_assign(&mut self, other: Self) {
        self.all += other.all;
        self.public += other.public;
    }
}

impl SubAssign for ContentCounts {
    fn sub_assign(&mut self, other: Self) {
        self.all -= other.all;
        self.public -= other.public;
    }
}
