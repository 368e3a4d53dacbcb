//! The order of the nodes, and the reply to `LIST`.
//!
//! The list has pages. A change renders one page anew, and replies share the others.
//! A reply after a change is therefore cheap, and so are many replies that differ a
//! little and are not read.

use std::collections::BTreeMap;

use crate::protocol::NodeItem;
use crate::relay::directory::NodeEntry;
use crate::relay::table::{SlotId, Table};
use crate::session::line_codec::{RenderedItems, RenderedList};

/// Nodes on one page: more would cost too much to render for each change.
const MAX_NODES_PER_PAGE: usize = 4096;
/// A page with fewer nodes is merged with the next one, if both are short.
const MIN_NODES_PER_PAGE: usize = MAX_NODES_PER_PAGE / 4;

/// The number of a page. Later pages have higher numbers.
pub(super) type PageNumber = u32;

/// The nodes in order of their first registration.
#[derive(Default)]
pub(super) struct NodeList {
    pages: BTreeMap<PageNumber, NodePage>,
    /// The page to which the next node is appended.
    last: PageNumber,
    /// Cached replies: for clients elsewhere, and for clients on loopback. None after
    /// a change.
    replies: [Option<RenderedList>; 2],
}

/// Neighbouring nodes; at least one.
#[derive(Default)]
struct NodePage {
    slots: Vec<SlotId>,
    /// Their lines, as above.
    lines: [Option<RenderedItems>; 2],
}

impl NodeList {
    /// Appends a node. Returns its page.
    pub(super) fn push(&mut self, slot: SlotId) -> PageNumber {
        let last = self.pages.get(&self.last);
        if last.is_some_and(|page| page.slots.len() >= MAX_NODES_PER_PAGE) {
            self.last += 1;
        }
        self.replies = [None, None];
        let page = self.pages.entry(self.last).or_default();
        page.slots.push(slot);
        page.lines = [None, None];
        self.last
    }

    /// Removes a node.
    pub(super) fn remove(&mut self, slot: SlotId, nodes: &mut Table<NodeEntry>) {
        let number = nodes[slot].page;
        let Some(page) = self.pages.get_mut(&number) else {
            return;
        };
        self.replies = [None, None];
        page.lines = [None, None];
        if let Some(position) = page.slots.iter().position(|other| *other == slot) {
            page.slots.remove(position);
        }
        match page.slots.len() {
            0 => _ = self.pages.remove(&number),
            1..MIN_NODES_PER_PAGE => self.merge_with_next(number, nodes),
            _ => {}
        }
    }

    fn merge_with_next(&mut self, number: PageNumber, nodes: &mut Table<NodeEntry>) {
        let mut pages = self.pages.range_mut(number..);
        let (Some((_, page)), Some((next, other))) = (pages.next(), pages.next()) else {
            return;
        };
        if page.slots.len() + other.slots.len() > MAX_NODES_PER_PAGE / 2 {
            return;
        }
        for slot in other.slots.drain(..) {
            nodes[slot].page = number;
            page.slots.push(slot);
        }
        let next = *next;
        self.pages.remove(&next);
        if self.last == next {
            self.last = number;
        }
    }

    /// A node on this page is shown in another way.
    pub(super) fn forget_lines(&mut self, page: PageNumber) {
        self.replies = [None, None];
        if let Some(page) = self.pages.get_mut(&page) {
            page.lines = [None, None];
        }
    }

    /// All nodes.
    pub(super) fn slots(&self) -> impl Iterator<Item = SlotId> {
        self.pages
            .values()
            .flat_map(|page| page.slots.iter().copied())
    }

    /// The nodes from the first one on for which `is_before` is false. It must be true for
    /// all nodes before that one, and for none after it.
    pub(super) fn slots_from(
        &self,
        is_before: impl Fn(SlotId) -> bool + Copy,
    ) -> impl Iterator<Item = SlotId> {
        let is_page_before =
            move |page: &&NodePage| page.slots.last().is_some_and(|slot| is_before(*slot));
        let pages = self.pages.values().skip_while(is_page_before);
        pages
            .flat_map(|page| page.slots.iter().copied())
            .skip_while(move |slot| is_before(*slot))
    }

    /// The reply to `LIST`; `total` is the number of nodes in it.
    pub(super) fn reply(
        &mut self,
        on_loopback: bool,
        total: usize,
        item: impl Fn(SlotId) -> NodeItem + Copy,
    ) -> RenderedList {
        let audience = usize::from(on_loopback);
        let reply = self.replies[audience].get_or_insert_with(|| {
            let pages = self.pages.values_mut();
            RenderedList::nodes(total, pages.map(|page| page.lines(on_loopback, item)))
        });
        reply.clone()
    }
}

impl NodePage {
    fn lines(&mut self, on_loopback: bool, item: impl Fn(SlotId) -> NodeItem) -> RenderedItems {
        let audience = usize::from(on_loopback);
        let lines = self.lines[audience].get_or_insert_with(|| {
            let nodes = self.slots.iter().map(|slot| item(*slot));
            let is_visible = |node: &NodeItem| on_loopback || !node.address.is_loopback();
            RenderedItems::nodes(nodes.filter(is_visible))
        });
        lines.clone()
    }
}
