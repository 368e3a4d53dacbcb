//! What the relay's own clients change: published, or marked while the relay is cut off.

use std::time::Instant;

use crate::protocol::{NodeAddress, Request};
use crate::relay::Relay;
use crate::relay::shared_directory::change::{DirectoryChange, NodeHeader};
use crate::relay::shared_directory::outgoing::Subject;
use crate::relay::shared_directory::{
    Hold, RegistryBatch, RegistryCommand, RegistryLink, RemovedNode, SharedDirectory, SharedNode,
    Unpublished,
};
use crate::relay::table::SlotId;

/// The most bytes of published changes that have not returned. With more, the engine is
/// too slow: the relay goes on as if it was cut off.
const MAX_UNCONFIRMED: usize = 64 << 20;

/// More removed nodes are not remembered while the relay is cut off; the engine forgets
/// their records when their leases end.
const MAX_REMOVED: usize = 1_000_000;

impl Relay {
    /// A node has registered, or renewed its lease.
    pub(in crate::relay) fn record_registration(
        &mut self,
        (address, slot): (NodeAddress, SlotId),
        is_new: bool,
        is_other_registrant: bool,
        now: Instant,
    ) {
        if self.shared.is_none() {
            return;
        }
        if is_new {
            self.init_shared_node(slot, self.local_epoch(slot), true);
        } else if self.may_know_too_little(slot) {
            self.renew_epoch(slot);
            // It may have left there, and another node may have come.
            self.set_hold(slot, Hold::Unconfirmed);
        }
        let header = self.node_header(slot);
        let subject = self.subject(address, slot);
        let Some(shared) = &mut self.shared else {
            return;
        };
        let node = shared.node(slot);
        let is_taken_over = !std::mem::replace(&mut node.is_own, true);
        let is_disputed = node.hold == Hold::Disputed;
        node.is_defended = false;
        if is_new {
            shared.record(slot, subject, &DirectoryChange::Add(header), now);
        } else if is_other_registrant || (is_taken_over && shared.is_connected()) {
            shared.record(slot, subject, &DirectoryChange::State(header), now);
            if is_disputed && shared.is_connected() {
                shared.publish_node(address, slot, DirectoryChange::Add);
            }
        } else if shared.is_connected() {
            shared.expect_record(slot);
            shared.outgoing.renew(subject);
        } else {
            let node = shared.node(slot);
            node.unpublished = node.unpublished.max(Unpublished::Renewal);
        }
    }

    /// Whether a node comes from another relay, and this one is cut off: what the node
    /// announced there last may not have arrived.
    fn may_know_too_little(&mut self, slot: SlotId) -> bool {
        let shared = self.shared.as_mut();
        shared.is_some_and(|shared| !shared.is_connected() && !shared.node(slot).is_own)
    }

    /// Gives the entry of a node another epoch: the node then announces all its files.
    pub(super) fn renew_epoch(&mut self, slot: SlotId) {
        self.last_registration += 1;
        if let Some(shared) = &mut self.shared {
            // The number is not that of a registration.
            shared.counters.added += 1;
            let node = shared.node(slot);
            node.epoch = self.first_epoch + self.last_registration;
            node.unpublished = Unpublished::Change;
        }
    }

    /// A node has announced something about a file.
    pub(in crate::relay) fn record_file(
        &mut self,
        slot: SlotId,
        request: Request<'_>,
        now: Instant,
    ) {
        if self.shared.is_none() {
            return;
        }
        let node = self.directory.live_address(slot);
        let subject = node.map(|address| self.subject(address, slot));
        let Some(shared) = &mut self.shared else {
            return;
        };
        if let Request::Share(_, _, name) = &request
            && shared.reconciliation.is_merging(slot)
            && let Some((file, _)) = self.index.file_of(slot, name)
        {
            shared.reconciliation.keep_file(slot, file);
        }
        if let Some(subject) = subject {
            shared.record(slot, subject, &DirectoryChange::File(request), now);
        }
    }

    /// A node leaves.
    pub(in crate::relay) fn record_removal(
        &mut self,
        (address, slot): (NodeAddress, SlotId),
        now: Instant,
    ) {
        let is_held = self.is_held(slot);
        let subject = self.subject(address, slot);
        let Some(shared) = &mut self.shared else {
            return;
        };
        if shared.is_connected() {
            shared.outgoing.forget_renewal(&address);
            shared.publish_removal(subject, is_held, now);
        } else if shared.removed.len() < MAX_REMOVED {
            let key = subject.key;
            shared.removed.insert(address, RemovedNode { at: now, key });
        }
    }

    /// What the directory says about a node, beside its files.
    pub(super) fn node_header(&self, slot: SlotId) -> NodeHeader {
        let by = self.directory.registrant(slot);
        NodeHeader {
            source: by.source,
            key: by.key,
            epoch: self.epoch(slot),
            lease: self.settings.lease,
            relay: self.first_epoch,
            is_held: false,
        }
    }

    /// The node in a slot, which is at this address.
    pub(super) fn subject(&self, address: NodeAddress, slot: SlotId) -> Subject {
        let key = self.directory.registrant(slot).key;
        Subject { address, key }
    }

    /// Begins to keep what the registry knows about a node.
    pub(super) fn init_shared_node(&mut self, slot: SlotId, epoch: u64, is_own: bool) {
        if let Some(shared) = &mut self.shared {
            let seen_in = shared.reconciliation.number();
            *shared.node(slot) = SharedNode {
                epoch,
                is_own,
                is_defended: false,
                hold: Hold::Unconfirmed,
                unpublished: Unpublished::Nothing,
                seen_in,
            };
        }
    }
}

impl SharedDirectory {
    /// Publishes a change of a node, or marks the node.
    fn record(
        &mut self,
        slot: SlotId,
        subject: Subject,
        change: &DirectoryChange<'_>,
        now: Instant,
    ) {
        if self.is_connected() {
            self.expect_record(slot);
            self.publish(Some(subject), change, now);
        } else {
            self.node(slot).unpublished = Unpublished::Change;
        }
    }

    /// The engine learns of a node, and reports if it has no whole record: while the records
    /// are read, a node without one has not left. What it does not know since the relay was
    /// cut off is still to be published.
    fn expect_record(&mut self, slot: SlotId) {
        let number = self.reconciliation.number();
        let node = self.node(slot);
        if node.unpublished == Unpublished::Nothing {
            node.seen_in = number;
        }
    }

    /// Publishes that a node has left. Elsewhere, it keeps its address until then if it is held.
    pub(super) fn publish_removal(&mut self, subject: Subject, is_held: bool, now: Instant) {
        self.unconfirmed
            .remove(subject, is_held, self.outgoing.number);
        self.publish(Some(subject), &DirectoryChange::Remove, now);
    }

    /// Appends a change to the next batch.
    pub(super) fn publish(
        &mut self,
        subject: Option<Subject>,
        change: &DirectoryChange<'_>,
        now: Instant,
    ) {
        if let (Some(subject), DirectoryChange::Add(_)) = (subject, change) {
            self.unconfirmed.add(subject, self.outgoing.number);
        } else if let Some(subject) = subject
            && !self.outgoing.is_subject(subject)
        {
            self.unconfirmed.touch(subject, self.outgoing.number);
        }
        self.outgoing.append(subject, change, now);
        self.counters.published += 1;
        if self.outgoing.is_full() {
            self.flush(now);
        }
    }

    /// Publishes the next batch.
    pub(super) fn flush(&mut self, now: Instant) {
        let RegistryLink::Connected(origin) = self.link else {
            return;
        };
        let (number, text) = self.outgoing.take(now);
        self.unconfirmed.push(number, text.len(), now);
        (self.send)(RegistryCommand::Publish(RegistryBatch {
            origin,
            number,
            text,
        }));
        if self.unconfirmed.bytes() > MAX_UNCONFIRMED {
            let reason = "the engine is slower than the changes";
            (self.send)(RegistryCommand::Reconnect(reason));
            // Until the connection has ended.
            self.unconfirmed.forget_bytes();
        }
    }
}
