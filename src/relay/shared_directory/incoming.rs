//! The updates of the engine that wait, and how much of them one turn of the loop handles.

use std::collections::VecDeque;
use std::ops::Bound;
use std::time::Instant;

use log::{info, warn};
use memchr::memchr;

use crate::logging::OPERATOR;
use crate::protocol::NodeAddress;
use crate::relay::Relay;
use crate::relay::shared_directory::outgoing::Subject;
use crate::relay::shared_directory::{
    InstanceId, RegistryCommand, RegistryLink, RegistryUpdate, RemovedNode, Unpublished,
};
use crate::role::Output;

/// The work of one turn of the loop, in lines with short names; the other lines follow in the next
/// turn.
const MAX_WORK_PER_TURN: usize = 1000;
/// Connections of this relay whose batches, and messages to which, may arrive late.
const MAX_INSTANCES: usize = 16;

/// Updates in order.
#[derive(Default)]
pub(super) struct IncomingUpdates {
    queue: VecDeque<RegistryUpdate>,
    /// How much of the first update is handled: bytes of its text, or addresses.
    position: usize,
    /// Where the last line begins.
    line_start: usize,
    /// The node of the lines there.
    pub(super) subject: Option<NodeAddress>,
    /// The node of the lines there that do not count; see `key_conflict`.
    pub(super) refused: Option<NodeAddress>,
    /// The relay that delivers the message that follows.
    pub(super) message_relay: Option<InstanceId>,
}

impl IncomingUpdates {
    pub(super) fn has_work(&self) -> bool {
        !self.queue.is_empty()
    }

    /// The next line of the first update, whose text this is. None at its end.
    pub(super) fn next_line<'t>(&mut self, text: &'t [u8]) -> Option<&'t [u8]> {
        let rest = text.get(self.position..).filter(|rest| !rest.is_empty())?;
        let end = memchr(b'\n', rest).unwrap_or(rest.len());
        self.line_start = self.position;
        self.position += end + 1;
        Some(&rest[..end])
    }

    /// The lines that follow are of this node.
    pub(super) fn set_subject(&mut self, subject: Option<NodeAddress>) {
        (self.subject, self.refused) = (subject, None);
    }

    /// The lines that follow do not count.
    pub(super) fn refuse(&mut self, node: NodeAddress) {
        (self.subject, self.refused) = (None, Some(node));
    }

    /// The last line is the next one again.
    pub(super) fn repeat_line(&mut self) {
        self.position = self.line_start;
    }

    /// Whether no line of the first update is handled yet.
    pub(super) fn is_at_start(&self) -> bool {
        self.position == 0
    }
}

impl Relay {
    /// Queues an update of the registry for [`Relay::handle_registry`].
    pub(in crate::relay) fn queue_registry_update(&mut self, update: RegistryUpdate) {
        if let Some(shared) = &mut self.shared {
            shared.incoming.queue.push_back(update);
        }
    }

    /// Handles these updates of the registry at once, before the relay starts.
    pub fn load_from_registry(
        &mut self,
        updates: impl Iterator<Item = RegistryUpdate>,
        clock: impl Fn() -> Instant,
    ) {
        let mut out = Output::default();
        self.index.start_loading();
        for update in updates {
            self.queue_registry_update(update);
            while let Some(shared) = &self.shared
                && shared.incoming.has_work()
            {
                self.handle_registry(&mut out, clock());
            }
        }
        self.index.finish_loading();
    }

    /// Does a bounded part of the work for the registry.
    pub(in crate::relay) fn handle_registry(&mut self, out: &mut Output<Self>, now: Instant) {
        let mut budget = MAX_WORK_PER_TURN;
        while budget > 0
            && let Some(shared) = &mut self.shared
            && let Some(update) = shared.incoming.queue.pop_front()
        {
            // Each update is some work, too.
            budget -= 1;
            let is_handled = self.handle_update(&update, &mut budget, out, now);
            let Some(shared) = &mut self.shared else {
                return;
            };
            if is_handled {
                shared.incoming.position = 0;
                shared.incoming.set_subject(None);
                shared.incoming.message_relay = None;
                (shared.send)(RegistryCommand::Handled);
            } else {
                shared.incoming.queue.push_front(update);
            }
        }
        self.publish_missing_nodes();
        self.publish_nodes(now);
        self.publish_listeners(now);
        if let Some(shared) = &self.shared {
            let is_there = |relay| shared.relays.contains(relay);
            (self.message_listeners).remove_ended(MAX_WORK_PER_TURN, is_there);
        }
        if let Some(shared) = &mut self.shared
            && shared.is_connected()
            && shared.outgoing.is_due(now)
        {
            if shared.relays.remove_silent(now) {
                self.message_listeners.check_relays();
            }
            shared.flush(now);
        }
        if let Some(shared) = &mut self.shared {
            shared
                .flow
                .take_ready()
                .into_iter()
                .for_each(|conn| out.resume(conn));
        }
    }

    /// Returns false if a part of the update is left.
    fn handle_update(
        &mut self,
        update: &RegistryUpdate,
        budget: &mut usize,
        out: &mut Output<Self>,
        now: Instant,
    ) -> bool {
        let Some(shared) = &mut self.shared else {
            return true;
        };
        match update {
            RegistryUpdate::Batch(batch) => return self.apply_batch(batch, budget, out, now),
            RegistryUpdate::Node(record) => return self.merge_record(record, budget, out, now),
            RegistryUpdate::Loaded => return self.finish_reconciliation(budget),
            RegistryUpdate::Listeners(relay, addresses) => {
                shared.relays.on_sign_of_life(*relay, now);
                let rest = &addresses[shared.incoming.position..];
                let count = rest.len().min(*budget);
                *budget -= count;
                shared.incoming.position += count;
                for address in &rest[..count] {
                    self.add_remote_listener(*address, *relay, out, now);
                }
                return count == rest.len();
            }
            RegistryUpdate::Missing(records) => {
                if shared.link == RegistryLink::Connected(records.origin) {
                    let nodes = records.nodes.iter();
                    (shared.missing).extend(nodes.map(|node| (records.number, *node)));
                }
            }
            RegistryUpdate::Connected {
                origin,
                is_other_database,
            } => {
                shared.link = RegistryLink::Connected(*origin);
                shared.instances.truncate(MAX_INSTANCES - 1);
                shared.instances.push_front(*origin);
                shared.outgoing.start(now);
                shared.relays.forget_numbers();
                shared.reconciliation.start(*is_other_database);
                shared.next_listener = Some(Bound::Unbounded);
                // Those that are left follow.
                self.message_listeners.end_remote();
                info!(target: OPERATOR, "registry: connected");
            }
            RegistryUpdate::Disconnected(reason) => {
                warn!(
                    target: OPERATOR,
                    "registry: cut off: {reason}; the relay goes on from its memory, and tries again"
                );
                self.cut_off(now);
            }
        }
        true
    }

    /// Marks everything that the engine may not know.
    fn cut_off(&mut self, now: Instant) {
        let Some(shared) = &mut self.shared else {
            return;
        };
        if shared.is_connected() {
            shared.counters.cut_off += 1;
        }
        shared.link = RegistryLink::Disconnected;
        shared.reconciliation.abort();
        let missing = std::mem::take(&mut shared.missing);
        shared.publications.clear();
        shared.next_listener = None;
        let renewed = shared.outgoing.clear();
        shared.flow.clear();
        let mut marks: Vec<(NodeAddress, Unpublished)> = Vec::new();
        marks.extend(renewed.into_keys().map(|node| (node, Unpublished::Renewal)));
        let missing = missing.into_iter().map(|(_, node)| node);
        marks.extend(missing.map(|node| (node, Unpublished::Change)));
        let mut in_doubt = Vec::new();
        for node in shared.unconfirmed.clear() {
            let Subject { address, key } = node.subject;
            let slot = self.directory.find(&address);
            match slot {
                Some(_) => marks.push((address, Unpublished::Change)),
                None => _ = shared.removed.insert(address, RemovedNode { at: now, key }),
            }
            in_doubt.extend(slot.filter(|_| node.is_overtaken));
        }
        for (address, mark) in marks {
            if let Some(slot) = self.directory.find(&address) {
                let node = shared.node(slot);
                node.unpublished = node.unpublished.max(mark);
            }
        }
        for slot in in_doubt {
            self.renew_epoch(slot);
        }
    }
}
