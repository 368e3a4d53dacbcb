//! Nodes that the engine does not know, or not as they are: published in bounded steps.

use std::collections::HashSet;
use std::time::Instant;

use crate::protocol::{NodeAddress, Request};
use crate::relay::Relay;
use crate::relay::index::NameId;
use crate::relay::registry::Registry;
use crate::relay::registry::change::{DirectoryChange, NodeHeader};
use crate::relay::table::SlotId;

/// The most bytes on their way to the engine while more nodes are published.
const WINDOW: usize = 4 << 20;
/// Files published in one turn of the loop.
const MAX_FILES_PER_TURN: usize = 1000;

/// A node that is published.
pub(super) struct NodePublication {
    pub(super) address: NodeAddress,
    slot: SlotId,
    header: Option<DirectoryChange<'static>>,
    /// The files that are left.
    files: Vec<NameId>,
}

impl NodePublication {
    /// The publication of some files.
    pub(super) fn of_files(address: NodeAddress, slot: SlotId, files: HashSet<NameId>) -> Self {
        Self {
            address,
            slot,
            header: None,
            files: files.into_iter().collect(),
        }
    }
}

impl Registry {
    /// Whether nodes wait to be published, and there is room for their changes.
    pub(super) fn may_publish_nodes(&self) -> bool {
        !self.publications.is_empty() && self.is_connected() && self.unconfirmed.bytes() < WINDOW
    }
}

impl Relay {
    /// The engine has no record of a node, or has lost it.
    pub(super) fn publish_node_again(&mut self, address: NodeAddress) {
        let Some(registry) = &mut self.registry else {
            return;
        };
        if registry.unconfirmed.contains(&address) {
            // This may be the removal of the node, or the node itself.
            registry.missing.insert(address);
        } else if let Some(slot) = self.directory.find(&address)
            && !self.is_being_published(&address)
        {
            self.publish_node(slot, address, DirectoryChange::State);
        }
    }

    /// Publishes the nodes that could not be published again.
    pub(super) fn publish_missing_nodes(&mut self) {
        let registry = self.registry.as_mut();
        let missing = registry.map(|registry| std::mem::take(&mut registry.missing));
        for address in missing.into_iter().flatten() {
            self.publish_node_again(address);
        }
    }

    /// Queues the publication of a node with all its files.
    pub(super) fn publish_node(
        &mut self,
        slot: SlotId,
        address: NodeAddress,
        change: impl FnOnce(NodeHeader) -> DirectoryChange<'static>,
    ) {
        let header = Some(change(self.node_header(slot)));
        let files = self.index.files_of(slot).into_iter().collect();
        if let Some(registry) = &mut self.registry {
            registry.publications.push_back(NodePublication {
                address,
                slot,
                header,
                files,
            });
        }
    }

    /// Whether files of this node are still to be published.
    pub(super) fn is_being_published(&self, address: &NodeAddress) -> bool {
        let registry = self.registry.as_ref();
        registry.is_some_and(|registry| {
            let mut publications = registry.publications.iter();
            publications.any(|publication| publication.address == *address)
        })
    }

    /// Publishes a bounded part of the nodes that wait.
    pub(super) fn publish_nodes(&mut self, now: Instant) {
        let mut budget = MAX_FILES_PER_TURN;
        while budget > 0
            && let Some(registry) = &mut self.registry
            && registry.may_publish_nodes()
            && let Some(mut node) = registry.publications.pop_front()
        {
            if self.directory.find(&node.address) != Some(node.slot) {
                continue;
            }
            budget -= 1;
            if let Some(header) = node.header.take() {
                registry.publish(Some(node.address), &header, now);
            }
            while budget > 0
                && let Some(id) = node.files.pop()
            {
                budget -= 1;
                self.publish_file(&node, id, now);
            }
            if let Some(registry) = &mut self.registry
                && !node.files.is_empty()
            {
                registry.publications.push_front(node);
            }
        }
    }

    fn publish_file(&mut self, node: &NodePublication, id: NameId, now: Instant) {
        let Some(registry) = &mut self.registry else {
            return;
        };
        // The file may have gone meanwhile.
        let Some((name, content, digest)) = self.index.file(node.slot, id) else {
            return;
        };
        let hash = content.hash();
        let share = Request::Share(content.size, hash, name.clone());
        registry.publish(Some(node.address), &DirectoryChange::File(share), now);
        if let (Some(hash), Some(digest)) = (hash.0, digest) {
            let change = DirectoryChange::File(Request::ShareDigest(hash, digest, name));
            registry.publish(Some(node.address), &change, now);
        }
    }
}
