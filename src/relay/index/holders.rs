//! The holders of one file name. Most names have one holder; a name that every
//! node shares must not make the index slow.

use crate::relay::index::capacity::{grow, shrink};
use crate::relay::index::holder::{ContentCounts, Holder, NameContent};
use crate::relay::index::holder_index::HolderIndex;
use crate::relay::index::{Minute, SlotId, Visibility};

/// Longer lists of holders get an index; shorter ones are searched linearly.
const MAX_LINEAR: usize = 32;

/// The holders of one name: at least one, each node at most once.
pub(super) enum Holders {
    One(Holder),
    Several(Box<HolderList>),
}

/// Two holders or more.
#[derive(Default)]
pub(super) struct HolderList {
    list: Vec<Holder>,
    /// Present if the list is longer than [`MAX_LINEAR`].
    index: Option<Box<HolderIndex>>,
}

impl Holders {
    pub(super) fn list(&self) -> &[Holder] {
        match self {
            Self::One(holder) => std::slice::from_ref(holder),
            Self::Several(several) => &several.list,
        }
    }

    /// What a node has under this name.
    pub(super) fn of_node(&self, node: SlotId) -> Option<&Holder> {
        match self {
            Self::One(holder) => Some(holder).filter(|holder| { holder.node } == node),
            Self::Several(several) => several.list.get(several.position(node)?),
        }
    }

    /// The work of [`Holders::contents`] beyond that for one holder.
    pub(super) fn work(&self) -> usize {
        match self {
            Self::One(_) => 0,
            Self::Several(_) => self.list().len().min(MAX_LINEAR),
        }
    }

    /// Adds a holder, or replaces the entry of the same node. A content that has a holder already
    /// is not new.
    pub(super) fn put(&mut self, mut holder: Holder) {
        holder.since = holder.since.min(self.since(&holder));
        match self {
            Self::One(only) if only.node == holder.node => *only = holder,
            Self::One(only) => {
                let mut several = Box::<HolderList>::default();
                several.put(*only);
                several.put(holder);
                *self = Self::Several(several);
            }
            Self::Several(several) => several.put(holder),
        }
    }

    /// Removes a node, unless it is the only holder.
    pub(super) fn remove(&mut self, node: SlotId) {
        if let Self::Several(several) = self {
            several.remove(node);
            if let [only] = several.list[..] {
                *self = Self::One(only);
            }
        }
    }

    /// The number of different contents.
    pub(super) fn content_counts(&self) -> ContentCounts {
        if let Some(index) = self.index() {
            return index.content_counts();
        }
        let mut counts = ContentCounts::default();
        let list = self.list();
        for (position, holder) in list.iter().enumerate() {
            let mut same = list[..position]
                .iter()
                .filter(|h| h.content() == holder.content());
            counts.all += usize::from(same.clone().next().is_none());
            let is_public = !holder.on_loopback && same.all(|h| h.on_loopback);
            counts.public += usize::from(is_public);
        }
        counts
    }

    /// Since when this content has had holders, as those see it who see `new`.
    fn since(&self, new: &Holder) -> Minute {
        let content = new.content();
        let own = self.of_node(new.node);
        let own = own.filter(|own| own.content().becomes(content));
        let since = own.map_or(Minute::LAST, |own| own.since);
        if let Some(index) = self.index() {
            return since.min(index.since(content, new.on_loopback));
        }
        let holders = self.list().iter();
        let same = holders.filter(|other| other.content() == content && other.is_seen_with(new));
        same.map(|holder| holder.since).fold(since, Minute::min)
    }

    /// Collects the different contents among the visible holders, at most `max`, each
    /// with the number of its holders. Returns the number of all. A long list counts
    /// the nodes that have left until their files are removed.
    pub(super) fn contents(
        &self,
        visibility: &Visibility<'_>,
        max: usize,
        found: &mut Vec<NameContent>,
    ) -> usize {
        found.clear();
        if let Some(index) = self.index() {
            return index.contents(visibility.on_loopback, max, found);
        }
        for holder in self.list().iter().filter(|h| visibility.shows(h)) {
            let (content, since) = (holder.content(), holder.since);
            match found.iter_mut().find(|other| other.content == content) {
                Some(other) => {
                    other.holders += 1;
                    other.since = other.since.min(since);
                }
                None => found.push(NameContent {
                    content,
                    holders: 1,
                    since,
                }),
            }
        }
        let all = found.len();
        found.truncate(max);
        all
    }

    fn index(&self) -> Option<&HolderIndex> {
        match self {
            Self::One(_) => None,
            Self::Several(several) => several.index.as_deref(),
        }
    }
}

impl HolderList {
    fn put(&mut self, holder: Holder) {
        if let Some(position) = self.position(holder.node) {
            let previous = std::mem::replace(&mut self.list[position], holder);
            if let Some(index) = &mut self.index {
                index.remove(&previous);
                index.insert(&holder, position);
            }
            return;
        }
        let position = self.list.len();
        grow(&mut self.list);
        self.list.push(holder);
        if let Some(index) = &mut self.index {
            index.insert(&holder, position);
        } else if position >= MAX_LINEAR {
            let index = self.index.insert(Box::default());
            for (position, holder) in self.list.iter().enumerate() {
                index.insert(holder, position);
            }
        }
    }

    /// A short list keeps its order, a long one does not.
    fn remove(&mut self, node: SlotId) {
        let Some(position) = self.position(node) else {
            return;
        };
        if let Some(index) = &mut self.index {
            let holder = self.list.swap_remove(position);
            index.remove(&holder);
            if let Some(moved) = self.list.get(position) {
                index.set_position(moved.node, position);
            }
        } else {
            self.list.remove(position);
        }
        shrink(&mut self.list);
        if self.list.len() <= MAX_LINEAR / 2 {
            self.index = None;
        }
    }

    fn position(&self, node: SlotId) -> Option<usize> {
        match &self.index {
            Some(index) => index.position(node),
            None => self.list.iter().position(|holder| { holder.node } == node),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::protocol::MaybeHash;
    use crate::relay::index::ContentId;

    /// A node that is never removed.
    const PERMANENT: SlotId = 999;

    /// Every third node is on loopback.
    fn holder(node: SlotId, size: u64) -> Holder {
        Holder {
            node,
            content: ContentId::new(size, MaybeHash(None)),
            on_loopback: node.is_multiple_of(3),
            since: Minute::LAST,
        }
    }

    fn seen_by(on_loopback: bool) -> Visibility<'static> {
        Visibility {
            on_loopback,
            has_departed: false,
            is_live: &|_| true,
        }
    }

    /// The number of holders of each size.
    fn sizes(holders: &Holders, on_loopback: bool) -> BTreeMap<u64, u64> {
        let mut found = Vec::new();
        let all = holders.contents(&seen_by(on_loopback), usize::MAX, &mut found);
        assert_eq!(all, found.len());
        assert_eq!(all, holders.content_counts().seen(on_loopback));
        found
            .iter()
            .map(|found| (found.content.size, found.holders))
            .collect()
    }

    /// The age in minutes, at the minute 10, as others and as requesters on loopback see it.
    fn ages(holders: &Holders) -> [u64; 2] {
        [false, true].map(|on_loopback| {
            let mut found = Vec::new();
            holders.contents(&seen_by(on_loopback), 1, &mut found);
            found[0].since.age(Duration::from_secs(600)).as_secs() / 60
        })
    }

    /// Numbers that are multiples of three are on loopback.
    #[test]
    fn a_content_grows_old_although_its_holders_change() {
        let at = |node, minute: u64| Holder {
            since: Minute::of(Duration::from_secs(minute * 60)),
            ..holder(node, 0)
        };
        let mut holders = Holders::One(at(0, 1));
        holders.put(at(1, 2));
        assert_eq!(ages(&holders), [8, 9]);
        for node in 2..100 {
            holders.put(at(node, 3));
        }
        holders.remove(0);
        holders.remove(1);
        assert_eq!(ages(&holders), [8, 9]);
        for node in 2..98 {
            holders.remove(node);
        }
        holders.put(at(1, 9));
        assert_eq!(ages(&holders), [8, 9]);
        // Those on loopback alone make nothing older for others.
        holders.remove(98);
        holders.remove(1);
        holders.put(at(1, 9));
        assert_eq!(ages(&holders), [1, 9]);
    }

    proptest! {
        /// The list grows and shrinks across the limit many times.
        #[test]
        fn holders_match_a_plain_map(
            steps in prop::collection::vec((0..120_u32, 0..3_u64, 0..40_u32), 1..300)
        ) {
            let mut holders = Holders::One(holder(PERMANENT, 0));
            let mut map = BTreeMap::from([(PERMANENT, 0)]);
            for (node, size, removal) in steps {
                holders.put(holder(node, size));
                map.insert(node, size);
                if removal >= 35 {
                    for node in (node % 2..120).step_by(2) {
                        holders.remove(node);
                        map.remove(&node);
                    }
                }
                let mut list: Vec<_> =
                    holders.list().iter().map(|h| (h.node, h.content().size)).collect();
                list.sort_unstable();
                prop_assert_eq!(list, map.clone().into_iter().collect::<Vec<_>>());
                for on_loopback in [true, false] {
                    let mut expected = BTreeMap::new();
                    for (node, size) in &map {
                        if on_loopback || !node.is_multiple_of(3) {
                            *expected.entry(*size).or_insert(0) += 1;
                        }
                    }
                    prop_assert_eq!(sizes(&holders, on_loopback), expected);
                }
            }
        }
    }
}
