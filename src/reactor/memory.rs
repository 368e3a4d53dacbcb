//! The memory of all outboxes and of requests that wait, together.
//!
//! When it is above its limit, connections are closed: of the address that holds the
//! most, the one that holds the most, and so on. Who reads what he requested holds
//! little.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use crate::close_reason::CloseReason;
use crate::reactor::Reactor;
use crate::reactor::address_groups::GroupId;
use crate::reactor::outbox::{MemoryUsage, Outbox};
use crate::reactor::transport::Transport;
use crate::role::Role;

/// Counts the bytes that are queued. Bytes that several outboxes share count once.
#[derive(Default)]
pub(super) struct QueuedMemory {
    /// Bytes that one connection owns.
    own: u64,
    /// Distinct buffers that outboxes share, and may hold no longer.
    shared: Vec<Weak<[u8]>>,
    shared_bytes: u64,
    /// When to look which of them are still held.
    recount_at: Option<Instant>,
}

/// The time between two recounts of the shared buffers, unless memory is short.
const RECOUNT_PERIOD: Duration = Duration::from_secs(1);

impl QueuedMemory {
    /// Bytes that one connection owns.
    pub(super) fn own(&self) -> u64 {
        self.own
    }

    fn total(&self) -> u64 {
        self.own + self.shared_bytes
    }

    /// An outbox is about to share this buffer.
    pub(super) fn add_shared(&mut self, buffer: &Arc<[u8]>) {
        let is_same = |other: &Weak<[u8]>| std::ptr::addr_eq(other.as_ptr(), Arc::as_ptr(buffer));
        if !self.shared.iter().any(is_same) {
            self.shared.push(Arc::downgrade(buffer));
            self.shared_bytes += buffer.len() as u64;
        }
    }

    /// Counts on only those buffers that are held, and frees the others.
    fn recount_shared(&mut self, now: Instant, is_held: impl Fn(&Weak<[u8]>) -> bool) {
        self.recount_at = Some(now + RECOUNT_PERIOD);
        self.shared.retain(is_held);
        let buffers = self.shared.iter().filter_map(Weak::upgrade);
        self.shared_bytes = buffers.map(|buffer| buffer.len() as u64).sum();
    }
}

/// The outboxes of one address: how much all hold, and what each holds by its slot.
#[derive(Default)]
struct GroupUsage {
    bytes: u64,
    outboxes: Vec<(u64, usize)>,
}

impl<R: Role, T: Transport<R::File>> Reactor<R, T> {
    /// Counts the change of an outbox in this group.
    pub(super) fn count_memory(&mut self, group: GroupId, before: MemoryUsage, after: MemoryUsage) {
        if before != after {
            let own = self.memory.own + after.bytes;
            debug_assert!(own >= before.bytes);
            self.memory.own = own.saturating_sub(before.bytes);
            self.addresses
                .change_files(group, before.files, after.files);
        }
    }

    /// Closes connections if more is queued for all of them than the limit allows.
    pub(super) fn limit_memory(&mut self) {
        let max = self.settings.limits.max_queue_total as u64;
        let memory = &mut self.memory;
        let is_due = memory.recount_at.is_none_or(|at| at <= self.now);
        if memory.total() > max {
            // The role keeps some buffers for later replies: they do not count.
            let outboxes = self.connections.iter().map(|(_, conn)| &conn.outbox);
            let buffers = outboxes.flat_map(Outbox::shared_buffers);
            let held: HashSet<*const u8> = buffers.map(|buffer| buffer.as_ptr()).collect();
            let is_held = |buffer: &Weak<[u8]>| held.contains(&buffer.as_ptr().cast());
            memory.recount_shared(self.now, is_held);
        } else if is_due && !memory.shared.is_empty() {
            memory.recount_shared(self.now, |buffer| buffer.strong_count() > 0);
        }
        let mut left = self.memory.total();
        if left <= max {
            return;
        }
        let mut groups: HashMap<GroupId, GroupUsage> = HashMap::new();
        for (slot, conn) in &self.connections {
            let bytes = conn.outbox.held() + conn.unsent_records() + conn.unhandled_bytes();
            if bytes > 0 {
                let usage = groups.entry(conn.group).or_default();
                usage.bytes += bytes;
                usage.outboxes.push((bytes, slot));
            }
        }
        for usage in groups.values_mut() {
            usage.outboxes.sort_unstable();
        }
        // A little more, so that not every round has to close some.
        while left > max - max / 8
            && let Some(usage) = groups.values_mut().max_by_key(|usage| usage.bytes)
            && let Some((bytes, slot)) = usage.outboxes.pop()
        {
            usage.bytes -= bytes;
            left = left.saturating_sub(bytes);
            self.close_now(slot, CloseReason::MemoryLimit);
        }
    }
}
