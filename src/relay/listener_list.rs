//! The addresses at which somebody receives messages, and the reply to `WHO`.
//!
//! As in the list of nodes (`node_list`), a change prints one block anew, and replies share
//! the others: with a million listeners at many relays, `WHO` costs no walk over all.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::protocol::{NodeAddress, NodeItem};
use crate::relay::per_audience::PerAudience;
use crate::session::line_codec::{RenderedItems, RenderedList};

/// Addresses in one block: more would cost too much to print for each change.
const MAX_PER_BLOCK: usize = 1024;
/// A block with fewer addresses is merged with the next one, if both are short.
const MIN_PER_BLOCK: usize = MAX_PER_BLOCK / 4;

/// Addresses in order, each once.
#[derive(Default)]
pub(super) struct ListenerList {
    /// By an address that is not after any of the block.
    blocks: BTreeMap<NodeAddress, ListenerBlock>,
    total: usize,
    on_loopback: usize,
    replies: PerAudience<RenderedList>,
}

/// Neighbouring addresses in order; at least one.
#[derive(Default)]
struct ListenerBlock {
    addresses: Vec<NodeAddress>,
    lines: PerAudience<RenderedItems>,
}

impl ListenerList {
    /// Adds an address, unless it is in the list.
    pub(super) fn insert(&mut self, address: NodeAddress) {
        let block = self.block_for(address);
        let Err(position) = block.addresses.binary_search(&address) else {
            return;
        };
        block.addresses.insert(position, address);
        block.lines.clear();
        if block.addresses.len() > MAX_PER_BLOCK {
            let addresses = block.addresses.split_off(MAX_PER_BLOCK / 2);
            let first = addresses[0];
            self.blocks.insert(first, ListenerBlock::new(addresses));
        }
        self.total += 1;
        self.on_loopback += usize::from(address.is_loopback());
        self.replies.clear();
    }

    /// Removes an address, if it is in the list.
    pub(super) fn remove(&mut self, address: &NodeAddress) {
        let Some((first, block)) = self.blocks.range_mut(..=*address).next_back() else {
            return;
        };
        let Ok(position) = block.addresses.binary_search(address) else {
            return;
        };
        block.addresses.remove(position);
        block.lines.clear();
        let first = *first;
        match block.addresses.len() {
            0 => _ = self.blocks.remove(&first),
            1..MIN_PER_BLOCK => self.merge_with_next(first),
            _ => {}
        }
        self.total -= 1;
        self.on_loopback -= usize::from(address.is_loopback());
        self.replies.clear();
    }

    /// The block to which an address belongs.
    fn block_for(&mut self, address: NodeAddress) -> &mut ListenerBlock {
        let before = self.blocks.range(..=address).next_back();
        let first = match before {
            Some((first, _)) => *first,
            None => {
                // The first block begins here from now on.
                let block = self.blocks.pop_first().map(|(_, block)| block);
                self.blocks.insert(address, block.unwrap_or_default());
                address
            }
        };
        self.blocks.entry(first).or_default()
    }

    fn merge_with_next(&mut self, first: NodeAddress) {
        let after = (Bound::Excluded(first), Bound::Unbounded);
        let Some((next, other)) = self.blocks.range(after).next() else {
            return;
        };
        let (next, count) = (*next, other.addresses.len());
        if let Some(block) = self.blocks.get_mut(&first)
            && block.addresses.len() + count <= MAX_PER_BLOCK / 2
            && let Some(other) = self.blocks.remove(&next)
            && let Some(block) = self.blocks.get_mut(&first)
        {
            block.addresses.extend(other.addresses);
        }
    }

    /// Number of addresses that requesters on loopback see, or that others see.
    pub(super) fn len(&self, on_loopback: bool) -> usize {
        match on_loopback {
            true => self.total,
            false => self.total - self.on_loopback,
        }
    }

    /// The reply to `WHO`.
    pub(super) fn reply(&mut self, on_loopback: bool) -> RenderedList {
        let total = self.len(on_loopback);
        self.replies.get_or_render(on_loopback, || {
            let blocks = self.blocks.values_mut();
            RenderedList::nodes(total, blocks.map(|block| block.lines(on_loopback)))
        })
    }
}

impl ListenerBlock {
    fn new(addresses: Vec<NodeAddress>) -> Self {
        Self {
            addresses,
            lines: PerAudience::default(),
        }
    }

    fn lines(&mut self, on_loopback: bool) -> RenderedItems {
        self.lines.get_or_render(on_loopback, || {
            let visible = self.addresses.iter();
            let visible = visible.filter(|address| on_loopback || !address.is_loopback());
            RenderedItems::nodes(visible.copied().map(NodeItem::from))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use fastrand::Rng;

    use super::*;

    fn text(list: &mut ListenerList, on_loopback: bool) -> String {
        let list = list.reply(on_loopback);
        let text: Vec<u8> = list.parts().flat_map(|part| part.iter().copied()).collect();
        String::from_utf8(text).expect("text")
    }

    fn expected(model: &BTreeSet<NodeAddress>, on_loopback: bool) -> String {
        let visible = |address: &&NodeAddress| on_loopback || !address.is_loopback();
        let lines = model.iter().filter(visible);
        let lines: Vec<String> = lines.map(|address| format!("{address}\n")).collect();
        format!("NODES {}\n{}", lines.len(), lines.concat())
    }

    #[test]
    fn the_list_equals_a_set_of_addresses() {
        let mut rng = Rng::with_seed(1);
        let mut list = ListenerList::default();
        let mut model = BTreeSet::new();
        // Ports in disorder, so that blocks are split, and later merged.
        for (steps, additions) in [(8000, 9), (1000, 5), (12_000, 2), (4000, 7), (9000, 0)] {
            for _ in 0..steps {
                let ip = rng.choice(["127.0.0.1", "192.0.2.1", "10.0.0.1"]);
                let line = format!("{} {}", ip.expect("an ip"), rng.u16(1..2000));
                let address = NodeAddress::parse(&line).expect("an address");
                match rng.u8(0..10) < additions {
                    true => {
                        list.insert(address);
                        model.insert(address);
                    }
                    false => {
                        list.remove(&address);
                        model.remove(&address);
                    }
                }
                if rng.u8(..) == 0 {
                    assert_eq!(text(&mut list, true), expected(&model, true));
                    assert_eq!(text(&mut list, false), expected(&model, false));
                }
            }
            let blocks = list.blocks.len();
            assert!(
                blocks <= 2 + model.len() / (MIN_PER_BLOCK / 2),
                "{blocks} blocks"
            );
        }
    }
}
