//! Nodes that the engine does not know, or not as they are: published in bounded steps.

use std::collections::BTreeMap;
use std::collections::btree_set::IntoIter;
use std::ops::Bound;
use std::time::Instant;

use crate::protocol::{NodeAddress, Request};
use crate::relay::Relay;
use crate::relay::index::NameId;
use crate::relay::shared_directory::change::{DirectoryChange, NodeHeader};
use crate::relay::shared_directory::outgoing::Subject;
use crate::relay::shared_directory::{SharedDirectory, Unpublished};
use crate::relay::table::SlotId;

/// The most bytes on their way to the engine while more nodes are published.
const WINDOW: usize = 4 << 20;
/// Nodes and files published in one turn of the loop, and listeners.
const MAX_FILES_PER_TURN: usize = 1000;

/// The nodes that are being published, or wait for it.
#[derive(Default)]
pub(super) struct Publications {
    by_address: BTreeMap<NodeAddress, NodePublication>,
}

/// A node that is published.
pub(super) struct NodePublication {
    slot: SlotId,
    step: PublicationStep,
}

/// [`DirectoryChange::Add`] or [`DirectoryChange::State`].
type HeaderChange = fn(NodeHeader) -> DirectoryChange<'static>;

/// What is published next of a node.
enum PublicationStep {
    /// The header, and then all files that the node has at that time. What it announces
    /// before is published too, but the header may replace it.
    Header(HeaderChange),
    /// These files.
    Files(IntoIter<NameId>),
}

impl Publications {
    /// Whether something of this node is still to be published.
    pub(super) fn contains(&self, address: &NodeAddress) -> bool {
        self.by_address.contains_key(address)
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.by_address.clear();
    }
}

impl SharedDirectory {
    /// Whether nodes or listeners wait to be published.
    pub(super) fn has_publications(&self) -> bool {
        !self.publications.by_address.is_empty() || self.next_listener.is_some()
    }

    /// Whether there is room for their changes.
    pub(super) fn may_publish_more(&self) -> bool {
        self.is_connected() && self.unconfirmed.bytes() < WINDOW
    }

    /// Publishes a node with all its files. If a part of it is published already, it begins
    /// anew.
    pub(super) fn publish_node(
        &mut self,
        address: NodeAddress,
        slot: SlotId,
        header: HeaderChange,
    ) {
        self.start_publication(address, slot, PublicationStep::Header(header));
    }

    /// Publishes some files of a node.
    pub(super) fn publish_files(
        &mut self,
        address: NodeAddress,
        slot: SlotId,
        files: IntoIter<NameId>,
    ) {
        let waiting = self.publications.by_address.get(&address);
        let step = match waiting.map(|node| &node.step) {
            None => PublicationStep::Files(files),
            // Other files wait, too: all are published.
            Some(PublicationStep::Files(_)) => PublicationStep::Header(DirectoryChange::State),
            Some(PublicationStep::Header(header)) => PublicationStep::Header(*header),
        };
        self.start_publication(address, slot, step);
    }

    /// Whether another relay publishes a node of this relay as it was before: it makes a lost
    /// record whole, and has not heard yet that the node is here now. The lines that follow do
    /// not count either, and the node is published after them. Only once until the node
    /// registers again, in case that the other relay knows better.
    pub(super) fn is_outdated(
        &mut self,
        address: NodeAddress,
        slot: Option<SlotId>,
        change: &DirectoryChange<'_>,
    ) -> bool {
        let Some(slot) = slot else {
            return false;
        };
        let node = self.node(slot);
        let is_outdated = node.is_own
            && match change {
                DirectoryChange::Add(header) if header.epoch == node.epoch => {
                    !std::mem::replace(&mut node.is_defended, true)
                }
                DirectoryChange::File(_) => node.is_defended,
                _ => false,
            };
        if is_outdated {
            self.incoming.subject = None;
            self.publish_node(address, slot, DirectoryChange::Add);
        }
        is_outdated
    }

    fn start_publication(&mut self, address: NodeAddress, slot: SlotId, step: PublicationStep) {
        let number = self.reconciliation.number();
        let node = self.node(slot);
        // The engine gets a record of it.
        node.seen_in = number;
        // If the relay is cut off meanwhile, the engine does not know all.
        node.unpublished = Unpublished::Change;
        let publication = NodePublication { slot, step };
        self.publications.by_address.insert(address, publication);
    }
}

impl Relay {
    /// Publishes the nodes whose records the engine has lost. It may lack a record because
    /// another relay has removed the node: so the batch that found it so must have returned,
    /// and with it all changes before. If the node is at another relay by now, that one will
    /// find out itself.
    pub(super) fn publish_missing_nodes(&mut self) {
        while let Some(shared) = &mut self.shared
            && let Some((number, address)) = shared
                .missing
                .pop_front_if(|(number, _)| shared.unconfirmed.is_confirmed(*number))
        {
            if !shared.unconfirmed.is_added_since(&address, number)
                && !shared.publications.contains(&address)
                && let Some(slot) = self.directory.find(&address)
                && shared.node(slot).is_own
            {
                // Relays that still list the node may list other files.
                shared.publish_node(address, slot, DirectoryChange::Add);
            }
        }
    }

    /// Publishes a bounded part of the nodes that wait.
    pub(super) fn publish_nodes(&mut self, now: Instant) {
        let mut budget = MAX_FILES_PER_TURN;
        while budget > 0
            && let Some(shared) = &mut self.shared
            && shared.may_publish_more()
            && let Some((address, node)) = shared.publications.by_address.pop_first()
        {
            budget -= 1;
            // It may have left, or come back.
            if self.directory.find(&address) == Some(node.slot) {
                self.publish_part(address, node, &mut budget, now);
            }
        }
    }

    /// Publishes a bounded part of the listeners of this relay that wait.
    pub(super) fn publish_listeners(&mut self, now: Instant) {
        let Some(shared) = &mut self.shared else {
            return;
        };
        if let Some(after) = shared.next_listener
            && shared.may_publish_more()
        {
            let listeners = self.message_listeners.own_addresses(after);
            let listeners: Vec<NodeAddress> = listeners.take(MAX_FILES_PER_TURN).collect();
            let is_last = listeners.len() < MAX_FILES_PER_TURN;
            let last = listeners.last().filter(|_| !is_last);
            shared.next_listener = last.map(|last| Bound::Excluded(*last));
            for address in listeners {
                self.record_listener(address, true, now);
            }
        }
    }

    /// Publishes the header, or as many files as the budget allows.
    fn publish_part(
        &mut self,
        address: NodeAddress,
        node: NodePublication,
        budget: &mut usize,
        now: Instant,
    ) {
        let slot = node.slot;
        let subject = self.subject(address, slot);
        let mut files = match node.step {
            PublicationStep::Files(files) => files,
            PublicationStep::Header(change) => {
                let mut header = change(self.node_header(slot));
                if let DirectoryChange::Add(header) = &mut header {
                    header.is_held = header.key.is_some() && self.is_held(slot);
                }
                if let Some(shared) = &mut self.shared {
                    shared.publish(Some(subject), &header, now);
                }
                self.index.files_of(slot).into_iter()
            }
        };
        while *budget > 0
            && let Some(file) = files.next()
        {
            *budget -= 1;
            self.publish_file(subject, slot, file, now);
        }
        let Some(shared) = &mut self.shared else {
            return;
        };
        match files.len() {
            0 => shared.node(slot).unpublished = Unpublished::Nothing,
            _ => shared.start_publication(address, slot, PublicationStep::Files(files)),
        }
    }

    fn publish_file(&mut self, subject: Subject, slot: SlotId, file: NameId, now: Instant) {
        let Some(shared) = &mut self.shared else {
            return;
        };
        // The file may have gone meanwhile.
        let Some((name, content, digest)) = self.index.file(slot, file) else {
            return;
        };
        let hash = content.hash();
        let share = Request::Share(content.size, hash, name.clone());
        shared.publish(Some(subject), &DirectoryChange::File(share), now);
        if let (Some(hash), Some(digest)) = (hash.0, digest) {
            let change = DirectoryChange::File(Request::ShareDigest(hash, digest, name));
            shared.publish(Some(subject), &change, now);
        }
    }
}
