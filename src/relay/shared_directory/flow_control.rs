//! Makes clients wait whose changes the engine does not take as fast as they come, so that the
//! changes of other clients do not wait behind theirs.

use std::collections::{HashMap, VecDeque};
use std::mem;
use std::net::IpAddr;

use crate::protocol::address_group;
use crate::relay::Relay;
use crate::role::{ConnId, ReadNext};

/// The most bytes of changes that may be on their way for all clients together. A client waits
/// while more bytes of its own are on their way than are left of this, so that there is always
/// room for another client: the dynamic thresholds of Choudhury and Hahne (1998).
pub(super) const MAX_ON_THE_WAY: usize = 2 << 20;

/// The changes of clients that have not returned from the engine.
#[derive(Default)]
pub(super) struct FlowControl {
    /// By address group.
    clients: HashMap<IpAddr, ClientFlow>,
    /// Bytes on their way for all clients.
    total: usize,
    /// Which bytes arrive with which batch, in the order of the batches.
    sent: VecDeque<SentChanges>,
}

#[derive(Default)]
struct ClientFlow {
    /// Bytes on their way.
    bytes: usize,
    /// The connections that wait.
    waiting: Vec<ConnId>,
}

struct SentChanges {
    batch: u64,
    group: IpAddr,
    bytes: usize,
}

impl FlowControl {
    /// A client has made changes, which the batch of this number contains, or later ones.
    pub(super) fn add(&mut self, group: IpAddr, batch: u64, bytes: usize) {
        self.clients.entry(group).or_default().bytes += bytes;
        self.total += bytes;
        match self.sent.back_mut() {
            Some(last) if last.batch == batch && last.group == group => last.bytes += bytes,
            _ => self.sent.push_back(SentChanges {
                batch,
                group,
                bytes,
            }),
        }
    }

    /// Whether a client must wait with its next change. The connection is then among those that
    /// [`FlowControl::take_ready`] returns.
    pub(super) fn must_wait(&mut self, group: IpAddr, conn: ConnId) -> bool {
        let total = self.total;
        let client = self.clients.get_mut(&group);
        match client.filter(|client| client.exceeds_share(total)) {
            Some(client) => {
                client.waiting.push(conn);
                true
            }
            None => false,
        }
    }

    /// The batches up to this number have arrived.
    pub(super) fn confirm(&mut self, number: u64) {
        while let Some(sent) = self.sent.pop_front_if(|sent| sent.batch <= number) {
            self.total -= sent.bytes;
            if let Some(client) = self.clients.get_mut(&sent.group) {
                client.bytes -= sent.bytes;
                if client.bytes == 0 && client.waiting.is_empty() {
                    self.clients.remove(&sent.group);
                }
            }
        }
    }

    /// Nothing is on its way any longer.
    pub(super) fn clear(&mut self) {
        self.confirm(u64::MAX);
    }

    /// The connections that wait no longer.
    pub(super) fn take_ready(&mut self) -> Vec<ConnId> {
        let mut ready = Vec::new();
        let total = self.total;
        self.clients.retain(|_, client| {
            if !client.waiting.is_empty() && !client.exceeds_share(total) {
                ready.append(&mut mem::take(&mut client.waiting));
            }
            client.bytes > 0 || !client.waiting.is_empty()
        });
        ready
    }
}

impl ClientFlow {
    fn exceeds_share(&self, total: usize) -> bool {
        self.bytes > MAX_ON_THE_WAY.saturating_sub(total)
    }
}

/// Where the next change is put.
#[derive(Clone, Copy)]
pub(in crate::relay) struct ChangePosition {
    batch: u64,
    /// Bytes of all changes before it.
    start: u64,
}

impl Relay {
    /// Where the next change is put. None if the relay does not share its directory.
    pub(in crate::relay) fn change_position(&self) -> Option<ChangePosition> {
        let outgoing = &self.shared.as_ref()?.outgoing;
        Some(ChangePosition {
            batch: outgoing.number,
            start: outgoing.appended,
        })
    }

    /// Counts what a client has changed since this position. If its changes come too fast, its
    /// next request waits.
    pub(in crate::relay) fn limit_changes(
        &mut self,
        (ip, conn): (IpAddr, ConnId),
        since: ChangePosition,
        next: ReadNext,
    ) -> ReadNext {
        let Some(shared) = &mut self.shared else {
            return next;
        };
        let bytes = (shared.outgoing.appended - since.start) as usize;
        if bytes == 0 {
            return next;
        }
        let group = address_group(ip);
        shared.flow.add(group, since.batch, bytes);
        match next {
            ReadNext::Line if shared.flow.must_wait(group, conn) => ReadNext::Wait,
            next => next,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
    const BOB: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 2));

    fn conn(slot: u32) -> ConnId {
        ConnId { slot, serial: slot }
    }

    #[test]
    fn a_fast_client_waits_and_leaves_room_for_others() {
        let mut flow = FlowControl::default();
        let half = MAX_ON_THE_WAY / 2;
        flow.add(ALICE, 1, half);
        assert!(!flow.must_wait(ALICE, conn(1)));
        flow.add(ALICE, 2, 10);
        assert!(flow.must_wait(ALICE, conn(1)));
        assert!(flow.must_wait(ALICE, conn(2)));
        // Another client may have half of what is left.
        flow.add(BOB, 2, half / 2 - 10);
        assert!(!flow.must_wait(BOB, conn(3)));
        flow.add(BOB, 2, 10);
        assert!(flow.must_wait(BOB, conn(3)));
        assert_eq!(flow.take_ready(), []);
        flow.confirm(1);
        let mut ready = flow.take_ready();
        ready.sort_by_key(|conn| conn.slot);
        assert_eq!(ready, [conn(1), conn(2), conn(3)]);
        flow.confirm(2);
        assert!(flow.clients.is_empty() && flow.sent.is_empty() && flow.total == 0);
    }

    #[test]
    fn nobody_waits_for_an_engine_that_is_gone() {
        let mut flow = FlowControl::default();
        flow.add(ALICE, 7, MAX_ON_THE_WAY);
        assert!(flow.must_wait(ALICE, conn(1)));
        flow.clear();
        assert_eq!(flow.take_ready(), [conn(1)]);
        assert!(flow.clients.is_empty());
    }
}
