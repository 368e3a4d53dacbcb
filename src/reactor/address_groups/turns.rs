//! How addresses share the turns of the loop.
//!
//! In each round every address may do the same amount of work, and the addresses take turns after
//! each connection. A stranger with many connections delays others no more than one with a single
//! connection.
//!
//! A round does a bounded amount of work for all addresses together; those that are left over come
//! first in the next one. Addresses that did not use up their share have every second turn, as new
//! flows in RFC 8290 come before old ones: however many strangers work without pause, a request
//! now and then waits for a few turns only.
//!
//! A connection has one turn in a round. An address with a long answer may have further ones, until
//! it has used up its share.

use std::collections::VecDeque;

use crate::reactor::address_groups::{AddressGroup, AddressGroups, GroupId};

/// The work of a round, in pieces of input, 4 KiB of output, what TLS costs beside its content, or
/// what the role counts beside. The addresses share it.
pub(in crate::reactor) const ROUND_WORK: usize = 1024;
/// The least share of an address in a round in which it has a turn.
const MIN_SHARE: usize = 32;
/// Groups in the order of their turns.
#[derive(Default)]
pub(super) struct DueGroups {
    /// Those that did not use up their share when they had turns last.
    light: VecDeque<GroupId>,
    heavy: VecDeque<GroupId>,
}

impl DueGroups {
    fn of_kind(&mut self, is_light: bool) -> &mut VecDeque<GroupId> {
        match is_light {
            true => &mut self.light,
            false => &mut self.heavy,
        }
    }

    fn is_empty(&self) -> bool {
        self.light.is_empty() && self.heavy.is_empty()
    }
}

impl AddressGroup {
    /// The connection in this slot is due. If the group is in no queue yet, returns whether it is
    /// to be queued as a light one.
    fn add_due(&mut self, slot: usize) -> Option<bool> {
        // A slab of connections never has 2^32 entries.
        self.due.push_back(slot as u32);
        let was_queued = std::mem::replace(&mut self.is_queued, true);
        (!was_queued).then_some(!self.is_heavy)
    }
}

impl AddressGroups {
    /// Whether connections are due for a turn.
    pub(in crate::reactor) fn has_due(&self) -> bool {
        !self.current.is_empty() || !self.next.is_empty()
    }

    /// The connection in this slot is due for a turn in the next round.
    pub(in crate::reactor) fn push(&mut self, id: GroupId, slot: usize) {
        if let Some(is_light) = self.groups[id as usize].add_due(slot) {
            self.next.of_kind(is_light).push_back(id);
        }
    }

    /// The connection in this slot has had a turn and is due for another one: in the same round,
    /// unless its address waits for the next one already.
    pub(in crate::reactor) fn push_again(&mut self, id: GroupId, slot: usize) {
        let group = &mut self.groups[id as usize];
        group.turns_left += 1;
        if let Some(is_light) = group.add_due(slot) {
            self.current.of_kind(is_light).push_back(id);
        }
    }

    /// Starts a round of so much work: connections that are due may have one turn each. The groups
    /// that the last round has left over come first.
    pub(in crate::reactor) fn start_round(&mut self, work: usize) {
        self.current.light.append(&mut self.next.light);
        self.current.heavy.append(&mut self.next.heavy);
        let count = self.current.light.len() + self.current.heavy.len();
        self.share = (work / count.max(1)).max(MIN_SHARE);
        self.work_left = work;
        self.round = self.round.wrapping_add(1);
    }

    /// The next connection to have its turn in this round: its slot, and whether it is the first
    /// one of its group.
    pub(in crate::reactor) fn pop(&mut self) -> Option<(usize, bool)> {
        while self.work_left > 0 {
            let has_both = !self.current.light.is_empty() && !self.current.heavy.is_empty();
            let is_light = match has_both {
                true => !self.was_light,
                false => self.current.heavy.is_empty(),
            };
            let id = self.current.of_kind(is_light).pop_front()?;
            let group = &mut self.groups[id as usize];
            let is_first = group.round != self.round;
            if is_first && is_light && group.is_heavy {
                // It has become so in the last turn of a round.
                self.current.heavy.push_back(id);
                continue;
            }
            if is_first {
                (group.round, group.work) = (self.round, 0);
                group.turns_left = group.due.len();
            }
            if group.turns_left > 0
                && group.work < self.share
                && let Some(slot) = group.due.pop_front()
            {
                group.turns_left -= 1;
                self.was_light = is_light;
                self.current.of_kind(is_light).push_back(id);
                return Some((slot as usize, is_first));
            }
            group.is_heavy = group.work >= self.share;
            if group.due.is_empty() {
                group.is_queued = false;
                self.remove_if_unused(id);
            } else {
                let is_light = !group.is_heavy;
                self.next.of_kind(is_light).push_back(id);
            }
        }
        None
    }

    /// The work that a connection of this group may do in its turn. Others of the group may have
    /// used up the share since its turn began; only a first one may always do some.
    pub(in crate::reactor) fn work_left(&self, id: GroupId, is_first: bool) -> usize {
        let of_group = self.share.saturating_sub(self.groups[id as usize].work);
        of_group.min(self.work_left).max(is_first.into())
    }

    /// A connection of this group has done so much work.
    pub(in crate::reactor) fn charge(&mut self, id: GroupId, work: usize) {
        let group = &mut self.groups[id as usize];
        group.work += work;
        group.is_heavy |= group.work >= self.share;
        self.work_left = self.work_left.saturating_sub(work);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reactor::address_groups::tests::acquire;

    fn pop(groups: &mut AddressGroups) -> Option<usize> {
        groups.pop().map(|(slot, _)| slot)
    }

    #[test]
    fn addresses_take_turns_and_share_the_work_of_a_round() {
        let mut groups = AddressGroups::new(64, 60, 9);
        let many = acquire(&mut groups, "192.0.2.1").expect("a place");
        let one = acquire(&mut groups, "192.0.2.2").expect("a place");
        (0..9).for_each(|slot| groups.push(many, slot));
        groups.push(one, 9);
        groups.start_round(ROUND_WORK);
        assert_eq!(groups.pop(), Some((0, true)));
        groups.charge(many, ROUND_WORK / 4);
        assert_eq!(groups.pop(), Some((9, true)));
        assert_eq!(groups.pop(), Some((1, false)));
        groups.charge(many, ROUND_WORK / 4);
        groups.push(many, 0);
        assert_eq!(groups.pop(), None, "its work of this round is done");
        assert_eq!(groups.work_left(many, false), 0);
        assert_eq!(groups.work_left(many, true), 1);
        assert!(groups.has_due());
        groups.start_round(ROUND_WORK);
        let rest = std::iter::from_fn(|| pop(&mut groups));
        assert!(rest.eq([2, 3, 4, 5, 6, 7, 8, 0]));
        assert!(!groups.has_due());
    }

    #[test]
    fn many_busy_addresses_share_a_round_and_delay_others_for_two_turns() {
        const BUSY: usize = 100;
        let mut groups = AddressGroups::new(256, 60, 9);
        let mut busy = Vec::new();
        for slot in 0..BUSY {
            let id = acquire(&mut groups, &format!("192.0.2.{slot}")).expect("a place");
            busy.push(id);
            groups.push(id, slot);
        }
        let other = acquire(&mut groups, "198.51.100.1").expect("a place");
        let mut turns = [0; BUSY];
        for round in 0..12 {
            if round >= 4 {
                groups.push(other, BUSY);
            }
            groups.start_round(ROUND_WORK);
            let mut done = 0;
            let mut before = 0;
            while let Some(slot) = pop(&mut groups) {
                if slot == BUSY {
                    assert!(before < 2, "{before} turns before the other one");
                    groups.charge(other, 1);
                    continue;
                }
                before += 1;
                done += MIN_SHARE;
                groups.charge(busy[slot], MIN_SHARE);
                groups.push(busy[slot], slot);
                turns[slot] += 1;
            }
            assert!(done <= ROUND_WORK, "{done} in a round");
        }
        let (least, most) = (turns.iter().min(), turns.iter().max());
        assert_eq!((least, most), (Some(&3), Some(&4)), "{turns:?}");
    }
}
