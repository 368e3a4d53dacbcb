//! Files of the nodes: sharing, finding, searching.

use std::time::Instant;

use log::debug;

use crate::protocol::{Code, Count, FileName, HolderItem, MAX_LISTED_FILES, MaybeHash, Reply};
use crate::relay::index::{Holder, PAGES_AT_ONCE, Quota, Search, Seen};
use crate::relay::session::{RequestContext, Subject};
use crate::relay::table::SlotId;
use crate::relay::{Rejection, Relay};
use crate::role::{ConnId, Context, ReadNext};
use crate::session::server::say;

/// Files of nodes that left which are taken out in one go.
const FORGOTTEN_AT_ONCE: usize = 2000;

/// What was looked through in one round of the loop.
pub(super) struct SearchBudget {
    round: Instant,
    pages: usize,
}

/// A search that takes more than one step, and who waits for it.
pub(super) struct Pending {
    conn: ConnId,
    on_loopback: bool,
    search: Search,
    /// All was looked at; the asker will take it.
    done: bool,
}

impl Relay {
    /// The place of the node for which this connection speaks.
    pub(super) fn subject(&self, caller: &RequestContext<'_>) -> Result<SlotId, Rejection> {
        match caller.session.subject() {
            Subject::Node(address, _) => self.directory.place(&address, caller.ip),
            Subject::Never | Subject::Refused => None,
        }
        .ok_or_else(register_first)
    }

    /// Likewise, if this connection may tell its files.
    pub(super) fn announcing_node(
        &mut self,
        caller: &RequestContext<'_>,
    ) -> Result<SlotId, Rejection> {
        let place = self.subject(caller)?;
        match caller.session.subject() {
            Subject::Node(_, number) if self.directory.may_tell(place, number) => Ok(place),
            Subject::Node(..) | Subject::Never | Subject::Refused => Err(register_first()),
        }
    }

    pub(super) fn share(
        &mut self,
        caller: &RequestContext<'_>,
        size: u64,
        hash: MaybeHash,
        name: &FileName<'_>,
    ) -> Result<(), Rejection> {
        let node = self.announcing_node(caller)?;
        let quota = self.settings.quota;
        if self.index.share(name, Holder::new(node, size, hash), quota) {
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
        let all = self.index.find(name);
        // Not everybody is to ask the same one first.
        let turns = (self.finds % all.len().max(1) as u64) as usize;
        let (last, first) = all.split_at(turns);
        let holders = first.iter().chain(last).filter_map(|holder| {
            Some(HolderItem {
                node: self.directory.seen(holder.node, on_loopback)?,
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
        caller: &mut RequestContext<'_>,
        mut search: Search,
    ) -> ReadNext {
        let on_loopback = caller.ip.is_loopback();
        let may_look = self.searches.is_empty() && self.looked.has_room(context.now);
        if may_look && self.look(&mut search, on_loopback) {
            answer(context, conn, caller, search);
            return ReadNext::Line;
        }
        caller.session.extended().searches = Some(conn);
        self.searches.push_back(Pending {
            conn,
            on_loopback,
            search,
            done: false,
        });
        ReadNext::Wait
    }

    /// The connection whose search is done gets its answer.
    pub(super) fn searched(
        &mut self,
        context: &mut Context<'_, Self>,
        conn: ConnId,
        caller: &mut RequestContext<'_>,
    ) {
        caller.session.extended().searches = None;
        let at = self
            .searches
            .iter()
            .position(|pending| pending.conn == conn);
        if let Some(pending) = at.and_then(|at| self.searches.remove(at)) {
            answer(context, conn, caller, pending.search);
        }
    }

    /// Whether files of nodes that left or searches wait for [`Relay::work_on`].
    pub(super) fn has_pending_work(&self) -> bool {
        self.directory.left().is_some() || self.searches.iter().any(|pending| !pending.done)
    }

    /// Does a bounded part of the work that waits.
    pub(super) fn work_on(&mut self, context: &mut Context<'_, Self>) {
        self.forget_left(FORGOTTEN_AT_ONCE);
        let waiting = self.searches.iter().position(|pending| !pending.done);
        if let Some(mut pending) = waiting.and_then(|at| self.searches.remove(at)) {
            pending.done = self.look(&mut pending.search, pending.on_loopback);
            if pending.done {
                context.out.resume(pending.conn);
                self.searches.push_back(pending);
            } else {
                self.searches.push_front(pending);
            }
        }
    }

    /// Takes out at most so many files of nodes that left.
    pub(super) fn forget_left(&mut self, mut at_most: usize) {
        while at_most > 0
            && let Some(place) = self.directory.left()
        {
            // A node without files is some work, too.
            at_most -= self.index.forget(place, at_most).max(1);
            if self.index.files(place) == 0 {
                self.directory.release_left();
            }
        }
    }

    /// Nobody waits for the search of this connection any more.
    pub(super) fn forget_search(&mut self, conn: ConnId) {
        self.searches.retain(|pending| pending.conn != conn);
    }

    /// Looks a step further. Returns true when all was looked at.
    fn look(&mut self, search: &mut Search, on_loopback: bool) -> bool {
        let is_seen = |place| self.directory.seen(place, on_loopback).is_some();
        let seen = Seen {
            all: self.directory.all_seen(on_loopback),
            node: &is_seen,
        };
        search.step(&self.index, &seen, &mut self.looked.pages)
    }
}

impl SearchBudget {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            round: now,
            pages: 0,
        }
    }

    /// Whether one more search may be answered in the round of `now`: many short
    /// ones together hold the loop as long as a long one.
    fn has_room(&mut self, now: Instant) -> bool {
        if self.round != now {
            *self = Self::new(now);
        }
        self.pages < PAGES_AT_ONCE
    }
}

fn register_first() -> Rejection {
    (Code::NotAllowed, "REGISTER first".into())
}

fn answer(
    context: &mut Context<'_, Relay>,
    conn: ConnId,
    caller: &mut RequestContext<'_>,
    search: Search,
) {
    let found = search.found();
    debug!("{} bytes found for {}", found.answer.len(), caller.ip);
    context.out.text(conn).extend_from_slice(&found.answer);
    caller.session.extended().more = found.more.map(Box::new);
}
