//! What a download does when nodes fail, when none is left, and when it is done.

use std::time::{Duration, Instant};

use crate::jobs::content::{StoreError, StoreErrorKind};
use crate::jobs::failure::Failure;
use crate::jobs::job_context::JobContext;
use crate::jobs::job_step::{JobResult, JobStep};
use crate::jobs::piece_download::source::{Source, SourceState};
use crate::jobs::piece_download::{DownloadStep, PieceDownload};
use crate::jobs::relay_query::Query;
use crate::jobs::task_result::TaskResult;
use crate::jobs::user_event::UserEvent;
use crate::protocol::{ErrorCode, HolderItem, NodeAddress};

/// How long a download that could use more nodes goes on before it asks the relay again.
const QUERY_DELAY: Duration = Duration::from_secs(10);

/// The same for a download that has none.
const QUERY_DELAY_WITHOUT_NODE: Duration = Duration::from_secs(1);

/// The same for the first time, if others fetch parts from us: they may have begun just now.
const QUERY_DELAY_OF_SHARED_PARTS: Duration = Duration::from_secs(1);

/// When a download asks the relay again for the first time. Then the time is doubled.
pub(super) fn first_query_delay(context: &JobContext) -> Duration {
    match context.piece_order {
        Some(_) => QUERY_DELAY_OF_SHARED_PARTS,
        None => QUERY_DELAY,
    }
}

impl PieceDownload {
    /// Makes the requests that can be made now, and decides what follows if there are
    /// none.
    pub(in crate::jobs) fn advance(
        &mut self,
        context: &mut JobContext,
        now: Instant,
    ) -> DownloadStep {
        if self.size_deadline.is_some_and(|due| due <= now) {
            return self.fall_back(context);
        }
        if let Err(error) = self.take_checked(context, now) {
            return self.end_not_stored(context, error);
        }
        if !self.values.is_empty() && self.pieces.is_complete() {
            return self.end_complete(context, now);
        }
        self.fill(context, now);
        match self.is_busy() {
            _ if self.is_querying => JobStep::Wait.into(),
            false if self.values.is_empty() || self.size_deadline.is_some() => {
                self.fall_back(context)
            }
            false => self.find_holders(context, now),
            true if self.values.is_empty() || !self.sources.wants_more() => JobStep::Wait.into(),
            true if self.next_query <= now => self.query(),
            true => JobStep::Wait.into(),
        }
    }

    /// No node is left: asks the relay for others, at once and then now and then.
    fn find_holders(&mut self, context: &mut JobContext, now: Instant) -> DownloadStep {
        match self.wait_until {
            None => {
                self.wait_until = Some(now + context.limits.wait);
                self.query()
            }
            Some(until) if until <= now => self.end_incomplete(context),
            Some(_) if self.next_query <= now => self.query(),
            Some(_) => JobStep::Wait.into(),
        }
    }

    fn query(&mut self) -> DownloadStep {
        self.is_querying = true;
        JobStep::Query(Query::Holders(self.name.clone())).into()
    }

    /// Whether a node is asked or will be asked again, or pieces are being checked.
    fn is_busy(&self) -> bool {
        let has_requests = !self.transfers.is_empty() || !self.lists.is_empty();
        let asks_parts = self.sources.all.iter().any(Source::awaits_parts);
        has_requests
            || asks_parts
            || !self.unchecked.is_empty()
            || self.sources.next_retry().is_some()
    }

    /// When the relay is asked again.
    pub(super) fn next_query(&self) -> Option<Instant> {
        if self.is_querying || self.values.is_empty() {
            return None;
        }
        match self.is_busy() {
            true => self.sources.wants_more().then_some(self.next_query),
            false => self.wait_until.map(|until| self.next_query.min(until)),
        }
    }

    /// The relay names the holders of the file.
    pub(in crate::jobs) fn on_holders(
        &mut self,
        context: &mut JobContext,
        holders: &[HolderItem],
        now: Instant,
    ) -> DownloadStep {
        self.is_querying = false;
        let has_none = self.wait_until.is_some();
        self.next_query = now
            + match has_none {
                true => QUERY_DELAY_WITHOUT_NODE,
                false => self.query_delay,
            };
        self.query_delay = QUERY_DELAY.min(self.query_delay * 2);
        let content = (Some(self.hash), self.layout.size());
        let nodes = holders.iter().filter(|holder| {
            (holder.hash.0, holder.size) == content && !context.is_own(holder.node)
        });
        let may_wait = has_none && !context.limits.wait.is_zero();
        // The first answer of those that find no node comes before this; then nobody is waited for.
        let end = self
            .wait_until
            .map(|until| until + QUERY_DELAY_WITHOUT_NODE);
        let is_over = end.is_some_and(|end| end <= now);
        // A node that is still fetching the content may have new pieces.
        let may_retry = |node: &Source| !is_over && (may_wait || node.parts.is_some());
        self.failures -= self.sources.add(nodes.map(|holder| holder.node), may_retry);
        self.advance(context, now)
    }

    /// The node does not have the file.
    pub(super) fn on_missing(&mut self, context: &mut JobContext, source: usize) {
        self.release(context, source, SourceState::GivenUp);
        let node = self.sources.all[source].node;
        let is_last = false;
        context.user.on_event(UserEvent::NotFound { node, is_last });
    }

    /// The node does not list the pieces.
    pub(super) fn on_no_list(&mut self, source: usize) {
        self.sources.all[source].state = SourceState::WithoutList;
    }

    /// The node does not list the pieces yet, and is asked again a few times.
    pub(super) fn on_busy_list(&mut self, context: &JobContext, source: usize, now: Instant) {
        let node = &mut self.sources.all[source];
        match node.on_failure(true, now, context.limits.try_delay) {
            true => self.on_no_list(source),
            false => node.was_listed = false,
        }
    }

    /// The node has failed, and may be asked again later.
    pub(super) fn on_failure(
        &mut self,
        context: &mut JobContext,
        source: usize,
        failure: &Failure<'_>,
        now: Instant,
    ) {
        let delay = context.limits.try_delay;
        let node = self.sources.all[source].node;
        log::debug!("node {node}: {failure}");
        let is_busy = matches!(
            failure,
            Failure::Error(ErrorCode::UNAVAILABLE | ErrorCode::SLOW_DOWN, _)
        );
        let state = &mut self.sources.all[source];
        let is_given_up = match failure.is_other_secret() {
            true => state.on_other_secret(now, delay),
            false => state.on_failure(is_busy, now, delay),
        };
        if is_given_up {
            self.give_up(context, source, SourceState::GivenUp, failure);
        }
    }

    /// The node is not asked any longer.
    pub(super) fn give_up(
        &mut self,
        context: &mut JobContext,
        source: usize,
        state: SourceState,
        failure: &Failure<'_>,
    ) {
        self.release(context, source, state);
        self.failures += 1;
        self.sources.all[source].has_failed = true;
        self.liars += usize::from(state == SourceState::Liar);
        let node = self.sources.all[source].node;
        context.user.on_event(UserEvent::NodeFailed(node, failure));
    }

    /// Takes back everything that was requested from the node.
    fn release(&mut self, context: &mut JobContext, source: usize, state: SourceState) {
        self.sources.all[source].state = state;
        context.cancelled.extend(self.end_stat(source));
        let lost = self
            .transfers
            .extract_if(.., |other| other.source == source);
        let lost: Vec<_> = lost.map(|transfer| (transfer.id, transfer.piece)).collect();
        for (id, piece) in lost {
            context.cancelled.push(id);
            self.give_back(piece);
        }
    }

    /// The nodes that failed, or do not have the content.
    pub(in crate::jobs) fn useless_nodes(&self) -> impl Iterator<Item = NodeAddress> {
        let useless = self.sources.all.iter().filter(|source| !source.is_in_use());
        useless.map(|source| source.node)
    }

    /// The number of nodes that failed, and whether one of them has sent something wrong.
    pub(in crate::jobs) fn failures(&self) -> (usize, bool) {
        (self.failures, self.liars > 0)
    }

    fn end_complete(&mut self, context: &mut JobContext, now: Instant) -> DownloadStep {
        if let Err(error) = context.user.commit(self.job, &self.info) {
            return self.end_not_stored(context, error);
        }
        let sources = self.sources.all.iter();
        let best = sources.clone().max_by_key(|source| source.bytes);
        if self.was_checked && sources.clone().all(|source| source.bytes == 0) {
            return self.end_up_to_date(context);
        }
        if let Some(best) = best {
            let sources = sources.filter(|source| source.bytes > 0);
            let senders = sources.clone().count();
            context.user.on_event(UserEvent::Fetched {
                name: &self.name,
                node: best.node,
                nodes: senders.max(1),
                size: self.layout.size(),
                resumed: self.resumed,
                took: now.saturating_duration_since(self.started),
                is_encrypted: senders > 0 && !self.is_plain,
                is_verified: true,
            });
            for source in sources {
                let event = UserEvent::SentBytes(source.node, source.bytes);
                context.user.on_event(event);
            }
        }
        if context.user.repairs_file() {
            context.user.on_event(UserEvent::Repaired {
                name: &self.name,
                wrong: self.wrong_stored,
                pieces: self.layout.count(),
            });
        }
        JobStep::from(TaskResult::Success).into()
    }

    pub(super) fn end_up_to_date(&mut self, context: &mut JobContext) -> DownloadStep {
        let event = UserEvent::up_to_date(&self.name, self.layout.size());
        context.user.on_event(event);
        JobStep::from(TaskResult::Success).into()
    }

    /// The content cannot be stored.
    pub(super) fn end_not_stored(
        &mut self,
        context: &mut JobContext,
        error: StoreError,
    ) -> DownloadStep {
        match error.kind {
            StoreErrorKind::NameTaken => {
                self.cancel_requests(context);
                DownloadStep::NameTaken(error)
            }
            StoreErrorKind::ReaderGone => {
                context.user.discard(self.job);
                let (name, error) = (&self.name, &error);
                context.user.on_event(UserEvent::StoreError { name, error });
                JobStep::Finish(JobResult::ReaderGone).into()
            }
            _ => context.end_not_stored(self.job, &self.name, &error).into(),
        }
    }

    /// Nobody has the rest of the content.
    fn end_incomplete(&mut self, context: &mut JobContext) -> DownloadStep {
        let (name, user, size) = (&self.name, &mut context.user, self.layout.size());
        let output = self.in_order.as_ref();
        let shown = output.map_or(0, |output| output.written(&self.layout));
        let part = match output {
            Some(_) => {
                user.discard(self.job);
                None
            }
            None => user.keep(self.job).stored(),
        };
        match &part {
            Some(part) => user.on_event(UserEvent::failed_with_part(name, part)),
            None if shown > 0 => user.on_event(UserEvent::Incomplete { name, shown, size }),
            None => user.on_event(UserEvent::Missing {
                name,
                nodes: self.sources.all.len(),
                failed: self.failures,
                untried: 0,
                similar: &[],
            }),
        }
        let result = match self.failures {
            failures if self.liars > 0 && self.liars == failures => TaskResult::WrongContent,
            _ if part.is_some() || shown > 0 => TaskResult::Incomplete,
            0 => TaskResult::NotFound,
            _ => TaskResult::NodesFailed,
        };
        JobStep::from(result).into()
    }
}
