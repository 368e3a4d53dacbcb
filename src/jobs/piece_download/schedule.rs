//! Which node a download asks for what, and when.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use crate::jobs::job_context::JobContext;
use crate::jobs::piece_download::PieceDownload;
use crate::jobs::piece_download::list_request::PieceListRequest;
use crate::jobs::piece_download::source::SourceState;
use crate::jobs::piece_download::transfer::{Transfer, TransferPlace};
use crate::jobs::slow_node;
use crate::jobs::user_event::UserEvent;
use crate::protocol::{MaybeHash, Request};

/// The requests that one connection to a node carries, so that the node always has the
/// next piece to send.
const REQUESTS_PER_CONNECTION: usize = 4;

/// The most bytes of pieces that are requested twice and wait in memory.
const MAX_DUPLICATES: u64 = 8 * 1024 * 1024;

/// Under a rate limit, no more pieces are requested at once than come in so many seconds: of
/// many pieces that come slowly, none is complete when the download is broken off.
const RATE_SECONDS: u64 = 4;

/// Under a rate limit, a node is late that sends less than its fair part divided by this.
const LATE_PART: u64 = 4;

/// A third node is asked for a piece only if it has sent at least this many times as much as
/// each of those that were asked.
const BETTER_FACTOR: u64 = 2;

/// The bytes that may be on their way or in memory when they must be written in order, or
/// not before they are checked. One piece may be longer.
pub(super) const WINDOW: u64 = 16 * 1024 * 1024;

/// A further request for a piece that is on its way.
struct Duplicate {
    /// When it is made if nothing more of the piece comes.
    due: Instant,
    /// When the piece was requested first.
    started: Instant,
    source: usize,
    piece: u32,
}

impl PieceDownload {
    /// Makes all requests that can be made now.
    pub(super) fn fill(&mut self, context: &mut JobContext, now: Instant) {
        let needs_list = self.values.is_empty();
        let useless = match needs_list {
            true => self.failures + self.sources.without_list(),
            false => self.failures,
        };
        let may_add = useless < context.limits.max_failures;
        self.check_rates(context, now);
        self.sources.refill(may_add, needs_list, now);
        match needs_list {
            true if may_add => return self.request_list(context, now),
            true => return,
            false => {}
        }
        while let Some((source, piece)) = self.next_request(context, now) {
            let place = self.place(piece, self.must_wait());
            self.request(context, source, piece, place, now);
        }
        self.refresh_parts(context);
        while let Some((source, piece)) = self.duplicate(context, now) {
            let fits = self.fits_memory(piece);
            if !fits {
                // It starts anew, at a node that sends.
                self.cancel_transfers(context, piece);
            }
            let place = self.place(piece, fits || self.must_wait());
            self.request(context, source, piece, place, now);
        }
    }

    /// The node with the fewest requests of those that may get more and have a missing
    /// piece; takes that piece.
    fn next_request(&mut self, context: &JobContext, now: Instant) -> Option<(usize, u32)> {
        self.limited_until = self.limited_until(context, now);
        if self.limited_until.is_some() || self.is_window_full() {
            return None;
        }
        let mut free = self.free(context);
        free.sort_unstable();
        free.into_iter()
            .find_map(|(_, source)| Some((source, self.next_piece(source)?)))
    }

    /// Set if as many pieces are on their way as our rate limit brings soon: when the first
    /// of them is late. Those that are late do not keep others from being requested.
    fn limited_until(&self, context: &JobContext, now: Instant) -> Option<Instant> {
        let rate = context.limits.rate?;
        let max = rate.saturating_mul(RATE_SECONDS) / self.layout.piece_size();
        let transfers = self.transfers.iter();
        let late = transfers.filter_map(|transfer| self.late_at(transfer, context));
        let in_time = late.filter(|late| *late > now);
        let is_full = in_time.clone().count() as u64 >= max.max(1);
        is_full.then(|| in_time.min()).flatten()
    }

    /// Takes the next piece to request from a node.
    fn next_piece(&mut self, source: usize) -> Option<u32> {
        let window_end = self.window_end();
        match (self.size_deadline, &self.sources.all[source].parts) {
            (None, Some(parts)) => self.pieces.take_from(&parts.pieces, window_end),
            (Some(_), _) => self.pieces.take_last(),
            (None, None) => self.pieces.take(window_end),
        }
    }

    /// When [`PieceDownload::fill`] can make more requests.
    pub(super) fn next_fill(&self, context: &JobContext) -> Option<Instant> {
        let retry = self.sources.next_retry();
        let list = self.values.is_empty().then_some(self.next_list).flatten();
        let duplicates = self.duplicates(context).into_iter();
        let duplicate = duplicates.map(|duplicate| duplicate.due).min();
        let check = self.next_rate_check(context);
        let dues = [retry, list, duplicate, self.limited_until, check];
        dues.into_iter().flatten().min()
    }

    /// Checks which of the nodes that were asked are slow: others are used beside them.
    fn check_rates(&mut self, context: &JobContext, now: Instant) {
        // What our own limit delays is not slow.
        if context.limits.lowest_rate.is_none() {
            let interval = slow_node::interval(context.limits.try_delay);
            let senders: BTreeSet<usize> =
                self.transfers.iter().map(|other| other.source).collect();
            for source in senders {
                self.sources.all[source].check_rate(now, interval);
            }
        }
    }

    fn next_rate_check(&self, context: &JobContext) -> Option<Instant> {
        let senders = self.transfers.iter().map(|other| other.source);
        let checks = senders.filter_map(|source| self.sources.all[source].next_rate_check());
        checks
            .min()
            .filter(|_| context.limits.lowest_rate.is_none())
    }

    /// Requests the list of pieces from the next node, if no other node is about to send
    /// it.
    fn request_list(&mut self, context: &mut JobContext, now: Instant) {
        if !self.lists.is_empty() && self.next_list.is_none_or(|due| due > now) {
            return;
        }
        let mut sources = self.sources.all.iter().enumerate();
        let source =
            sources.find(|(_, source)| source.state == SourceState::Ready && !source.was_listed);
        let Some((index, _)) = source else {
            self.next_list = None;
            return;
        };
        let node = self.sources.all[index].node;
        self.sources.all[index].was_listed = true;
        self.report_node(context, index);
        let request = Request::Pieces(self.name.clone());
        let id = context.request(self.job, node, request, true);
        self.lists.push(PieceListRequest::new(id, index));
        self.next_list = Some(now + context.limits.try_delay);
    }

    /// The nodes that may get more requests, and how many they have.
    fn free(&self, context: &JobContext) -> Vec<(usize, usize)> {
        let requests = match context.limits.lowest_rate.is_some() {
            // What nodes have sent and we may not read yet would make us slow readers.
            true => 1,
            false => REQUESTS_PER_CONNECTION,
        };
        let max = context.limits.connections.saturating_mul(requests);
        let usable = self.usable().map(|index| (self.load(index), index));
        usable.filter(|(load, _)| *load < max).collect()
    }

    /// The nodes that may be asked for pieces. One that was silent must send its list
    /// first.
    fn usable(&self) -> impl Iterator<Item = usize> {
        let sources = self.sources.all.iter().enumerate();
        let usable = sources.filter(|(index, source)| {
            source.is_usable() && self.lists.iter().all(|list| list.source != *index)
        });
        usable.map(|(index, _)| index)
    }

    /// The nodes that may be asked, and are not.
    fn idle(&self) -> Vec<usize> {
        let usable = self.usable();
        usable.filter(|index| self.load(*index) == 0).collect()
    }

    pub(super) fn load(&self, source: usize) -> usize {
        let transfers = self.transfers.iter();
        transfers
            .filter(|transfer| transfer.source == source)
            .count()
    }

    /// A node without work, and a piece that no other node has sent in time.
    fn duplicate(&self, context: &JobContext, now: Instant) -> Option<(usize, u32)> {
        let duplicates = self.duplicates(context).into_iter();
        let late = duplicates.filter(|duplicate| duplicate.due <= now);
        let first = late.min_by_key(|duplicate| duplicate.started)?;
        Some((first.source, first.piece))
    }

    /// The further requests that are possible: each to the idle node that has sent most.
    fn duplicates(&self, context: &JobContext) -> Vec<Duplicate> {
        let idle = self.idle();
        if idle.is_empty() {
            return Vec::new();
        }
        let pieces: BTreeSet<u32> = self.transfers.iter().map(|other| other.piece).collect();
        let duplicates = pieces.into_iter();
        duplicates
            .filter_map(|piece| self.best_duplicate(context, &idle, piece))
            .collect()
    }

    /// The further request for a piece, if one of the idle nodes may be asked for it.
    fn best_duplicate(
        &self,
        context: &JobContext,
        idle: &[usize],
        piece: u32,
    ) -> Option<Duplicate> {
        let bytes = |source: usize| self.sources.all[source].bytes;
        let may_have = idle
            .iter()
            .copied()
            .filter(|index| self.sources.all[*index].may_have(piece));
        // The first one of several that have sent the same.
        let source = may_have.min_by_key(|index| Reverse(bytes(*index)))?;
        let requests = || self.transfers.iter().filter(|other| other.piece == piece);
        // Two slow nodes must not hold a piece that a good one could send.
        let is_better = |other: &Transfer| {
            bytes(source) > 0 && bytes(source) >= bytes(other.source).saturating_mul(BETTER_FACTOR)
        };
        let is_slow = |other: &Transfer| self.sources.all[other.source].is_slow;
        let is_possible =
            self.is_lonely(piece) || requests().all(|other| is_better(other) || is_slow(other));
        is_possible.then_some(Duplicate {
            due: requests()
                .map(|other| self.duplicate_due(other, context))
                .max()?,
            started: requests().map(|other| other.started).min()?,
            source,
            piece,
        })
    }

    /// When another node is asked for the piece as well.
    fn duplicate_due(&self, transfer: &Transfer, context: &JobContext) -> Instant {
        let delay = context.limits.try_delay;
        match self.fits_memory(transfer.piece) {
            // A piece that is too long to wait in memory starts anew at another node.
            false => transfer.last_input + slow_node::interval(delay),
            // A piece that our own limit delays is not late.
            true => match self.late_at(transfer, context) {
                Some(late) => late,
                None => transfer.started + delay,
            },
        }
    }

    /// When a piece is late if nothing more of it comes, under our rate limits.
    fn late_at(&self, transfer: &Transfer, context: &JobContext) -> Option<Instant> {
        let rate = context.limits.lowest_rate?.max(1);
        let delay = slow_node::interval(context.limits.try_delay);
        // All requests share the limit. That of each node is shared by its requests only, which
        // are no more.
        let share = LATE_PART * context.pool.requests().max(1) as u64;
        let millis = transfer.received.saturating_mul(1000 * share) / rate;
        let slow = transfer.started + delay.max(Duration::from_millis(millis));
        Some(slow.min(transfer.last_input + delay))
    }

    /// Whether only one node is asked for the piece.
    fn is_lonely(&self, piece: u32) -> bool {
        let transfers = self.transfers.iter();
        transfers.filter(|transfer| transfer.piece == piece).count() == 1
    }

    /// Whether a piece may wait in memory until it is checked, beside the same piece from
    /// another node.
    fn fits_memory(&self, piece: u32) -> bool {
        let range = self.layout.range(piece as usize);
        let extra = self.transfers.iter().filter(|other| {
            other.is_in_memory() && !(self.must_wait() && self.is_lonely(other.piece))
        });
        let used = extra.count() as u64 * self.layout.piece_size();
        used + (range.end - range.start) <= MAX_DUPLICATES
    }

    /// Whether all pieces wait in memory until they are checked: they are written in order, or
    /// replace bytes of the user.
    fn must_wait(&self) -> bool {
        self.in_order.is_some() || self.is_repair
    }

    /// Whether the pieces of a repair that are on their way take all the memory for them.
    fn is_window_full(&self) -> bool {
        let count = self.transfers.len() as u64;
        self.is_repair && count > 0 && (count + 1) * self.layout.piece_size() > WINDOW
    }

    /// Where the bytes of a piece go, which may have to wait in memory.
    fn place(&self, piece: u32, waits: bool) -> TransferPlace {
        let range = self.layout.range(piece as usize);
        match waits {
            _ if self.size_deadline.is_some() => TransferPlace::Nowhere,
            true => TransferPlace::Memory(Vec::with_capacity((range.end - range.start) as usize)),
            false => TransferPlace::Output,
        }
    }

    /// The first piece that may not be requested yet.
    fn window_end(&self) -> usize {
        match self.in_order {
            Some(ref output) => {
                let pieces = WINDOW / self.layout.piece_size();
                output.next_piece() as usize + pieces as usize
            }
            None => self.layout.count(),
        }
    }

    /// The pieces before this one are of use. As long as some are on their way, the window moves.
    pub(super) fn useful_end(&self) -> usize {
        match self.transfers.is_empty() {
            true => self.window_end(),
            false => self.layout.count(),
        }
    }

    fn request(
        &mut self,
        context: &mut JobContext,
        source: usize,
        piece: u32,
        place: TransferPlace,
        now: Instant,
    ) {
        let range = self.layout.range(piece as usize);
        let node = self.sources.all[source].node;
        self.report_node(context, source);
        let request = Request::Range {
            offset: range.start,
            length: range.end - range.start,
            hash: MaybeHash(Some(self.hash)),
            name: self.name.clone(),
        };
        if self.load(source) == 0 {
            let due = now + slow_node::interval(context.limits.try_delay);
            self.sources.all[source].start_rate_check(due);
        }
        self.transfers.push(Transfer {
            id: context.request(self.job, node, request, true),
            source,
            piece,
            started: now,
            last_input: now,
            received: 0,
            hasher: self.layout.hasher(piece as usize),
            place,
        });
    }

    /// Tells the user once that a node is asked.
    fn report_node(&mut self, context: &mut JobContext, source: usize) {
        let source = &mut self.sources.all[source];
        if !std::mem::replace(&mut source.was_reported, true) {
            let (number, of) = context.node_number(source.node);
            context.user.on_event(UserEvent::TryingNode {
                name: &self.name,
                number,
                of,
                node: source.node,
            });
        }
    }
}
