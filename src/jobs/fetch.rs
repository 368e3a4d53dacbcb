//! The job that fetches a file: it queries the relay for the nodes and the holders of
//! the file, then tries the nodes, the holders first, until one sends the file.
//!
//! A node that is silent for a moment is not waited for: the next node is tried beside
//! it (RFC 8305, "Happy Eyeballs"). The first node that has sent the head of the file
//! sends all of it, and the other connections are closed.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::close_reason::CloseReason;
use crate::jobs::attempt::{Attempt, AttemptResult};
use crate::jobs::candidate::{Candidate, candidates};
use crate::jobs::choice::{Choice, Selection, offers};
use crate::jobs::content::DiscardedContent;
use crate::jobs::job::{JobContext, JobId, JobResult, JobStep, TaskResult};
use crate::jobs::relay_query::{Query, RelayAnswer};
use crate::jobs::similar_names::SimilarNames;
use crate::jobs::user::{Failure, UserEvent};
use crate::protocol::{ContentHash, FileName, HolderItem};
use crate::role::{ConnId, Context, Input, ReadNext, Role};

/// Nodes with another content, or with one that cannot be checked, are tried beside a
/// silent node after so many times the usual delay.
const OTHER_CONTENT_DELAY: u32 = 4;

/// If a write took this long, a node may have given up because nothing was read.
const SLOW_OUTPUT: Duration = Duration::from_secs(1);

/// Fetches one file.
pub(super) struct Fetch {
    id: JobId,
    name: FileName<'static>,
    /// The hash of the wanted content, or none if any content will do.
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
    open: Vec<OpenAttempt>,
    /// The number of the attempt whose node sends the file.
    source: Option<usize>,
    /// When the next node is tried beside the open attempts.
    next_try: Option<Instant>,
}

/// An attempt that may still bring the file.
struct OpenAttempt {
    number: usize,
    candidate: Candidate,
    /// Known once the connection is established.
    conn: Option<ConnId>,
}

impl Fetch {
    pub(super) fn new(id: JobId, name: FileName<'static>, hash: Option<ContentHash>) -> Self {
        Self {
            id,
            name,
            hash,
            candidates: VecDeque::new(),
            nodes: 0,
            preferred: None,
            exists: false,
            similar: None,
            tried: 0,
            failures: 0,
            has_wrong_content: false,
            open: Vec::new(),
            source: None,
            next_try: None,
        }
    }

    pub(super) fn name(&self) -> &FileName<'static> {
        &self.name
    }

    /// When to call [`Fetch::on_timer`].
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.next_try
    }

    /// Tries the next node beside the open attempts, if its time has come.
    pub(super) fn on_timer(&mut self, context: &mut JobContext, now: Instant) -> JobStep {
        match self.next_try {
            Some(due) if due <= now => self.try_next(context, now),
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
        match (query, answer) {
            (Query::Holders(_), Ok(RelayAnswer::Holders(holders))) => {
                self.choose_candidates(context, &holders, now)
            }
            (Query::Files(_), _) => self.report_missing(context),
            // Without the relay's help the nodes are tried in the order of the list.
            (Query::Holders(_), _) => self.choose_candidates(context, &[], now),
            (_, Ok(RelayAnswer::Nodes(nodes))) => {
                context.set_nodes(nodes);
                self.find_holders(context, now)
            }
            (_, Ok(_)) => TaskResult::Relay.into(),
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
    /// hashes that they have announced.
    pub(super) fn find_holders(&mut self, context: &mut JobContext, now: Instant) -> JobStep {
        if context.nodes.is_empty() && self.hash.is_none() {
            return self.choose_candidates(context, &[], now);
        }
        JobStep::Query(Query::Holders(self.name.clone()))
    }

    /// Chooses the content and the nodes to try.
    fn choose_candidates(
        &mut self,
        context: &mut JobContext,
        holders: &[HolderItem],
        now: Instant,
    ) -> JobStep {
        let offers = offers(holders, &context.nodes);
        let selection = match self.hash {
            None if offers.len() < 2 => None,
            None if context.may_choose => {
                let name = self.name.clone();
                return JobStep::Finish(JobResult::Choice(Choice { name, offers }));
            }
            None => Some(Selection::First),
            Some(hash) if offers.iter().any(|offer| offer.hash == hash) => None,
            Some(_) => Some(Selection::None),
        };
        if let Some(selection) = selection {
            context.user.on_event(UserEvent::SeveralContents {
                name: &self.name,
                offers: &offers,
                selection,
            });
        }
        if let Some(Selection::None) = selection {
            return TaskResult::SeveralContents.into();
        }
        self.preferred = selection.and(offers.first()).map(|offer| offer.hash);
        self.exists = !holders.is_empty();
        self.candidates = candidates(self.hash, context, holders, &offers);
        self.nodes = self.candidates.len();
        self.try_next(context, now)
    }

    /// Tries the next candidate, or waits for the open attempts.
    fn try_next(&mut self, context: &mut JobContext, now: Instant) -> JobStep {
        let (delay, max) = (context.limits.try_delay, context.limits.max_failures);
        let is_due = self.next_try.take().is_some_and(|due| due <= now);
        let has_room = self.failures + self.open.len() < max;
        let Some(candidate) = self.candidates.front().copied().filter(|_| has_room) else {
            return match self.open.is_empty() {
                true => self.give_up(context),
                false => JobStep::Wait,
            };
        };
        let is_same = |other: &Candidate| other.hash == candidate.hash;
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
        self.open.push(OpenAttempt {
            number: self.tried,
            candidate,
            conn: None,
        });
        context.user.on_event(UserEvent::TryingNode {
            name: &self.name,
            number: self.tried,
            of: self.tried + self.candidates.len(),
            node: candidate.node,
        });
        let head_size = context.limits.head_size;
        let attempt = Attempt::new(self.id, self.tried, candidate, head_size, now);
        JobStep::Connect(attempt.into())
    }

    /// No node has sent the file. If it does not exist, the name may be mistyped.
    fn give_up(&mut self, context: &mut JobContext) -> JobStep {
        let may_search = context.may_choose || context.similar_searches > 0;
        match Query::files(self.name.as_str()) {
            Ok(query) if self.nodes > 0 && !self.exists && may_search => {
                context.similar_searches = context.similar_searches.saturating_sub(1);
                self.similar = Some(SimilarNames::new(self.name.as_str()));
                JobStep::Query(query)
            }
            _ => self.report_missing(context),
        }
    }

    fn report_missing(&mut self, context: &mut JobContext) -> JobStep {
        let similar = self.similar.as_ref();
        context.user.on_event(UserEvent::Missing {
            name: &self.name,
            nodes: self.nodes,
            failed: self.failures,
            untried: self.candidates.len(),
            similar: similar.map_or(&[], SimilarNames::names),
        });
        match self.failures {
            0 => TaskResult::NotFound.into(),
            _ if self.has_wrong_content => TaskResult::SeveralContents.into(),
            _ => TaskResult::NodesFailed.into(),
        }
    }

    /// Reads input from a node.
    pub(super) fn on_node_input<R: Role>(
        &mut self,
        jobs: &mut JobContext,
        context: &mut Context<'_, R>,
        conn: ConnId,
        attempt: &mut Attempt,
        input: Input<'_>,
    ) -> ReadNext {
        let number = attempt.number;
        let mut open = self.open.iter_mut();
        let Some(open) = open.find(|open| open.number == number) else {
            // Another node sends the file.
            return ReadNext::Close(CloseReason::Completed);
        };
        open.conn = Some(conn);
        if let (Input::Line(_) | Input::Body(_), Some(due)) = (&input, &mut self.next_try) {
            // This node is not silent.
            *due = (*due).max(context.now + jobs.limits.try_delay);
        }
        let text = context.out.append_reply(conn);
        let next = attempt.on_input(&mut *jobs.user, &self.name, input, text);
        self.exists |= attempt.was_found;
        if self.source.is_none() && attempt.is_source {
            self.source = Some(number);
            self.next_try = None;
            let others = self.open.extract_if(.., |open| open.number != number);
            // If this node fails, the others are tried again, in the same order.
            for other in others.collect::<Vec<_>>().into_iter().rev() {
                self.candidates.push_front(other.candidate);
                if let Some(conn) = other.conn {
                    context.out.close(conn, CloseReason::Completed);
                }
            }
        }
        next
    }

    /// The connection to a node has ended for `reason`.
    pub(super) fn on_attempt_end(
        &mut self,
        context: &mut JobContext,
        mut attempt: Attempt,
        reason: &CloseReason,
        now: Instant,
    ) -> JobStep {
        let mut open = self.open.iter();
        let Some(index) = open.position(|open| open.number == attempt.number) else {
            return JobStep::Wait;
        };
        let candidate = self.open.remove(index).candidate;
        let was_source = self.source.take_if(|source| *source == attempt.number);
        let (node, size) = (candidate.node, attempt.size);
        let user = &mut context.user;
        let failure = match attempt.finish(reason) {
            AttemptResult::Complete => {
                user.on_event(UserEvent::Fetched {
                    name: &self.name,
                    node,
                    size,
                    took: now.saturating_duration_since(attempt.started),
                });
                return TaskResult::Success.into();
            }
            AttemptResult::NotFound => {
                let is_last = self.tried == attempt.number;
                user.on_event(UserEvent::NotFound { node, is_last });
                return self.try_next(context, now);
            }
            AttemptResult::NotStored(error) => {
                user.discard(self.id);
                if error.is_reader_gone {
                    return JobStep::Finish(JobResult::ReaderGone);
                }
                user.on_event(UserEvent::StoreError {
                    name: &self.name,
                    error: &error,
                });
                return TaskResult::StoreError.into();
            }
            AttemptResult::Failed(failure) => failure,
        };
        let discarded = was_source.map_or_else(Default::default, |_| user.discard(self.id));
        self.on_failure(context, candidate, size, failure, &discarded, now)
    }

    /// A node has not sent the file.
    fn on_failure(
        &mut self,
        context: &mut JobContext,
        candidate: Candidate,
        size: u64,
        mut failure: Failure<'_>,
        discarded: &DiscardedContent,
        now: Instant,
    ) -> JobStep {
        let waited = discarded.longest_write;
        if let Failure::Broken { reason, .. } = failure
            && matches!(
                reason,
                CloseReason::EndOfInput | CloseReason::ConnectionLost(_)
            )
            && waited >= SLOW_OUTPUT
        {
            failure = Failure::SlowOutput(waited);
        }
        let (name, node) = (&self.name, candidate.node);
        context.user.on_event(UserEvent::NodeFailed(node, &failure));
        let is_wrong = matches!(failure, Failure::OtherContent);
        // Printed bytes stay: another node would send them again.
        match (discarded.printed, is_wrong) {
            (0, _) => {}
            (shown, true) => {
                let event = UserEvent::WrongContent { name, node, shown };
                context.user.on_event(event);
                return TaskResult::WrongContent.into();
            }
            (shown, false) => {
                let event = UserEvent::Incomplete { name, shown, size };
                context.user.on_event(event);
                return TaskResult::Incomplete.into();
            }
        }
        self.has_wrong_content |= is_wrong;
        if matches!(failure, Failure::SlowOutput(_)) && !candidate.is_retry {
            let is_retry = true;
            self.candidates.push_front(Candidate {
                is_retry,
                ..candidate
            });
        } else {
            self.failures += 1;
        }
        self.try_next(context, now)
    }
}
