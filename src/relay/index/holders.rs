//! The holders of one file name. Most names have one holder; a name that every
//! node shares must not make the index slow.

use std::collections::HashMap;

use crate::protocol::{ContentHash, MaybeHash};
use crate::relay::index::SlotId;

/// Longer lists of holders get an index; shorter ones are searched linearly.
const MAX_LINEAR: usize = 32;

/// One node's file under a name. Packed, because there are millions of them:
/// alignment would add eight bytes of padding to each.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(Rust, packed(4))]
pub(in crate::relay) struct Holder {
    pub(in crate::relay) node: SlotId,
    pub(in crate::relay) size: u64,
    /// All zeros if the hash is not known yet.
    hash: [u8; 32],
}

/// Identifies a content: size and hash.
type ContentKey = (u64, [u8; 32]);

impl Holder {
    pub(in crate::relay) fn new(node: SlotId, size: u64, hash: MaybeHash) -> Self {
        let hash = hash.0.map_or([0; 32], |hash| hash.0);
        Self { node, size, hash }
    }

    pub(in crate::relay) fn hash(&self) -> MaybeHash {
        MaybeHash((self.hash != [0; 32]).then_some(ContentHash(self.hash)))
    }

    fn content(&self) -> ContentKey {
        (self.size, self.hash)
    }
}

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
    index: Option<HolderIndex>,
}

/// Finds entries of a long list without a search.
#[derive(Default)]
struct HolderIndex {
    /// The position of each node in the list.
    positions: HashMap<SlotId, usize>,
    /// How many holders have each content.
    contents: HashMap<ContentKey, usize>,
}

impl Holders {
    pub(super) fn list(&self) -> &[Holder] {
        match self {
            Self::One(holder) => std::slice::from_ref(holder),
            Self::Several(several) => &several.list,
        }
    }

    /// Whether the holders have different contents.
    pub(super) fn is_ambiguous(&self) -> bool {
        match self {
            Self::One(_) => false,
            Self::Several(several) => several.is_ambiguous(),
        }
    }

    /// Adds a holder, or replaces the entry of the same node.
    pub(super) fn put(&mut self, holder: Holder) {
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

    /// Removes a node, if it is in the list. Returns false if the node is the only
    /// holder: the caller then removes the name.
    pub(super) fn remove(&mut self, node: SlotId) -> bool {
        match self {
            Self::One(only) => return only.node != node,
            Self::Several(several) => {
                several.remove(node);
                if let [only] = several.list[..] {
                    *self = Self::One(only);
                }
            }
        }
        true
    }

    /// The different contents among the visible holders, each with one of its
    /// holders and their number.
    pub(super) fn contents(&self, is_visible: impl Fn(SlotId) -> bool) -> Vec<(Holder, u64)> {
        let is_long = self.list().len() > MAX_LINEAR;
        let mut contents: Vec<(Holder, u64)> = Vec::new();
        let mut positions: HashMap<ContentKey, usize> = HashMap::new();
        for holder in self.list().iter().filter(|holder| is_visible(holder.node)) {
            let content = holder.content();
            let position = if is_long {
                *positions.entry(content).or_insert(contents.len())
            } else {
                let same = contents.iter().position(|(c, _)| c.content() == content);
                same.unwrap_or(contents.len())
            };
            match contents.get_mut(position) {
                Some((_, count)) => *count += 1,
                None => contents.push((*holder, 1)),
            }
        }
        contents
    }
}

impl HolderList {
    fn is_ambiguous(&self) -> bool {
        match &self.index {
            Some(index) => index.contents.len() > 1,
            None => {
                let mut contents = self.list.iter().map(Holder::content);
                let first = contents.next();
                contents.any(|content| Some(content) != first)
            }
        }
    }

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
        self.list.push(holder);
        if let Some(index) = &mut self.index {
            index.insert(&holder, position);
        } else if position >= MAX_LINEAR {
            let index = self.index.insert(HolderIndex::default());
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
        let Some(index) = &mut self.index else {
            self.list.remove(position);
            return;
        };
        let holder = self.list.swap_remove(position);
        index.remove(&holder);
        if let Some(moved) = self.list.get(position) {
            index.positions.insert(moved.node, position);
        }
        if self.list.len() <= MAX_LINEAR / 2 {
            self.index = None;
            self.list.shrink_to_fit();
        }
    }

    fn position(&self, node: SlotId) -> Option<usize> {
        match &self.index {
            Some(index) => index.positions.get(&node).copied(),
            None => self.list.iter().position(|holder| holder.node == node),
        }
    }
}

impl HolderIndex {
    fn insert(&mut self, holder: &Holder, position: usize) {
        self.positions.insert(holder.node, position);
        *self.contents.entry(holder.content()).or_default() += 1;
    }

    fn remove(&mut self, holder: &Holder) {
        self.positions.remove(&holder.node);
        if let Some(count) = self.contents.get_mut(&holder.content()) {
            *count -= 1;
            if *count == 0 {
                self.contents.remove(&holder.content());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    /// A node that is never removed.
    const PERMANENT: SlotId = 999;

    proptest! {
        /// The list grows and shrinks across the limit many times.
        #[test]
        fn holders_match_a_plain_map(
            steps in prop::collection::vec((0..120_u32, 0..3_u64, 0..40_u32), 1..300)
        ) {
            let permanent = Holder::new(PERMANENT, 0, MaybeHash(None));
            let mut holders = Holders::One(permanent);
            let mut map = BTreeMap::from([(PERMANENT, 0)]);
            for (node, size, removal) in steps {
                holders.put(Holder::new(node, size, MaybeHash(None)));
                map.insert(node, size);
                if removal >= 35 {
                    for node in (node % 2..120).step_by(2) {
                        prop_assert!(holders.remove(node));
                        map.remove(&node);
                    }
                }
                let mut list: Vec<_> = holders.list().iter().map(|h| (h.node, h.size)).collect();
                list.sort_unstable();
                prop_assert_eq!(list, map.clone().into_iter().collect::<Vec<_>>());
                let mut counts: Vec<_> =
                    holders.contents(|_| true).iter().map(|(h, n)| (h.size, *n)).collect();
                counts.sort_unstable();
                let expected: Vec<_> = (0..3)
                    .map(|size| (size, map.values().filter(|s| **s == size).count() as u64))
                    .filter(|(_, count)| *count > 0)
                    .collect();
                prop_assert_eq!(holders.is_ambiguous(), expected.len() > 1);
                prop_assert_eq!(counts, expected);
            }
        }
    }

    #[test]
    fn a_name_with_100000_holders_is_not_slow() {
        let mut holders = Holders::One(Holder::new(0, 0, MaybeHash(None)));
        for node in 0..100_000 {
            holders.put(Holder::new(node, u64::from(node), MaybeHash(None)));
        }
        assert_eq!(holders.contents(|node| node < 50_000).len(), 50_000);
        for node in 0..100_000 {
            assert!(holders.is_ambiguous() == (node < 99_999));
            assert!(holders.remove(node) == (node < 99_999));
        }
    }
}
