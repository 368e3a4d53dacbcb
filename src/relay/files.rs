//! Files of the nodes: sharing, finding, searching.

use std::time::Instant;

use log::debug;

use crate::protocol::{Code, Count, FileName, HolderItem, MAX_LISTED_FILES, MaybeHash, Reply};
use crate::relay::index::{Holder, PAGES_PER_STEP, Quota, Search, Visibility};
use crate::relay::session::{Registration, RequestContext};
use crate::relay::table::SlotId;
use crate::relay::{Rejection, Relay};
use crate::role::{ConnId, Context, ReadNext};
use crate::session::server::say;

/// Files of nodes that left which are taken out in one go.
const MAX_REMOVED_PER_TURN: usize = 2000;

/// What was looked through in one round of the loop.
pub(super) struct SearchBudget {
    turn: Instant,
    pages: usize,
}

/// A search that takes more than one step, and who waits for it.
pub(super) struct PendingSearch {
    conn: ConnId,
    on_loopback: bool,
    search: Search,
    /// All was looked at; the asker will take it.
    is_done: bool,
}

impl Relay {
    /// The slot of the node for which this connection speaks.
    pub(super) fn registered_node(&self, peer: &RequestContext<'_>) -> Result<SlotId, Rejection> {
        match peer.session.registration() {
            Registration::Active(address, _) => self.directory.registered_slot(&address, peer.ip),
            Registration::None | Registration::Rejected => None,
        }
        .ok_or_else(register_first)
    }

    /// Likewise, if this connection may tell its files.
    pub(super) fn announcing_node(
        &mut self,
        peer: &RequestContext<'_>,
    ) -> Result<SlotId, Rejection> {
        let slot = self.registered_node(peer)?;
        match peer.session.registration() {
            Registration::Active(_, number) if self.directory.accept_announcer(slot, number) => {
                Ok(slot)
            }
            Registration::Active(..) | Registration::None | Registration::Rejected => {
                Err(register_first())
            }
        }
    }

    pub(super) fn share(
        &mut self,
        peer: &RequestContext<'_>,
        size: u64,
        hash: MaybeHash,
        name: &FileName<'_>,
    ) -> Result<(), Rejection> {
        let node = self.announcing_node(peer)?;
        let quota = self.settings.quota;
        if self
            .index
            .insert(name, Holder::new(node, size, hash), quota)
        {
            return Ok(());
        }
        let Quota { files, bytes, all } = quota;
        let text = if self.index.is_full(quota) {
            format!("all nodes together share at most {all} files")
        } else {
            format!("a node shares at most {files} files and {bytes} bytes of names")
        };
        Err((Code::LimitReached, text))
    }

    /// The answer to `FIND`. It stops where it is longer than `room` bytes.
    pub(super) fn find(
        &mut self,
        reply: &mut Vec<u8>,
        name: &FileName<'_>,
        on_loopback: bool,
        room: usize,
    ) {
        let all = self.index.holders(name);
        // Not everybody is to ask the same one first.
        let rotation = (self.finds % all.len().max(1) as u64) as usize;
        let (last, first) = all.split_at(rotation);
        let holders = first.iter().chain(last).filter_map(|holder| {
            Some(HolderItem {
                node: self.directory.visible_address(holder.node, on_loopback)?,
                size: holder.size,
                hash: holder.hash(),
            })
        });
        // Of a file that everybody has, no more who are seen are looked at than shown.
        let holders = holders.take(MAX_LISTED_FILES);
        let shown = holders.clone().count();
        if shown == 0 {
            return say(reply, Reply::NotFound);
        }
        let start = reply.len();
        say(reply, Reply::Holders(Count::all(shown as u64)));
        for holder in holders {
            say(reply, holder);
            if reply.len() - start > room {
                break;
            }
        }
        self.finds = self.finds.wrapping_add(1);
    }

    /// Answers at once if one step is enough, nobody waits and not too much was
    /// looked through in this round; else the asker waits.
    pub(super) fn search(
        &mut self,
        context: &mut Context<'_, Self>,
        conn: ConnId,
        peer: &mut RequestContext<'_>,
        mut search: Search,
    ) -> ReadNext {
        let on_loopback = peer.ip.is_loopback();
        let may_step = self.pending_searches.is_empty() && self.search_budget.has_room(context.now);
        if may_step && self.search_step(&mut search, on_loopback) {
            send_page(context, conn, peer, search);
            return ReadNext::Line;
        }
        peer.session.extended().pending_search = Some(conn);
        self.pending_searches.push_back(PendingSearch {
            conn,
            on_loopback,
            search,
            is_done: false,
        });
        ReadNext::Wait
    }

    /// The connection whose search is done gets its answer.
    pub(super) fn send_search_page(
        &mut self,
        context: &mut Context<'_, Self>,
        conn: ConnId,
        peer: &mut RequestContext<'_>,
    ) {
        peer.session.extended().pending_search = None;
        let at = self
            .pending_searches
            .iter()
            .position(|pending| pending.conn == conn);
        if let Some(pending) = at.and_then(|at| self.pending_searches.remove(at)) {
            send_page(context, conn, peer, pending.search);
        }
    }

    /// Whether files of nodes that left or searches wait for [`Relay::do_work`].
    pub(super) fn has_work(&self) -> bool {
        self.directory.next_departed().is_some()
            || self.pending_searches.iter().any(|pending| !pending.is_done)
    }

    /// Does a bounded part of the work that waits.
    pub(super) fn do_work(&mut self, context: &mut Context<'_, Self>) {
        self.remove_departed(MAX_REMOVED_PER_TURN);
        let waiting = self
            .pending_searches
            .iter()
            .position(|pending| !pending.is_done);
        if let Some(mut pending) = waiting.and_then(|at| self.pending_searches.remove(at)) {
            pending.is_done = self.search_step(&mut pending.search, pending.on_loopback);
            if pending.is_done {
                context.out.resume(pending.conn);
                self.pending_searches.push_back(pending);
            } else {
                self.pending_searches.push_front(pending);
            }
        }
    }

    /// Takes out at most so many files of nodes that left.
    pub(super) fn remove_departed(&mut self, mut max: usize) {
        while max > 0
            && let Some(slot) = self.directory.next_departed()
        {
            // A node without files is some work, too.
            max -= self.index.remove_files(slot, max).max(1);
            if self.index.file_count(slot) == 0 {
                self.directory.release_departed();
            }
        }
    }

    /// Nobody waits for the search of this connection any more.
    pub(super) fn cancel_search(&mut self, conn: ConnId) {
        self.pending_searches.retain(|pending| pending.conn != conn);
    }

    /// Looks a step further. Returns true when all was looked at.
    fn search_step(&mut self, search: &mut Search, on_loopback: bool) -> bool {
        let is_visible = |slot| self.directory.visible_address(slot, on_loopback).is_some();
        let visibility = Visibility {
            everyone: self.directory.is_everyone_visible(on_loopback),
            is_visible: &is_visible,
        };
        search.step(&self.index, &visibility, &mut self.search_budget.pages)
    }
}

impl SearchBudget {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            turn: now,
            pages: 0,
        }
    }

    /// Whether one more search may be answered in the round of `now`: many short
    /// ones together hold the loop as long as a long one.
    fn has_room(&mut self, now: Instant) -> bool {
        if self.turn != now {
            *self = Self::new(now);
        }
        self.pages < PAGES_PER_STEP
    }
}

fn register_first() -> Rejection {
    (Code::NotAllowed, "REGISTER first".into())
}

fn send_page(
    context: &mut Context<'_, Relay>,
    conn: ConnId,
    peer: &mut RequestContext<'_>,
    search: Search,
) {
    let page = search.into_page();
    debug!("{} bytes page for {}", page.answer.len(), peer.ip);
    context.out.text(conn).extend_from_slice(&page.answer);
    peer.session.extended().next_page = page.next.map(Box::new);
}
