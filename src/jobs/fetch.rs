//! The job that fetches a file: it queries the relay for the nodes and the holders of
//! the file, then tries the nodes, the holders first, until one sends the file.
//!
//! A node that is silent for a moment is not waited for: the next node is tried beside
//! it (RFC 8305, "Happy Eyeballs"). The first node that has sent the head of the file
//! sends all of it, and the other connections are closed.

mod attempt_end;
mod choose;
mod in_pieces;
mod missing;
mod wait;

use std::collections::VecDeque;
use std::time::Instant;

use crate::close_reason::CloseReason;
use crate::jobs::attempt::{Attempt, AttemptResult};
use crate::jobs::candidate::Candidate;
use crate::jobs::content::{StoreError, StoredPart};
use crate::jobs::content_search::ContentSearch;
use crate::jobs::failure::Failure;
use crate::jobs::ids::{JobId, RequestId};
use crate::jobs::job_context::JobContext;
use crate::jobs::job_step::JobStep;
use crate::jobs::piece_download::PieceDownload;
use crate::jobs::relay_query::{Query, RelayAnswer};
use crate::jobs::similar_names::SimilarNames;
use crate::jobs::stored_check::StoredCheck;
use crate::jobs::task_result::TaskResult;
use crate::jobs::user_event::UserEvent;
use crate::jobs::wait::Wait;
use crate::jobs::wanted_file::{ListedContent, UnmatchedGlob, WantedFile};
use crate::protocol::{ContentHash, FileName, HashPrefix, PieceLayout, Request};
use crate::session::requests::ResponsePart;

/// Nodes with another content, or with one that cannot be checked, are tried beside a
/// silent node after so many times the usual delay.
const OTHER_CONTENT_DELAY: u32 = 4;

/// Fetches one file.
pub(super) struct Fetch {
    id: JobId,
    pub(super) name: FileName<'static>,
    /// The first digits of the hash of the wanted content, or none if any will do.
    pub(super) wanted: Option<HashPrefix>,
    /// What the relay's list says about the file, until that was tried.
    listed: Option<ListedContent>,
    /// The glob that its name may be.
    glob: Option<Box<UnmatchedGlob>>,
    /// Whether the candidates are those of the list: the file may have changed since.
    is_from_list: bool,
    /// The hash of the wanted content, once it is known.
    hash: Option<ContentHash>,
    /// The nodes to try, in this order.
    candidates: VecDeque<Candidate>,
    /// The number of nodes that may have the file.
    nodes: usize,
    /// The content that the user was told to be fetched, of several.
    preferred: Option<ContentHash>,
    /// Whether a node has announced the file, or has begun to send it.
    exists: bool,
    /// Set when no node has the file, and the relay is asked for similar names.
    similar: Option<SimilarNames>,
    /// How many attempts were made, and how many of them failed.
    tried: usize,
    failures: usize,
    /// Whether a node has sent another content than it had announced.
    has_wrong_content: bool,
    /// The attempts that may still bring the file, by number.
    open: Vec<Attempt>,
    /// Whether one of them has begun to send the file to the user.
    has_source: bool,
    /// When the next node is tried beside the open attempts.
    next_try: Option<Instant>,
    /// Whether the content is there already is being checked.
    check: Option<StoredCheck>,
    /// Which of several contents the user's file has.
    search: Option<Box<ContentSearch>>,
    /// The download of the content in pieces. Without one, it comes from one node.
    download: Option<Box<PieceDownload>>,
    /// What a failed attempt has left of an earlier job.
    stored_part: Option<StoredPart>,
    /// How many nodes have stated sizes for which there is no space, and the last error.
    no_space: Option<(usize, StoreError)>,
    /// The announced sizes of the content with which no download succeeded.
    failed_sizes: Vec<u64>,
    /// How long it waits for a node, and when it looks for one again.
    wait: Wait,
}

impl Fetch {
    pub(super) fn new(id: JobId, file: WantedFile) -> Self {
        Self {
            id,
            name: file.name,
            wanted: file.hash,
            listed: file.listed,
            glob: file.glob,
            is_from_list: false,
            hash: None,
            candidates: VecDeque::new(),
            nodes: 0,
            preferred: None,
            exists: false,
            similar: None,
            tried: 0,
            failures: 0,
            has_wrong_content: false,
            open: Vec::new(),
            has_source: false,
            next_try: None,
            check: None,
            search: None,
            download: None,
            stored_part: None,
            no_space: None,
            failed_sizes: Vec::new(),
            wait: Wait::default(),
        }
    }

    /// Its download in pieces, if there is one.
    pub(super) fn download(&self) -> Option<&PieceDownload> {
        self.download.as_deref()
    }

    /// Whether a long content without a hash is on its way.
    pub(super) fn has_source_without_hash(&self) -> bool {
        self.open.iter().any(|attempt| {
            let is_long = attempt.size > PieceLayout::MIN_PIECE_SIZE;
            attempt.is_source && attempt.candidate.hash.is_none() && is_long
        })
    }

    /// When to call [`Fetch::on_timer`].
    pub(super) fn next_deadline(&self, context: &JobContext) -> Option<Instant> {
        let wait = self.wait.due;
        match (&self.check, &self.download) {
            _ if wait.is_some() => wait,
            _ if self.search_due().is_some() => self.search_due(),
            (Some(check), _) => Some(check.due),
            (None, Some(download)) => download.next_deadline(context),
            (None, None) => self.next_try,
        }
    }

    /// Tries the next node beside the open attempts, if its time has come.
    pub(super) fn on_timer(&mut self, context: &mut JobContext, now: Instant) -> JobStep {
        if let Some(download) = &mut self.download {
            let step = download.advance(context, now);
            return self.on_download_step(context, step, now);
        }
        if self.wait.due.is_some() {
            return match self.wait.is_due(now) {
                true => self.search_again(context, now),
                false => JobStep::Wait,
            };
        }
        match self.next_try {
            _ if self.search_due().is_some() => self.search_content(context, now),
            _ if self.check.is_some() => self.check_stored(context, now),
            Some(due) if due <= now => match self.busy_until(context) {
                Some(until) if until > now => {
                    self.next_try = Some(until);
                    JobStep::Wait
                }
                _ => self.try_next(context, now),
            },
            _ => JobStep::Wait,
        }
    }

    pub(super) fn on_answer(
        &mut self,
        context: &mut JobContext,
        query: &Query,
        answer: Result<RelayAnswer, Failure<'_>>,
        now: Instant,
    ) -> JobStep {
        if let Ok(RelayAnswer::Holders(holders)) = &answer {
            context.node_tls.on_holders(holders);
        }
        if let (Some(download), Query::Holders(_)) = (&mut self.download, query) {
            let holders = match &answer {
                Ok(RelayAnswer::Holders(holders)) => holders.as_slice(),
                _ => &[],
            };
            let step = download.on_holders(context, holders, now);
            return self.on_download_step(context, step, now);
        }
        match (query, answer) {
            (Query::Holders(_), Ok(RelayAnswer::Holders(holders))) => {
                self.choose_candidates(context, &holders, now)
            }
            (Query::Files(_), _) => self.report_missing(context),
            (Query::Holders(_), Err(failure)) if self.needs_no_holders(context, &failure) => {
                self.choose_candidates(context, &[], now)
            }
            (_, Ok(RelayAnswer::Nodes(nodes))) => {
                if !self.wait.has_started() || !context.nodes.is_list_of(&nodes) {
                    context.set_nodes(nodes);
                }
                self.find_holders(context, now)
            }
            (_, Ok(_)) => TaskResult::Relay.into(),
            (_, Err(_)) if self.wait.has_started() && self.waits(context, now) => JobStep::Wait,
            (_, Err(failure)) => {
                context.user.on_event(UserEvent::NoNodes {
                    name: &self.name,
                    failure: &failure,
                });
                TaskResult::Relay.into()
            }
        }
    }

    /// The relay lists a similar name. Returns whether more names are wanted.
    pub(super) fn on_name(&mut self, name: &str) -> bool {
        let similar = self.similar.as_mut();
        similar.is_some_and(|similar| similar.on_name(name))
    }

    /// The nodes are known: queries the relay for those that have the file, and for the
    /// hashes that they have announced, unless its list of files says so.
    pub(super) fn find_holders(&mut self, context: &mut JobContext, now: Instant) -> JobStep {
        if let Some(content) = self.listed
            && self.wanted.is_none()
            && content.is_at_all(&context.nodes)
        {
            (self.is_from_list, self.listed) = (true, None);
            return self.fetch_listed(context, content, now);
        }
        if context.nodes.is_empty() && self.wanted.is_none() {
            return self.choose_candidates(context, &[], now);
        }
        JobStep::Query(Query::Holders(self.name.clone()))
    }

    /// Fetches the file unless it is there already.
    fn check_stored(&mut self, context: &mut JobContext, now: Instant) -> JobStep {
        let check = self.check.as_mut();
        if let Some(step) = check.and_then(|check| check.advance(context, self.id, &self.name)) {
            return step;
        }
        self.check = None;
        match self.start_download(context, now) {
            Some(step) => step,
            None => self.try_next(context, now),
        }
    }

    /// Tries the next candidate, or waits for the open attempts.
    fn try_next(&mut self, context: &mut JobContext, now: Instant) -> JobStep {
        let (delay, max) = (context.limits.try_delay, context.limits.max_failures);
        let is_due = self.next_try.take().is_some_and(|due| due <= now);
        let has_room = self.failures + self.open.len() < max;
        let Some(candidate) = self.candidates.front().copied().filter(|_| has_room) else {
            return match self.open.is_empty() {
                true => self.give_up(context, now),
                false => JobStep::Wait,
            };
        };
        let is_same = |other: &Candidate| other.is_like(&candidate);
        let has_other = self.open.iter().any(|open| !is_same(&open.candidate));
        if has_other && !is_due {
            // The preferred content gets a little more time.
            self.next_try = Some(now + delay * OTHER_CONTENT_DELAY);
            return JobStep::Wait;
        }
        let preferred = self.preferred.take_if(|hash| Some(*hash) != candidate.hash);
        if let Some(hash) = preferred {
            let text = format!("{}: no node has sent {hash}; trying the next", self.name);
            context.user.on_event(UserEvent::Note(&text));
        }
        self.candidates.pop_front();
        self.next_try = self.candidates.front().map(|next| match is_same(next) {
            true => now + delay,
            false => now + delay * OTHER_CONTENT_DELAY,
        });
        self.tried += 1;
        let (number, of) = context.node_number(candidate.node);
        context.user.on_event(UserEvent::TryingNode {
            name: &self.name,
            number,
            of,
            node: candidate.node,
        });
        // A content of one piece is checked before it goes to the user.
        let is_shared = candidate.hash.is_some() && candidate.size <= PieceLayout::MIN_PIECE_SIZE;
        let head_size = match is_shared {
            true => candidate.size,
            false => context.limits.head_size,
        };
        let request = Request::Get(self.name.clone());
        let id = context.request(self.id, candidate.node, request, is_shared);
        let mut attempt = Attempt::new(self.tried, id, candidate, head_size, now);
        if is_shared && context.user.stores_times() {
            let request = Request::Stat(self.name.clone());
            attempt.stat = Some(context.request_once(self.id, candidate.node, request));
        }
        self.open.push(attempt);
        JobStep::Wait
    }

    /// A part of a node's response has arrived.
    pub(super) fn on_response(
        &mut self,
        context: &mut JobContext,
        id: RequestId,
        part: &ResponsePart<'_>,
        is_last: bool,
        now: Instant,
    ) -> Result<JobStep, CloseReason> {
        if let Some(download) = &mut self.download {
            let step = download.on_response(context, id, part, is_last, now)?;
            return Ok(self.on_download_step(context, step, now));
        }
        if let Some(step) = self.on_stat(context, id, Some(part), now) {
            return Ok(step);
        }
        let mut open = self.open.iter();
        let Some(index) = open.position(|attempt| attempt.id == id) else {
            return Ok(JobStep::Wait);
        };
        let patience_end = self.patience_end(context);
        if let Some(due) = &mut self.next_try {
            // This node is not silent.
            let next = now + context.limits.try_delay;
            *due = (*due).max(patience_end.map_or(next, |end| end.min(next)));
        }
        let attempt = &mut self.open[index];
        attempt.is_encrypted = context.is_encrypted;
        let result = attempt.on_response(&mut *context.user, &self.name, part, is_last)?;
        self.exists |= attempt.was_found;
        if !self.has_source && attempt.is_source {
            self.has_source = true;
            self.next_try = None;
            let others = self.open.extract_if(.., |attempt| attempt.id != id);
            // If this node fails, the others are tried again, in the same order.
            for other in others.collect::<Vec<_>>().into_iter().rev() {
                self.candidates.push_front(other.candidate);
                context
                    .cancelled
                    .extend([other.id].into_iter().chain(other.stat));
            }
        }
        let Some(result) = result else {
            return Ok(JobStep::Wait);
        };
        if !is_last {
            context.cancelled.push(id);
        }
        Ok(self.on_result(context, id, result, now))
    }

    /// Whether responses to requests may be awaited.
    pub(super) fn may_have_requests(&self) -> bool {
        self.download.is_some() || !self.open.is_empty()
    }

    /// Whether the response to a request is still awaited.
    pub(super) fn awaits(&self, id: RequestId) -> bool {
        let mut open = self.open.iter();
        match &self.download {
            Some(download) => download.awaits(id),
            None => open.any(|attempt| attempt.id == id || attempt.stat == Some(id)),
        }
    }

    /// The connection to a node has ended for `reason`.
    pub(super) fn on_lost_request(
        &mut self,
        context: &mut JobContext,
        id: RequestId,
        reason: &CloseReason,
        now: Instant,
    ) -> JobStep {
        if let Some(download) = &mut self.download {
            let step = download.on_lost_request(context, id, reason, now);
            return self.on_download_step(context, step, now);
        }
        if let Some(step) = self.on_stat(context, id, None, now) {
            return step;
        }
        let mut open = self.open.iter();
        match open.find(|attempt| attempt.id == id) {
            Some(attempt) => {
                let result = AttemptResult::Failed(attempt.lost(reason));
                self.on_result(context, id, result, now)
            }
            None => JobStep::Wait,
        }
    }
}
