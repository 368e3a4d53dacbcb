//! The engine's records of nodes, merged with those of the relay: at the start, after the
//! relay was cut off, and when one node is loaded.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use log::info;

use crate::logging::OPERATOR;
use crate::protocol::{NodeAddress, Request};
use crate::relay::Relay;
use crate::relay::index::{ContentId, NameId};
use crate::relay::registry::change::{DirectoryChange, NodeHeader};
use crate::relay::registry::publication::NodePublication;
use crate::relay::registry::{LEASE_GRACE, NodeRecord, Unpublished};
use crate::relay::table::SlotId;
use crate::role::Output;

/// The merge of all records, and of one record.
#[derive(Default)]
pub(super) struct Reconciliation {
    number: u32,
    is_running: bool,
    is_other_database: bool,
    records: u64,
    current: Option<RecordMerge>,
}

/// The merge of one record.
struct RecordMerge {
    address: NodeAddress,
    slot: SlotId,
    /// Whether the relay's record is the newer one: the engine gets the differences.
    is_ours: bool,
    /// The relay's files that the record does not contain, so far.
    missing: HashSet<NameId>,
}

impl Reconciliation {
    /// The number of the last reconciliation.
    pub(super) fn number(&self) -> u32 {
        self.number
    }

    pub(super) fn start(&mut self, is_other_database: bool) {
        self.number += 1;
        self.is_running = true;
        // Stays so until one reconciliation has been finished.
        self.is_other_database |= is_other_database;
        self.records = 0;
        self.current = None;
    }

    pub(super) fn abort(&mut self) {
        self.is_running = false;
        self.current = None;
    }
}

impl Relay {
    /// Merges lines of a record. Returns false if some are left.
    pub(super) fn merge_record(
        &mut self,
        record: &NodeRecord,
        lines: &mut usize,
        out: &mut Output<Self>,
        now: Instant,
    ) -> bool {
        let is_start = record.is_first
            && self
                .registry
                .as_ref()
                .is_some_and(|registry| registry.incoming.is_at_start());
        while *lines > 0 {
            let Some(registry) = &mut self.registry else {
                return true;
            };
            let line = registry.incoming.next_line(&record.text);
            let Some(line) = line else {
                if record.is_last {
                    self.finish_record(now);
                }
                return true;
            };
            *lines -= 1;
            let change = DirectoryChange::parse(line);
            registry.counters.applied += 1;
            let is_merged = match change {
                Some(DirectoryChange::State(header)) if is_start => {
                    self.begin_record(record, header, out, now)
                }
                Some(DirectoryChange::File(request)) => self.merge_file(&request, now),
                _ => false,
            };
            if let Some(registry) = &mut self.registry {
                registry.counters.rejected += u64::from(!is_merged);
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
        let Some(registry) = &mut self.registry else {
            return false;
        };
        registry.reconciliation.records += 1;
        registry.reconciliation.current = None;
        // Others than relays may have set the expiry of the record.
        let longest = header.lease + LEASE_GRACE;
        let remaining = record.remaining.min(longest);
        if self.has_left_since(address, longest - remaining, now) {
            return true;
        }
        let mut end = now + remaining;
        let (mut is_ours, mut is_renewed) = (false, false);
        if let Some(slot) = self.directory.find(&address) {
            // A record of this relay's own is older, whenever it was written: the engine may
            // have been paused.
            let is_later =
                header.relay == self.first_epoch || self.remaining_lease(slot, now) >= remaining;
            let is_same = self.epoch(slot) == header.epoch;
            let unpublished = self.take_unpublished(slot);
            if is_later && !is_same && unpublished != Unpublished::Nothing {
                self.publish_node(slot, address, DirectoryChange::Add);
                return true;
            }
            is_ours = is_later && unpublished == Unpublished::Change;
            if is_later && is_same {
                end = self.directory.lease_end(slot).unwrap_or(end);
            }
            is_renewed = is_later && unpublished != Unpublished::Nothing;
        }
        let Some(slot) = self.put_node((address, header), end, out, now) else {
            return false;
        };
        let state = DirectoryChange::State(self.node_header(slot));
        let missing = self.index.files_of(slot);
        if let Some(registry) = &mut self.registry {
            if !is_ours {
                registry.unconfirmed.overtake(&address);
            }
            if is_renewed {
                registry.publish(Some(address), &state, now);
            }
            registry.reconciliation.current = Some(RecordMerge {
                address,
                slot,
                is_ours,
                missing,
            });
        }
        true
    }

    /// Whether the node of a record of this age has left meanwhile. Others are told.
    fn has_left_since(&mut self, address: NodeAddress, age: Duration, now: Instant) -> bool {
        let Some(registry) = &mut self.registry else {
            return false;
        };
        let left_at = registry.removed.remove(&address);
        let is_newer = left_at.is_some_and(|at| now.saturating_duration_since(at) <= age);
        let has_left = is_newer && self.directory.find(&address).is_none();
        if has_left {
            registry.publish(Some(address), &DirectoryChange::Remove, now);
        }
        has_left
    }

    /// The engine has a record of a node. Returns what it does not know.
    fn take_unpublished(&mut self, slot: SlotId) -> Unpublished {
        let Some(registry) = &mut self.registry else {
            return Unpublished::Nothing;
        };
        let number = registry.reconciliation.number;
        let node = registry.node(slot);
        node.seen_in = number;
        std::mem::take(&mut node.unpublished)
    }

    /// Returns false if there is no room for the file.
    fn merge_file(&mut self, request: &Request<'_>, now: Instant) -> bool {
        let registry = self.registry.as_mut();
        let Some(merge) = registry.and_then(|r| r.reconciliation.current.as_mut()) else {
            // The record of a node that the relay knows better.
            return true;
        };
        let slot = merge.slot;
        if let Request::Share(size, hash, name) = request {
            let content = ContentId::new(*size, *hash);
            let own = self.index.file_of(slot, name);
            if let Some((id, own)) = own
                && (own == content || !merge.is_ours)
            {
                merge.missing.remove(&id);
            }
            if merge.is_ours {
                let address = merge.address;
                if own.is_none()
                    && let Some(registry) = &mut self.registry
                {
                    let change = DirectoryChange::File(Request::Unshare(name.clone()));
                    registry.publish(Some(address), &change, now);
                }
                return true;
            }
        } else if merge.is_ours {
            return true;
        }
        self.put_file(slot, request, now)
    }

    fn finish_record(&mut self, now: Instant) {
        let registry = self.registry.as_mut();
        let Some(merge) = registry.and_then(|r| r.reconciliation.current.take()) else {
            return;
        };
        if self.directory.find(&merge.address) != Some(merge.slot) {
            return;
        }
        if !merge.is_ours {
            self.index.remove_named(merge.slot, &merge.missing);
        } else if let Some(registry) = &mut self.registry {
            let publication = NodePublication::of_files(merge.address, merge.slot, merge.missing);
            registry.publications.push_back(publication);
        }
        self.publish_nodes(now);
    }

    /// All records were read. Nodes without one are published, or have left.
    pub(super) fn finish_reconciliation(&mut self, now: Instant) {
        let Some(registry) = &mut self.registry else {
            return;
        };
        let reconciliation = &mut registry.reconciliation;
        if !std::mem::take(&mut reconciliation.is_running) {
            return;
        }
        let is_other = std::mem::take(&mut reconciliation.is_other_database);
        let (number, records) = (reconciliation.number, reconciliation.records);
        registry.removed.clear();
        let (mut published, mut left) = (0_u64, 0_u64);
        for slot in self.directory.live_slots() {
            let Some(registry) = &mut self.registry else {
                return;
            };
            let node = registry.node(slot);
            if node.seen_in == number {
                continue;
            }
            let is_unpublished = std::mem::take(&mut node.unpublished) != Unpublished::Nothing;
            let is_own = node.is_own;
            node.seen_in = number;
            let Some(address) = self.directory.live_address(slot) else {
                continue;
            };
            if is_unpublished || (is_other && is_own) {
                self.publish_node(slot, address, DirectoryChange::Add);
                published += 1;
            } else if !is_other {
                self.directory.evict(&address);
                left += 1;
            }
        }
        info!(
            target: OPERATOR,
            "registry: nodes loaded: {records}, published: {published}, removed: {left}"
        );
        self.publish_nodes(now);
    }
}
