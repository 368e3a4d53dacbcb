//! `SEARCH` and `MORE`. A long search runs in steps, one per turn of the loop,
//! while its client waits.

use std::collections::VecDeque;
use std::time::Instant;

use log::debug;

use crate::relay::index::{PAGES_PER_STEP, Search, SearchPage, Visibility};
use crate::relay::{Relay, RelayRequest};
use crate::role::{ConnId, Output, ReadNext};

/// Searches that take more than one step, and the budget of the current turn.
pub(super) struct SearchQueue {
    pending: VecDeque<PendingSearch>,
    turn: Instant,
    /// Pages scanned in this turn.
    scanned_pages: usize,
}

/// A search whose client waits.
struct PendingSearch {
    conn: ConnId,
    on_loopback: bool,
    search: Search,
    is_finished: bool,
}

impl SearchQueue {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            pending: VecDeque::new(),
            turn: now,
            scanned_pages: 0,
        }
    }

    /// Whether a search waits for its next step.
    pub(super) fn has_work(&self) -> bool {
        self.pending.iter().any(|pending| !pending.is_finished)
    }

    /// Removes the search of a connection that is closed.
    pub(super) fn cancel(&mut self, conn: ConnId) {
        self.pending.retain(|pending| pending.conn != conn);
    }

    fn take(&mut self, conn: ConnId) -> Option<PendingSearch> {
        let mut pending = self.pending.iter();
        let index = pending.position(|pending| pending.conn == conn)?;
        self.pending.remove(index)
    }

    /// Whether a new search may run at once: no other waits, and the turn of the loop
    /// at `now` has not scanned too much. Many short searches together would hold up
    /// the loop as much as a long one.
    fn may_run(&mut self, now: Instant) -> bool {
        if self.turn != now {
            self.turn = now;
            self.scanned_pages = 0;
        }
        self.pending.is_empty() && self.scanned_pages < PAGES_PER_STEP
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
            return send_page(request, search);
        }
        request.session.extended().pending_search = Some(conn);
        self.searches.pending.push_back(PendingSearch {
            conn,
            on_loopback,
            search,
            is_finished: false,
        });
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
        match self.searches.take(conn) {
            Some(pending) => send_page(request, pending.search),
            None => ReadNext::Line,
        }
    }

    /// Runs one step of the search that waits longest.
    pub(super) fn continue_search(&mut self, out: &mut Output<Self>) {
        let mut pending = self.searches.pending.iter();
        let unfinished = pending.position(|pending| !pending.is_finished);
        let Some(mut pending) = unfinished.and_then(|index| self.searches.pending.remove(index))
        else {
            return;
        };
        pending.is_finished = self.search_step(&mut pending.search, pending.on_loopback);
        if pending.is_finished {
            out.resume(pending.conn);
            self.searches.pending.push_back(pending);
        } else {
            self.searches.pending.push_front(pending);
        }
    }

    /// Returns whether the search is finished.
    fn search_step(&mut self, search: &mut Search, on_loopback: bool) -> bool {
        let is_visible = |slot| self.directory.visible_address(slot, on_loopback).is_some();
        let visibility = Visibility {
            everyone: self.directory.is_everyone_visible(on_loopback),
            is_visible: &is_visible,
        };
        search.step(&self.index, &visibility, &mut self.searches.scanned_pages)
    }
}

fn send_page(request: &mut RelayRequest<'_>, search: Search) -> ReadNext {
    let SearchPage { files, total, next } = search.into_page();
    debug!("{} of {total} files found", files.len());
    request.session.extended().next_page = next.map(Box::new);
    request.reply.files(files.len() as u64, total, |visit| {
        files.items().for_each(|item| visit(&item));
    })
}
