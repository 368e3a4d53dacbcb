//! The changes of other relays, applied to the directory and the index.

use std::time::{Duration, Instant};

use crate::protocol::{NodeAddress, Request, address_group};
use crate::relay::Relay;
use crate::relay::index::{ContentId, Holder, Minute, name_work, with_margin};
use crate::relay::registrant::Registrant;
use crate::relay::shared_directory::change::{DirectoryChange, NodeHeader};
use crate::relay::shared_directory::{
    Hold, InstanceId, LEASE_GRACE, RegistryBatch, RegistryCommand, RegistryLink,
};
use crate::relay::table::SlotId;
use crate::role::Output;
use crate::session::responder::Responder;

/// What became of a change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum ChangeResult {
    Applied,
    /// It is not valid, or there is no room.
    Rejected,
    /// A part is left for the next turn.
    Unfinished,
}

impl From<bool> for ChangeResult {
    fn from(is_applied: bool) -> Self {
        match is_applied {
            true => Self::Applied,
            false => Self::Rejected,
        }
    }
}

impl Relay {
    /// Applies lines of a batch. Returns false if some are left.
    pub(super) fn apply_batch(
        &mut self,
        batch: &RegistryBatch,
        budget: &mut usize,
        out: &mut Output<Self>,
        now: Instant,
    ) -> bool {
        let Some(shared) = &mut self.shared else {
            return true;
        };
        let is_own = shared.link == RegistryLink::Connected(batch.origin);
        if is_own && !shared.unconfirmed.has_overtaken() {
            self.confirm(batch.number);
            return true;
        }
        if !is_own
            && shared.incoming.is_at_start()
            && !shared.relays.on_batch(batch.origin, batch.number, now)
        {
            (shared.send)(RegistryCommand::Reconnect("changes were missed"));
        }
        while *budget > 0 {
            let Some(shared) = &mut self.shared else {
                return true;
            };
            let Some(line) = shared.incoming.next_line(&batch.text) else {
                if is_own {
                    self.confirm(batch.number);
                }
                return true;
            };
            *budget = budget.saturating_sub(name_work(line));
            let change = DirectoryChange::parse(line);
            if let Some(DirectoryChange::Node(address)) = change {
                shared.incoming.set_subject(Some(address));
                continue;
            }
            let subject = shared.incoming.subject;
            let result = match change {
                Some(change) if is_own => self.apply_again(subject, change, budget, out, now),
                Some(change) => self.apply(batch.origin, subject, change, budget, out, now),
                None => ChangeResult::Rejected,
            };
            let Some(shared) = &mut self.shared else {
                return true;
            };
            match result {
                ChangeResult::Applied => shared.counters.applied += 1,
                ChangeResult::Rejected => {
                    shared.counters.applied += 1;
                    shared.counters.rejected += 1;
                }
                ChangeResult::Unfinished => {
                    shared.incoming.repeat_line();
                    return false;
                }
            }
        }
        false
    }

    /// Applies a change of another relay.
    fn apply(
        &mut self,
        origin: InstanceId,
        subject: Option<NodeAddress>,
        change: DirectoryChange<'_>,
        budget: &mut usize,
        out: &mut Output<Self>,
        now: Instant,
    ) -> ChangeResult {
        let Some(shared) = &mut self.shared else {
            return ChangeResult::Rejected;
        };
        match change {
            DirectoryChange::Renew(_, address) if shared.incoming.refused == Some(address) => {
                self.dispute_renewal(address, now);
                ChangeResult::Applied
            }
            DirectoryChange::Renew(lease, address) => {
                match self.directory.find(&address) {
                    Some(slot) => {
                        // What this relay has published of the node since comes later.
                        shared.node(slot).is_own &= shared.unconfirmed.contains(&address);
                        self.directory.set_lease(slot, now + lease + LEASE_GRACE);
                    }
                    None => (shared.send)(RegistryCommand::Load(address)),
                }
                ChangeResult::Applied
            }
            DirectoryChange::Listen(address) => {
                self.add_remote_listener(address, origin, out, now).into()
            }
            DirectoryChange::Unlisten(address) => {
                self.message_listeners.remove_remote(&address, origin);
                ChangeResult::Applied
            }
            DirectoryChange::Via(relay) => {
                shared.incoming.message_relay = Some(relay);
                ChangeResult::Applied
            }
            DirectoryChange::Message(to, message) => {
                self.deliver_message(to, &message, out, now);
                ChangeResult::Applied
            }
            change => {
                let Some(address) = subject else {
                    return ChangeResult::Rejected;
                };
                if shared.is_outdated(address, self.directory.find(&address), &change) {
                    return ChangeResult::Applied;
                }
                shared.unconfirmed.overtake(&address);
                self.apply_to_node(address, change, budget, out, now)
            }
        }
    }

    /// Applies a change of this relay again; see [`super::unconfirmed`].
    fn apply_again(
        &mut self,
        subject: Option<NodeAddress>,
        mut change: DirectoryChange<'_>,
        budget: &mut usize,
        out: &mut Output<Self>,
        now: Instant,
    ) -> ChangeResult {
        let (Some(address), Some(shared)) = (subject, &mut self.shared) else {
            return ChangeResult::Applied;
        };
        if !shared.unconfirmed.is_overtaken(&address) {
            return ChangeResult::Applied;
        }
        let mut is_mixed = false;
        let mut is_own = matches!(change, DirectoryChange::Add(_) | DirectoryChange::State(_));
        if let Some(slot) = self.directory.find(&address) {
            let node = *shared.node(slot);
            let key = self.directory.registrant(slot).key;
            if let DirectoryChange::Add(header) = change
                && header.key == key
                && node.is_own
                && shared.publications.contains(&address)
            {
                // The files that follow are not all: publish the node once more.
                shared.publish_node(address, slot, DirectoryChange::Add);
                return ChangeResult::Applied;
            }
            // A lost record that is made again does not say that the node is here.
            let is_registration = match &change {
                DirectoryChange::Add(header) => header.epoch != node.epoch,
                change => matches!(change, DirectoryChange::State(_)),
            };
            is_own = node.is_own || is_registration;
            if let DirectoryChange::State(header) = change
                && (header.key != key || node.hold == Hold::Disputed)
            {
                // The engine's record has the files of another node.
                change = DirectoryChange::Add(header);
                is_mixed = true;
            }
        }
        let result = self.apply_to_node(address, change, budget, out, now);
        if let Some(shared) = &mut self.shared
            && let Some(address) = shared.incoming.subject
            && let Some(slot) = self.directory.find(&address)
        {
            shared.node(slot).is_own = is_own;
            if is_mixed {
                shared.publish_node(address, slot, DirectoryChange::Add);
            }
        }
        result
    }

    fn apply_to_node(
        &mut self,
        address: NodeAddress,
        change: DirectoryChange<'_>,
        budget: &mut usize,
        out: &mut Output<Self>,
        now: Instant,
    ) -> ChangeResult {
        match change {
            DirectoryChange::Add(header) | DirectoryChange::State(header)
                if self.is_refused(address, &header, now) =>
            {
                ChangeResult::Applied
            }
            DirectoryChange::Key(key) => {
                self.check_key(address, key);
                ChangeResult::Applied
            }
            DirectoryChange::Add(header) => {
                let Some((slot, _)) = self.apply_header(address, header, out, now) else {
                    return ChangeResult::Rejected;
                };
                self.set_hold(slot, Hold::Confirmed);
                // Its files follow.
                self.index.remove_files(slot, budget);
                match self.index.file_count(slot) {
                    0 => ChangeResult::Applied,
                    _ => ChangeResult::Unfinished,
                }
            }
            DirectoryChange::State(header) => {
                let Some((_, is_new)) = self.apply_header(address, header, out, now) else {
                    return ChangeResult::Rejected;
                };
                if is_new && let Some(shared) = &mut self.shared {
                    // With its files.
                    (shared.send)(RegistryCommand::Load(address));
                }
                ChangeResult::Applied
            }
            DirectoryChange::Remove => {
                self.directory.evict(&address);
                if let Some(shared) = &mut self.shared {
                    shared.outgoing.forget_renewal(&address);
                }
                ChangeResult::Applied
            }
            DirectoryChange::File(request) => match self.directory.find(&address) {
                Some(slot) => self.put_file(slot, &request, now).into(),
                // It left, or its lease ended.
                None => ChangeResult::Applied,
            },
            DirectoryChange::Node(_)
            | DirectoryChange::Renew(..)
            | DirectoryChange::Listen(_)
            | DirectoryChange::Unlisten(_)
            | DirectoryChange::Via(_)
            | DirectoryChange::Message(..) => ChangeResult::Applied,
        }
    }

    /// Makes or changes the entry of a node. Returns its slot, and whether it is a new one;
    /// none if there is no room.
    fn apply_header(
        &mut self,
        address: NodeAddress,
        header: NodeHeader,
        out: &mut Output<Self>,
        now: Instant,
    ) -> Option<(SlotId, bool)> {
        let mut known = self.directory.find(&address);
        let hold = known.map(|slot| self.hold(slot));
        if known.is_some_and(|slot| self.epoch(slot) != header.epoch) {
            self.directory.evict(&address);
            known = None;
            if let Some(shared) = &mut self.shared {
                shared.outgoing.forget_renewal(&address);
            }
        }
        let end = now + header.lease + LEASE_GRACE;
        let slot = self.put_node((address, header), end, out, now)?;
        if let Some(shared) = &mut self.shared {
            shared.node(slot).is_own = false;
        }
        // The engine keeps the files of its record.
        self.set_hold(slot, hold.unwrap_or_default().max(Hold::Confirmed));
        Some((slot, known.is_none()))
    }

    /// Makes the entry of a node as another relay has it. Its files stay. None if there is
    /// no room.
    pub(super) fn put_node(
        &mut self,
        (address, header): (NodeAddress, NodeHeader),
        end: Instant,
        out: &mut Output<Self>,
        now: Instant,
    ) -> Option<SlotId> {
        let slot = self.put_entry(address, header, end)?;
        if let Some(listener) = self.take_other_listener(address, header.key, now) {
            Responder::close_replaced(out, listener);
        }
        Some(slot)
    }

    fn put_entry(
        &mut self,
        address: NodeAddress,
        header: NodeHeader,
        end: Instant,
    ) -> Option<SlotId> {
        let by = Registrant {
            source: header.source,
            key: header.key,
        };
        if let Some(slot) = self.directory.find(&address) {
            self.directory.set_registrant(slot, by);
            self.directory.set_lease(slot, end);
            if let Some(shared) = &mut self.shared {
                shared.node(slot).epoch = header.epoch;
            }
            return Some(slot);
        }
        let number = self.last_registration + 1;
        let max_nodes = with_margin(self.settings.max_nodes as u64) as usize;
        let registration = (address, by, number);
        let slot = self
            .directory
            .register(registration, end, max_nodes, usize::MAX)
            .ok()?;
        self.directory.admit_any_announcer(slot);
        self.last_registration = number;
        self.init_shared_node(slot, header.epoch, false);
        if let Some(shared) = &mut self.shared {
            shared.counters.added += 1;
        }
        Some(slot)
    }

    /// Applies `SHARE`, `SHAREDIGEST` or `UNSHARE`. Returns false if there is no room.
    pub(super) fn put_file(&mut self, slot: SlotId, request: &Request<'_>, now: Instant) -> bool {
        let quota = self.settings.quota.with_margin();
        match request {
            Request::Share(size, hash, name) => {
                let holder = Holder {
                    node: slot,
                    content: ContentId::new(*size, *hash),
                    on_loopback: self.directory.is_on_loopback(slot),
                    since: Minute::of(self.uptime(now)),
                };
                let source = self.directory.registrant(slot).source;
                let is_trusted = self.settings.trust.contains(source);
                let group = (!is_trusted).then(|| address_group(source));
                self.index.insert(name, holder, group, &quota).is_ok()
            }
            Request::ShareDigest(hash, digest, name) => self
                .index
                .set_digest(name, slot, (*hash, *digest), &quota)
                .is_ok(),
            Request::Unshare(name) => {
                self.index.remove(slot, name);
                true
            }
            _ => false,
        }
    }

    /// Whether the lease of a node was last renewed at this relay.
    pub(super) fn is_own(&self, slot: SlotId) -> bool {
        let shared = self.shared.as_ref();
        let node = shared.and_then(|shared| shared.nodes.get(slot as usize));
        node.is_some_and(|node| node.is_own)
    }

    /// What is left of the lease of a node, with the grace that the engine gives.
    pub(super) fn remaining_lease(&self, slot: SlotId, now: Instant) -> Duration {
        let end = self.directory.lease_end(slot).unwrap_or(now);
        let grace = match self.is_own(slot) {
            true => LEASE_GRACE,
            false => Duration::ZERO,
        };
        end.saturating_duration_since(now) + grace
    }
}
