//! The engine's records of nodes, merged with those of the relay: at the start, after the
//! relay was cut off, and when one node is loaded.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use log::info;

use crate::logging::OPERATOR;
use crate::protocol::{NodeAddress, Request};
use crate::relay::Relay;
use crate::relay::index::{NameId, name_work};
use crate::relay::shared_directory::change::{DirectoryChange, NodeHeader};
use crate::relay::shared_directory::outgoing::Subject;
use crate::relay::shared_directory::{Hold, LEASE_GRACE, NodeRecord, SharedDirectory, Unpublished};
use crate::relay::table::SlotId;
use crate::role::Output;

/// The merge of all records, and of one record.
#[derive(Default)]
pub(super) struct Reconciliation {
    number: u32,
    is_running: bool,
    is_other_database: bool,
    pub(super) current: Option<RecordMerge>,
    /// All records were read: whether the engine has one of the nodes from this slot on is
    /// still to be checked.
    next_slot: SlotId,
    /// Records read.
    records: u64,
    /// Nodes without a record that are published.
    published: u64,
    /// Nodes without a record that have left.
    removed: u64,
}

/// The merge of one record.
pub(super) struct RecordMerge {
    pub(super) subject: Subject,
    pub(super) slot: SlotId,
    /// Whether the relay's record is the newer one: the engine gets the differences.
    is_ours: bool,
    /// The relay's files that the record does not contain, so far.
    pub(super) missing: BTreeSet<NameId>,
}

/// What to do about a record of the engine.
enum MergePlan {
    /// The relay knows the node better, and the engine will.
    Ignore,
    /// The relay's record is the newer one, and of another entry: it replaces the engine's.
    Publish(SlotId),
    /// Both records become one.
    Merge {
        /// When the lease ends.
        end: Instant,
        /// See [`RecordMerge`].
        is_ours: bool,
        /// Whether the engine does not know that the lease was renewed.
        is_renewed: bool,
    },
}

impl Reconciliation {
    /// The number of the last reconciliation.
    pub(super) fn number(&self) -> u32 {
        self.number
    }

    pub(super) fn start(&mut self, is_other_database: bool) {
        *self = Self {
            number: self.number + 1,
            is_running: true,
            // Stays so until one reconciliation has been finished.
            is_other_database: self.is_other_database || is_other_database,
            ..Self::default()
        };
    }

    pub(super) fn abort(&mut self) {
        self.is_running = false;
        self.current = None;
    }

    /// The node has announced a file: whatever the engine's record says, the node has it.
    pub(super) fn keep_file(&mut self, slot: SlotId, file: NameId) {
        if let Some(merge) = self.current.as_mut().filter(|merge| merge.slot == slot) {
            merge.missing.remove(&file);
        }
    }

    /// Whether a record of this node is being merged.
    pub(super) fn is_merging(&self, slot: SlotId) -> bool {
        self.current
            .as_ref()
            .is_some_and(|merge| merge.slot == slot)
    }
}

impl Relay {
    /// Merges lines of a record. Returns false if some are left.
    pub(super) fn merge_record(
        &mut self,
        record: &NodeRecord,
        budget: &mut usize,
        out: &mut Output<Self>,
        now: Instant,
    ) -> bool {
        let is_start = record.is_first
            && self
                .shared
                .as_ref()
                .is_some_and(|shared| shared.incoming.is_at_start());
        while *budget > 0 {
            let Some(shared) = &mut self.shared else {
                return true;
            };
            let line = shared.incoming.next_line(&record.text);
            let Some(line) = line else {
                return !record.is_last || self.finish_record(budget);
            };
            *budget = budget.saturating_sub(name_work(line));
            let change = DirectoryChange::parse(line);
            shared.counters.applied += 1;
            let is_merged = match change {
                Some(DirectoryChange::State(header)) if is_start => {
                    self.begin_record(record, header, out, now)
                }
                Some(DirectoryChange::File(request)) => self.merge_file(&request, now),
                _ => false,
            };
            if let Some(shared) = &mut self.shared {
                shared.counters.rejected += u64::from(!is_merged);
            }
        }
        false
    }

    /// Merges the state of a node. Returns false if there is no room for it.
    fn begin_record(
        &mut self,
        record: &NodeRecord,
        header: NodeHeader,
        out: &mut Output<Self>,
        now: Instant,
    ) -> bool {
        let address = record.address;
        let Some(shared) = &mut self.shared else {
            return false;
        };
        shared.reconciliation.records += 1;
        shared.reconciliation.current = None;
        // Others than relays may have set the expiry of the record.
        let longest = header.lease + LEASE_GRACE;
        let remaining = record.remaining.min(longest);
        let subject = Subject {
            address,
            key: header.key,
        };
        if self.has_left_since(subject, longest - remaining, now) {
            return true;
        }
        let plan = self.plan_merge(address, header, remaining, now);
        let (end, is_ours, is_renewed) = match plan {
            MergePlan::Merge {
                end,
                is_ours,
                is_renewed,
            } => (end, is_ours, is_renewed),
            MergePlan::Ignore => return true,
            MergePlan::Publish(slot) => {
                if let Some(shared) = &mut self.shared {
                    shared.publish_node(address, slot, DirectoryChange::Add);
                }
                return true;
            }
        };
        let Some(slot) = self.put_node((address, header), end, out, now) else {
            return false;
        };
        self.set_hold(slot, Hold::Confirmed);
        let state = DirectoryChange::State(self.node_header(slot));
        let missing = self.index.files_of(slot);
        if let Some(shared) = &mut self.shared {
            if !is_ours {
                shared.unconfirmed.overtake(&address);
            }
            if is_renewed {
                shared.publish(Some(subject), &state, now);
            }
            shared.reconciliation.current = Some(RecordMerge {
                subject,
                slot,
                is_ours,
                missing,
            });
        }
        true
    }

    /// Compares the record of a node, with so much left of its lease, with the relay's.
    fn plan_merge(
        &mut self,
        address: NodeAddress,
        header: NodeHeader,
        remaining: Duration,
        now: Instant,
    ) -> MergePlan {
        let Some(slot) = self.directory.find(&address) else {
            return MergePlan::Merge {
                end: now + remaining,
                is_ours: false,
                is_renewed: false,
            };
        };
        let is_own = self.is_own(slot);
        // What another relay's node was before this one was cut off does not count.
        let is_refused =
            (is_own || !self.is_reconciling()) && self.is_held_against(slot, &header, now);
        let own_key = self.directory.registrant(slot).key;
        let gains_key = header.key.is_some() && header.key != own_key && remaining > LEASE_GRACE;
        // A record of this relay's own is older, whenever it was written: the engine may have
        // been paused.
        let is_later =
            header.relay == self.first_epoch || self.remaining_lease(slot, now) >= remaining;
        let is_ours = is_later && !gains_key;
        let is_same_entry = self.epoch(slot) == header.epoch;
        let unpublished = self.take_unpublished(slot);
        let is_unpublished = unpublished != Unpublished::Nothing;
        if is_refused && !is_own {
            return MergePlan::Ignore;
        }
        if is_refused || (is_ours && !is_same_entry && is_unpublished) {
            return MergePlan::Publish(slot);
        }
        let own_end = self.directory.lease_end(slot);
        let own_end = own_end.filter(|_| is_ours && is_same_entry);
        MergePlan::Merge {
            end: own_end.unwrap_or(now + remaining),
            is_ours: is_ours && unpublished == Unpublished::Change,
            is_renewed: is_ours && is_unpublished,
        }
    }

    /// Whether all records are read, not only one.
    fn is_reconciling(&self) -> bool {
        let shared = self.shared.as_ref();
        shared.is_some_and(|shared| shared.reconciliation.is_running)
    }

    /// Whether the node of a record of this age has left meanwhile. Others are told.
    fn has_left_since(&mut self, node: Subject, age: Duration, now: Instant) -> bool {
        let Some(shared) = &mut self.shared else {
            return false;
        };
        let left = shared.removed.remove(&node.address);
        let is_newer = left.is_some_and(|left| {
            // The record of another key is that of another node.
            let is_same = node.key.is_none() || node.key == left.key;
            is_same && now.saturating_duration_since(left.at) <= age
        });
        let has_left = is_newer && self.directory.find(&node.address).is_none();
        if has_left {
            shared.publish_removal(node, true, now);
        }
        has_left
    }

    /// The engine has a record of a node. Returns what it does not know.
    fn take_unpublished(&mut self, slot: SlotId) -> Unpublished {
        let Some(shared) = &mut self.shared else {
            return Unpublished::Nothing;
        };
        let number = shared.reconciliation.number;
        let node = shared.node(slot);
        node.seen_in = number;
        std::mem::take(&mut node.unpublished)
    }

    /// Returns false if there is no room for the file.
    fn merge_file(&mut self, request: &Request<'_>, now: Instant) -> bool {
        let shared = self.shared.as_mut();
        let Some(merge) = shared.and_then(|r| r.reconciliation.current.as_mut()) else {
            // The record of a node that the relay knows better.
            return true;
        };
        if merge.is_ours {
            self.compare_file(request, now);
            return true;
        }
        let slot = merge.slot;
        if let Request::Share(_, _, name) = request
            // While a relay starts, there is nothing to compare.
            && !merge.missing.is_empty()
            && let Some((id, _)) = self.index.file_of(slot, name)
        {
            merge.missing.remove(&id);
        }
        self.put_file(slot, request, now)
    }

    /// All lines of a record were read. Returns false if some files are still to be removed.
    fn finish_record(&mut self, budget: &mut usize) -> bool {
        let Some(shared) = &mut self.shared else {
            return true;
        };
        let Some(mut merge) = shared.reconciliation.current.take() else {
            return true;
        };
        let address = merge.subject.address;
        if self.directory.find(&address) != Some(merge.slot) || merge.missing.is_empty() {
            return true;
        }
        if merge.is_ours {
            shared.publish_files(address, merge.slot, merge.missing.into_iter());
            return true;
        }
        let removed = self.index.affordable(merge.missing.iter().copied(), budget);
        self.index.remove_named(merge.slot, &removed);
        removed.iter().for_each(|id| _ = merge.missing.remove(id));
        let is_finished = merge.missing.is_empty();
        shared.reconciliation.current = Some(merge);
        is_finished
    }

    /// All records were read. Nodes without one are published, or have left. Returns false
    /// if some are still to be checked.
    pub(super) fn finish_reconciliation(&mut self, budget: &mut usize) -> bool {
        while *budget > 0 {
            let Some(shared) = &mut self.shared else {
                return true;
            };
            let reconciliation = &mut shared.reconciliation;
            let slot = reconciliation.next_slot;
            if !reconciliation.is_running || slot as usize >= shared.nodes.len() {
                shared.end_reconciliation();
                return true;
            }
            reconciliation.next_slot += 1;
            *budget -= 1;
            if let Some(address) = self.directory.live_address(slot) {
                self.check_record_of(slot, address);
            }
        }
        false
    }

    /// All records were read: publishes or removes a node whose record was not among them.
    fn check_record_of(&mut self, slot: SlotId, address: NodeAddress) {
        let Some(shared) = &mut self.shared else {
            return;
        };
        let number = shared.reconciliation.number;
        let is_other = shared.reconciliation.is_other_database;
        let node = shared.node(slot);
        if node.seen_in == number {
            return;
        }
        if node.unpublished != Unpublished::Nothing || (is_other && node.is_own) {
            shared.publish_node(address, slot, DirectoryChange::Add);
            shared.reconciliation.published += 1;
        } else if !is_other {
            self.directory.evict(&address);
            shared.reconciliation.removed += 1;
        }
    }
}

impl SharedDirectory {
    fn end_reconciliation(&mut self) {
        let reconciliation = &mut self.reconciliation;
        if !std::mem::take(&mut reconciliation.is_running) {
            return;
        }
        reconciliation.is_other_database = false;
        info!(
            target: OPERATOR,
            "registry: nodes loaded: {}, published: {}, removed: {}",
            reconciliation.records,
            reconciliation.published,
            reconciliation.removed
        );
        self.removed.clear();
    }
}
