//! `SEARCH` and `MORE`. A long search runs in steps, one per turn of the loop,
//! while its client waits.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Instant;

use log::debug;

use crate::protocol::address_group;
use crate::relay::index::{Search, SearchResult, Visibility, WORK_PER_STEP};
use crate::relay::table::SlotId;
use crate::relay::{Relay, RelayRequest};
use crate::role::{ConnId, Output, ReadNext};

/// Searches that take more than one step, and the work of the current turn.
pub(super) struct SearchQueue {
    /// Those that wait for a step, and those whose clients have not fetched the result.
    searches: HashMap<ConnId, PendingSearch>,
    /// The addresses whose searches wait for a step, in turn.
    addresses: VecDeque<IpAddr>,
    /// The searches of each of these addresses, in order; some may be cancelled.
    by_address: HashMap<IpAddr, VecDeque<ConnId>>,
    turn: Instant,
    /// The work of this turn.
    work: usize,
}

/// A search whose client waits.
struct PendingSearch {
    group: IpAddr,
    on_loopback: bool,
    search: Search,
}

impl SearchQueue {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            searches: HashMap::new(),
            addresses: VecDeque::new(),
            by_address: HashMap::new(),
            turn: now,
            work: 0,
        }
    }

    /// Whether a search waits for its next step.
    pub(super) fn has_work(&self) -> bool {
        !self.addresses.is_empty()
    }

    /// Removes the search of a connection that is closed.
    pub(super) fn cancel(&mut self, conn: ConnId) {
        self.searches.remove(&conn);
    }

    /// The searches of an address. The address waits for a turn if it did not.
    fn of_address(&mut self, group: IpAddr) -> &mut VecDeque<ConnId> {
        let searches = self.by_address.entry(group).or_default();
        if searches.is_empty() {
            self.addresses.push_back(group);
        }
        searches
    }

    /// Takes out the first search of the address whose turn it is.
    fn next(&mut self) -> Option<(ConnId, PendingSearch)> {
        while let Some(group) = self.addresses.pop_front() {
            let Some(mut conns) = self.by_address.remove(&group) else {
                continue;
            };
            let next = conns.pop_front();
            if !conns.is_empty() {
                self.addresses.push_back(group);
                self.by_address.insert(group, conns);
            }
            if let Some(conn) = next
                && let Some(search) = self.searches.remove(&conn)
            {
                return Some((conn, search));
            }
        }
        None
    }

    /// Whether a new search may run at once: no other waits, and the turn of the loop
    /// at `now` has not done too much. Many short searches together would hold up
    /// the loop as much as a long one.
    fn may_run(&mut self, now: Instant) -> bool {
        if self.turn != now {
            self.turn = now;
            self.work = 0;
        }
        self.addresses.is_empty() && self.work < WORK_PER_STEP
    }
}

impl Relay {
    pub(super) fn search(
        &mut self,
        request: &mut RelayRequest<'_>,
        conn: ConnId,
        mut search: Search,
    ) -> ReadNext {
        request.session.extended().next_page = None;
        let on_loopback = request.is_loopback();
        if self.searches.may_run(request.now) && self.search_step(&mut search, on_loopback) {
            return self.send_result(request, search);
        }
        request.session.extended().pending_search = Some(conn);
        let pending = PendingSearch {
            group: address_group(request.ip),
            on_loopback,
            search,
        };
        self.searches.of_address(pending.group).push_back(conn);
        self.searches.searches.insert(conn, pending);
        ReadNext::Wait
    }

    pub(super) fn more(&mut self, request: &mut RelayRequest<'_>, conn: ConnId) -> ReadNext {
        match request.session.extended().next_page.take() {
            Some(search) => self.search(request, conn, *search),
            None => request.reply.files(0, 0, |_| {}),
        }
    }

    /// Sends the result of the connection's finished search.
    pub(super) fn finish_search(
        &mut self,
        request: &mut RelayRequest<'_>,
        conn: ConnId,
    ) -> ReadNext {
        request.session.extended().pending_search = None;
        match self.searches.searches.remove(&conn) {
            Some(pending) => self.send_result(request, pending.search),
            None => ReadNext::Line,
        }
    }

    /// Does a bounded amount of work for the searches that wait. Addresses take turns, so
    /// that one with many searches does not hold up the others.
    pub(super) fn continue_searches(&mut self, out: &mut Output<Self>) {
        let max_work = self.searches.work + WORK_PER_STEP;
        while self.searches.work < max_work
            && let Some((conn, mut pending)) = self.searches.next()
        {
            if self.search_step(&mut pending.search, pending.on_loopback) {
                out.resume(conn);
            } else {
                self.searches.of_address(pending.group).push_front(conn);
            }
            self.searches.searches.insert(conn, pending);
        }
    }

    /// Returns whether the search is finished.
    fn search_step(&mut self, search: &mut Search, on_loopback: bool) -> bool {
        let is_live = |slot| self.directory.is_live(slot);
        let visibility = self.visibility(on_loopback, &is_live);
        search.step(&self.index, &visibility, &mut self.searches.work)
    }

    /// Which holders a requester sees. `is_live` says whether a node has not left.
    pub(super) fn visibility<'v>(
        &self,
        on_loopback: bool,
        is_live: &'v dyn Fn(SlotId) -> bool,
    ) -> Visibility<'v> {
        Visibility {
            on_loopback,
            has_departed: self.directory.next_departed().is_some(),
            is_live,
        }
    }

    fn send_result(&self, request: &mut RelayRequest<'_>, search: Search) -> ReadNext {
        let result = search.into_result();
        debug!("{} of {} files found", result.files.len(), result.total);
        if let Some(pending) = request.session.extended().pending_answer.take() {
            return self.finish_answer(request, *pending, &result);
        }
        let SearchResult {
            files, total, next, ..
        } = result;
        request.session.extended().next_page = next.map(Box::new);
        request.reply.files(files.len() as u64, total, |visit| {
            files.items().for_each(|item| visit(&item));
        })
    }
}
