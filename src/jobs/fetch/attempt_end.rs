//! What a fetch does when one of its attempts has ended.

use std::time::{Duration, Instant};

use crate::close_reason::CloseReason;
use crate::jobs::attempt::{Attempt, AttemptResult};
use crate::jobs::candidate::Candidate;
use crate::jobs::content::{DiscardedContent, StoreError, StoreErrorKind};
use crate::jobs::failure::Failure;
use crate::jobs::fetch::Fetch;
use crate::jobs::ids::RequestId;
use crate::jobs::job_context::JobContext;
use crate::jobs::job_step::{JobResult, JobStep};
use crate::jobs::stored_check::StoredCheck;
use crate::jobs::task_result::TaskResult;
use crate::jobs::user_event::UserEvent;
use crate::session::requests::ResponsePart;

/// If a write took this long, a node may have given up because nothing was read.
const SLOW_OUTPUT: Duration = Duration::from_secs(1);

impl Fetch {
    /// The response to `STAT`, or none. Returns none if the request is another one.
    pub(super) fn on_stat(
        &mut self,
        context: &mut JobContext,
        id: RequestId,
        part: Option<&ResponsePart<'_>>,
        now: Instant,
    ) -> Option<JobStep> {
        let mut open = self.open.iter_mut();
        let attempt = open.find(|attempt| attempt.stat == Some(id))?;
        let id = attempt.id;
        Some(match attempt.on_stat(&mut *context.user, part) {
            Some(result) => self.on_result(context, id, result, now),
            None => JobStep::Wait,
        })
    }

    /// The content that an attempt has brought was committed, or could not be.
    pub(in crate::jobs) fn on_committed(
        &mut self,
        context: &mut JobContext,
        result: Result<(), StoreError>,
        now: Instant,
    ) -> JobStep {
        let mut open = self.open.iter();
        let Some(attempt) = open.find(|attempt| attempt.is_source) else {
            return JobStep::Wait;
        };
        let result = result.map_or_else(AttemptResult::NotStored, |()| AttemptResult::Complete);
        self.on_result(context, attempt.id, result, now)
    }

    /// An open attempt has ended.
    pub(super) fn on_result(
        &mut self,
        context: &mut JobContext,
        id: RequestId,
        result: AttemptResult<'_>,
        now: Instant,
    ) -> JobStep {
        let mut open = self.open.iter();
        let Some(index) = open.position(|attempt| attempt.id == id) else {
            return JobStep::Wait;
        };
        let attempt = self.open.remove(index);
        context.cancelled.extend(attempt.stat);
        self.has_source &= !attempt.is_source;
        let (node, size) = (attempt.candidate.node, attempt.size);
        let user = &mut context.user;
        let failure = match result {
            AttemptResult::Complete => {
                user.on_event(UserEvent::Fetched {
                    name: &self.name,
                    node,
                    nodes: 1,
                    size,
                    resumed: 0,
                    took: now.saturating_duration_since(attempt.started),
                    is_encrypted: attempt.is_encrypted,
                    is_verified: attempt.candidate.hash.is_some(),
                });
                return TaskResult::Success.into();
            }
            AttemptResult::NotFound => {
                let is_last = self.tried == attempt.number;
                user.on_event(UserEvent::NotFound { node, is_last });
                return self.try_next(context, now);
            }
            AttemptResult::NotStored(error) => {
                return self.on_not_stored(context, &attempt, error, now);
            }
            AttemptResult::Failed(failure) => failure,
        };
        let mut discarded = DiscardedContent::default();
        if attempt.is_source {
            (discarded, self.stored_part) = attempt.discard(&mut **user);
        }
        self.on_failure(context, attempt.candidate, size, failure, &discarded, now)
    }

    /// The content that an attempt has brought cannot be stored.
    fn on_not_stored(
        &mut self,
        context: &mut JobContext,
        attempt: &Attempt,
        error: StoreError,
        now: Instant,
    ) -> JobStep {
        if let (Some(hash), StoreErrorKind::NameTaken) = (attempt.candidate.hash, error.kind) {
            let content = (hash, attempt.size);
            self.check = Some(StoredCheck::of_taken_name(content, error, now));
            return JobStep::Wait;
        }
        let (name, user) = (&self.name, &mut *context.user);
        let (discarded, part) = attempt.discard(user);
        // The size is the word of this node only.
        let may_be_smaller = |other: &Candidate| other.size < attempt.size;
        if error.kind == StoreErrorKind::NoSpace && self.candidates.iter().any(may_be_smaller) {
            let count = self.no_space.as_ref().map_or(0, |(count, _)| *count);
            self.no_space = Some((count + 1, error));
            let (candidate, size) = (attempt.candidate, attempt.size);
            let failure = Failure::NoSpace(size);
            return self.on_failure(context, candidate, size, failure, &discarded, now);
        }
        let error = &error;
        user.on_event(UserEvent::StoreError { name, error });
        if error.kind == StoreErrorKind::ReaderGone {
            return JobStep::Finish(JobResult::ReaderGone);
        }
        if let Some(part) = &part {
            user.on_event(UserEvent::part_stored(name, part));
        }
        error.kind.task_result().into()
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
        let is_wrong = matches!(failure, Failure::OtherContent | Failure::UnknownContent);
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
        let was_closed_by_us = matches!(
            failure,
            Failure::Ended(CloseReason::SecretChanged)
                | Failure::Broken {
                    reason: CloseReason::SecretChanged,
                    ..
                }
        );
        let is_slow = matches!(failure, Failure::SlowOutput(_));
        if was_closed_by_us || (is_slow && !candidate.is_retry) {
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
