//! Who has a file of one name. Mostly that is one node; but a name that every
//! node has must not make the index slow.

use std::collections::HashMap;

use crate::protocol::{ContentHash, MaybeHash};
use crate::relay::index::SlotId;

/// So many holders are looked through one by one.
const FEW: usize = 32;

/// One node's file under a name. Packed, since there are millions of them: without
/// it eight bytes of each would be empty.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(Rust, packed(4))]
pub(in crate::relay) struct Holder {
    pub(in crate::relay) node: SlotId,
    pub(in crate::relay) size: u64,
    /// All zero where the hash is not known: no content is known to have that.
    hash: [u8; 32],
}

/// What tells a content from others: its size and hash.
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

/// The holders of one name, each node once, at least one. Most names have one.
pub(super) enum Holders {
    One(Holder),
    Several(Box<Several>),
}

/// Two holders or more.
#[derive(Default)]
pub(super) struct Several {
    list: Vec<Holder>,
    /// Only of more than a few.
    many: Option<Many>,
}

/// What makes a long list quick.
#[derive(Default)]
struct Many {
    /// Where each node stands in the list.
    places: HashMap<SlotId, usize>,
    /// How many have each content.
    contents: HashMap<ContentKey, usize>,
}

impl Holders {
    pub(super) fn list(&self) -> &[Holder] {
        match self {
            Self::One(holder) => std::slice::from_ref(holder),
            Self::Several(several) => &several.list,
        }
    }

    /// Whether there are different contents.
    pub(super) fn is_ambiguous(&self) -> bool {
        match self {
            Self::One(_) => false,
            Self::Several(several) => several.is_ambiguous(),
        }
    }

    /// Adds a holder, or replaces what its node had.
    pub(super) fn put(&mut self, holder: Holder) {
        match self {
            Self::One(only) if only.node == holder.node => *only = holder,
            Self::One(only) => {
                let mut several = Box::<Several>::default();
                several.put(*only);
                several.put(holder);
                *self = Self::Several(several);
            }
            Self::Several(several) => several.put(holder),
        }
    }

    /// Takes a node out, if it is there. Returns false if it was the last: then
    /// the name is to go as well.
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

    /// The different contents of the holders that are seen, each with one who
    /// has it and with how many there are.
    pub(super) fn contents(&self, is_seen: impl Fn(SlotId) -> bool) -> Vec<(Holder, u64)> {
        let is_long = self.list().len() > FEW;
        let mut contents: Vec<(Holder, u64)> = Vec::new();
        let mut places: HashMap<ContentKey, usize> = HashMap::new();
        for holder in self.list().iter().filter(|holder| is_seen(holder.node)) {
            let content = holder.content();
            let place = if is_long {
                *places.entry(content).or_insert(contents.len())
            } else {
                let same = contents.iter().position(|(c, _)| c.content() == content);
                same.unwrap_or(contents.len())
            };
            match contents.get_mut(place) {
                Some((_, count)) => *count += 1,
                None => contents.push((*holder, 1)),
            }
        }
        contents
    }
}

impl Several {
    fn is_ambiguous(&self) -> bool {
        match &self.many {
            Some(many) => many.contents.len() > 1,
            None => {
                let mut contents = self.list.iter().map(Holder::content);
                let first = contents.next();
                contents.any(|content| Some(content) != first)
            }
        }
    }

    fn put(&mut self, holder: Holder) {
        if let Some(place) = self.place(holder.node) {
            let earlier = std::mem::replace(&mut self.list[place], holder);
            if let Some(many) = &mut self.many {
                many.leave(&earlier);
                many.enter(&holder, place);
            }
            return;
        }
        let place = self.list.len();
        self.list.push(holder);
        if let Some(many) = &mut self.many {
            many.enter(&holder, place);
        } else if place >= FEW {
            let many = self.many.insert(Many::default());
            for (place, holder) in self.list.iter().enumerate() {
                many.enter(holder, place);
            }
        }
    }

    /// A few keep their order, many do not.
    fn remove(&mut self, node: SlotId) {
        let Some(place) = self.place(node) else {
            return;
        };
        let Some(many) = &mut self.many else {
            self.list.remove(place);
            return;
        };
        let holder = self.list.swap_remove(place);
        many.leave(&holder);
        if let Some(moved) = self.list.get(place) {
            many.places.insert(moved.node, place);
        }
        if self.list.len() <= FEW / 2 {
            self.many = None;
            self.list.shrink_to_fit();
        }
    }

    fn place(&self, node: SlotId) -> Option<usize> {
        match &self.many {
            Some(many) => many.places.get(&node).copied(),
            None => self.list.iter().position(|holder| holder.node == node),
        }
    }
}

impl Many {
    fn enter(&mut self, holder: &Holder, place: usize) {
        self.places.insert(holder.node, place);
        *self.contents.entry(holder.content()).or_default() += 1;
    }

    fn leave(&mut self, holder: &Holder) {
        self.places.remove(&holder.node);
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

    /// A node that never leaves.
    const LASTING: SlotId = 999;

    proptest! {
        /// Few and many, over and over: some nodes come, some leave.
        #[test]
        fn holders_are_those_of_a_plain_map(
            steps in prop::collection::vec((0..120_u32, 0..3_u64, 0..40_u32), 1..300)
        ) {
            let lasting = Holder::new(LASTING, 0, MaybeHash(None));
            let mut holders = Holders::One(lasting);
            let mut map = BTreeMap::from([(LASTING, 0)]);
            for (node, size, leaving) in steps {
                holders.put(Holder::new(node, size, MaybeHash(None)));
                map.insert(node, size);
                if leaving >= 35 {
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
    fn a_name_that_every_node_has_is_no_slower_than_others() {
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
