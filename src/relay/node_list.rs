//! The order of the nodes, and the reply to `LIST`.
//!
//! The list has blocks. A change renders one block anew, and replies share the others.
//! A reply after a change is therefore cheap, and so are many replies that differ a
//! little and are not read.

use std::collections::BTreeMap;

use crate::protocol::NodeItem;
use crate::relay::node_entry::{BlockNumber, NodeEntry};
use crate::relay::per_audience::PerAudience;
use crate::relay::table::{SlotId, Table};
use crate::session::line_codec::{RenderedItems, RenderedList};

/// Nodes on one block: more would cost too much to render for each change.
const MAX_NODES_PER_BLOCK: usize = 4096;
/// A block with fewer nodes is merged with the next one, if both are short.
const MIN_NODES_PER_BLOCK: usize = MAX_NODES_PER_BLOCK / 4;

/// The nodes, in the order in which their entries were created.
#[derive(Default)]
pub(super) struct NodeList {
    blocks: BTreeMap<BlockNumber, NodeBlock>,
    /// The block to which the next node is appended.
    last: BlockNumber,
    replies: PerAudience<RenderedList>,
}

/// Neighbouring nodes; at least one.
#[derive(Default)]
struct NodeBlock {
    slots: Vec<SlotId>,
    lines: PerAudience<RenderedItems>,
}

impl NodeList {
    /// Appends a node. Returns its block.
    pub(super) fn push(&mut self, slot: SlotId) -> BlockNumber {
        let last = self.blocks.get(&self.last);
        if last.is_some_and(|block| block.slots.len() >= MAX_NODES_PER_BLOCK) {
            self.last += 1;
        }
        self.replies.clear();
        let block = self.blocks.entry(self.last).or_default();
        block.slots.push(slot);
        block.lines.clear();
        self.last
    }

    /// Removes a node.
    pub(super) fn remove(&mut self, slot: SlotId, nodes: &mut Table<NodeEntry>) {
        let number = nodes[slot].block;
        let Some(block) = self.blocks.get_mut(&number) else {
            return;
        };
        self.replies.clear();
        block.lines.clear();
        if let Some(position) = block.slots.iter().position(|other| *other == slot) {
            block.slots.remove(position);
        }
        match block.slots.len() {
            0 => _ = self.blocks.remove(&number),
            1..MIN_NODES_PER_BLOCK => self.merge_with_next(number, nodes),
            _ => {}
        }
    }

    fn merge_with_next(&mut self, number: BlockNumber, nodes: &mut Table<NodeEntry>) {
        let mut blocks = self.blocks.range_mut(number..);
        let (Some((_, block)), Some((next, other))) = (blocks.next(), blocks.next()) else {
            return;
        };
        if block.slots.len() + other.slots.len() > MAX_NODES_PER_BLOCK / 2 {
            return;
        }
        for slot in other.slots.drain(..) {
            nodes[slot].block = number;
            block.slots.push(slot);
        }
        let next = *next;
        self.blocks.remove(&next);
        if self.last == next {
            self.last = number;
        }
    }

    /// A node on this block is shown in another way.
    pub(super) fn forget_lines(&mut self, block: BlockNumber) {
        self.replies.clear();
        if let Some(block) = self.blocks.get_mut(&block) {
            block.lines.clear();
        }
    }

    /// All nodes.
    pub(super) fn slots(&self) -> impl Iterator<Item = SlotId> {
        self.blocks
            .values()
            .flat_map(|block| block.slots.iter().copied())
    }

    /// The nodes from the first one on for which `is_before` is false. It must be true for
    /// all nodes before that one, and for none after it.
    pub(super) fn slots_from(
        &self,
        is_before: impl Fn(SlotId) -> bool + Copy,
    ) -> impl Iterator<Item = SlotId> {
        let is_block_before =
            move |block: &&NodeBlock| block.slots.last().is_some_and(|slot| is_before(*slot));
        let blocks = self.blocks.values().skip_while(is_block_before);
        // The nodes of a block are in order, so the first one is searched for.
        blocks.flat_map(move |block| {
            let first = block.slots.partition_point(|slot| is_before(*slot));
            block.slots[first..].iter().copied()
        })
    }

    /// The reply to `LIST`; `total` is the number of nodes in it.
    pub(super) fn reply(
        &mut self,
        on_loopback: bool,
        total: usize,
        item: impl Fn(SlotId) -> NodeItem + Copy,
    ) -> RenderedList {
        self.replies.get_or_render(on_loopback, || {
            let blocks = self.blocks.values_mut();
            RenderedList::nodes(total, blocks.map(|block| block.lines(on_loopback, item)))
        })
    }
}

impl NodeBlock {
    fn lines(&mut self, on_loopback: bool, item: impl Fn(SlotId) -> NodeItem) -> RenderedItems {
        self.lines.get_or_render(on_loopback, || {
            let nodes = self.slots.iter().map(|slot| item(*slot));
            let is_visible = |node: &NodeItem| on_loopback || !node.address.is_loopback();
            RenderedItems::nodes(nodes.filter(is_visible))
        })
    }
}
