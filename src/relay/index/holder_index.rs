//! The contents and positions of a long list of holders, found without a pass over it.

use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

use crate::relay::index::capacity::{grow, shrink, shrink_table};
use crate::relay::index::holder::{ContentCounts, ContentId, Holder, NameContent};
use crate::relay::index::{Minute, SlotId};

/// Answers questions about a long list without a pass over it.
#[derive(Default)]
pub(super) struct HolderIndex {
    /// Each node and its position in the list, by the hash of the node.
    node_positions: HashTable<(SlotId, u32)>,
    /// Each content once, because there are millions of them.
    contents: Vec<ContentHolders>,
    /// The positions in `contents` by the hash of the content.
    content_positions: HashTable<u32>,
    /// Randomly keyed: the contents come from the network, and the nodes, too.
    hasher: RandomState,
    /// Contents with a public holder.
    public_contents: usize,
}

/// The holders of one content.
struct ContentHolders {
    content: ContentId,
    all: u32,
    public: u32,
    /// Since when there have been holders, and public ones.
    since: Minute,
    public_since: Minute,
}

impl ContentHolders {
    fn new(content: ContentId) -> Self {
        Self {
            content,
            all: 0,
            public: 0,
            since: Minute::LAST,
            public_since: Minute::LAST,
        }
    }

    fn since(&self, on_loopback: bool) -> Minute {
        if on_loopback {
            self.since
        } else {
            self.public_since
        }
    }
}

impl HolderIndex {
    pub(super) fn insert(&mut self, holder: &Holder, position: usize) {
        self.set_position(holder.node, position);
        let position = self.content_or_new(holder.content());
        let holders = &mut self.contents[position];
        holders.all += 1;
        holders.since = holders.since.min(holder.since);
        if !holder.on_loopback {
            holders.public += 1;
            holders.public_since = holders.public_since.min(holder.since);
            self.public_contents += usize::from(holders.public == 1);
        }
    }

    pub(super) fn remove(&mut self, holder: &Holder) {
        let (node, content) = (holder.node, holder.content());
        self.remove_node(node);
        let Some(position) = self.content_position(content) else {
            return;
        };
        let holders = &mut self.contents[position];
        holders.all -= 1;
        if !holder.on_loopback {
            holders.public -= 1;
            if holders.public == 0 {
                holders.public_since = Minute::LAST;
            }
            self.public_contents -= usize::from(holders.public == 0);
        }
        if holders.all == 0 {
            self.remove_content(position);
        }
    }

    /// The position of a node in the list.
    pub(super) fn position(&self, node: SlotId) -> Option<usize> {
        let hash = self.hasher.hash_one(node);
        let entry = self.node_positions.find(hash, |entry| entry.0 == node);
        entry.map(|(_, at)| *at as usize)
    }

    /// Notes the new position of a node.
    pub(super) fn set_position(&mut self, node: SlotId, position: usize) {
        // A node has one place in the list, and a slab of nodes never has 2^32 entries.
        let new = (node, position as u32);
        let (own, is_same) = (self.hasher.hash_one(node), |e: &(SlotId, _)| e.0 == node);
        if let Some(entry) = self.node_positions.find_mut(own, is_same) {
            *entry = new;
            return;
        }
        let hash = |entry: &(SlotId, u32)| self.hasher.hash_one(entry.0);
        self.node_positions.insert_unique(own, new, hash);
        self.shrink_node_positions();
    }

    fn remove_node(&mut self, node: SlotId) {
        let own = self.hasher.hash_one(node);
        if let Ok(entry) = self.node_positions.find_entry(own, |e| e.0 == node) {
            entry.remove();
        }
        self.shrink_node_positions();
    }

    fn shrink_node_positions(&mut self) {
        let hash = |entry: &(SlotId, u32)| self.hasher.hash_one(entry.0);
        shrink_table(&mut self.node_positions, hash);
    }

    fn shrink_content_positions(&mut self) {
        let hash = |at: &u32| self.hasher.hash_one(self.contents[*at as usize].content);
        shrink_table(&mut self.content_positions, hash);
    }

    /// The number of different contents.
    pub(super) fn content_counts(&self) -> ContentCounts {
        ContentCounts {
            all: self.contents.len(),
            public: self.public_contents,
        }
    }

    /// Since when a content has had holders, as requesters on loopback or others see it.
    pub(super) fn since(&self, content: ContentId, on_loopback: bool) -> Minute {
        let position = self.content_position(content);
        position.map_or(Minute::LAST, |at| self.contents[at].since(on_loopback))
    }

    /// Collects contents as [`Holders::contents`](super::holders::Holders::contents) does.
    pub(super) fn contents(
        &self,
        on_loopback: bool,
        max: usize,
        found: &mut Vec<NameContent>,
    ) -> usize {
        let seen = self.contents.iter().map(|holders| NameContent {
            content: holders.content,
            holders: match on_loopback {
                true => holders.all.into(),
                false => holders.public.into(),
            },
            since: holders.since(on_loopback),
        });
        found.extend(seen.filter(|found| found.holders > 0).take(max));
        self.content_counts().seen(on_loopback)
    }

    fn content_position(&self, content: ContentId) -> Option<usize> {
        let is_same = |at: &u32| self.contents[*at as usize].content == content;
        let hash = self.hasher.hash_one(content);
        let position = self.content_positions.find(hash, is_same);
        position.map(|at| *at as usize)
    }

    /// The position of a content, which is added if it is missing.
    fn content_or_new(&mut self, content: ContentId) -> usize {
        if let Some(position) = self.content_position(content) {
            return position;
        }
        let position = self.contents.len();
        grow(&mut self.contents);
        self.contents.push(ContentHolders::new(content));
        let (contents, hasher) = (&self.contents, &self.hasher);
        let hash = |at: &u32| hasher.hash_one(contents[*at as usize].content);
        let own = hasher.hash_one(content);
        self.content_positions
            .insert_unique(own, position as u32, hash);
        self.shrink_content_positions();
        position
    }

    /// Removes a content. The last one takes its position.
    fn remove_content(&mut self, position: usize) {
        let last = self.contents.len() - 1;
        let hash = |at: usize| self.hasher.hash_one(self.contents[at].content);
        let (removed, moved) = (hash(position), hash(last));
        let entry = self
            .content_positions
            .find_entry(removed, |at| *at as usize == position);
        if let Ok(entry) = entry {
            entry.remove();
        }
        let entry = self
            .content_positions
            .find_mut(moved, |at| *at as usize == last);
        if let Some(entry) = entry {
            *entry = position as u32;
        }
        self.contents.swap_remove(position);
        shrink(&mut self.contents);
        self.shrink_content_positions();
    }
}
