//! How a fetch waits for a node that has the file, if there is none.

use std::time::Instant;

use crate::jobs::attempt::Attempt;
use crate::jobs::fetch::Fetch;
use crate::jobs::job_context::JobContext;
use crate::jobs::job_step::JobStep;
use crate::jobs::relay_query::Query;

/// A node that sends other files first is waited for so many times the usual delay: one that
/// sends a few bytes now and then must not keep all files that were requested behind them.
const MAX_BUSY_DELAYS: u32 = 20;

impl Fetch {
    /// A node that sends other files first is not silent. Until when it counts as busy.
    pub(super) fn busy_until(&self, context: &JobContext) -> Option<Instant> {
        let delay = context.limits.try_delay;
        let waiting = self.open.iter().filter(|attempt| !attempt.was_found);
        let until = waiting.filter_map(|attempt| {
            let last = context.pool.last_input(attempt.candidate.node)?;
            Some((last + delay).min(attempt.started + delay * MAX_BUSY_DELAYS))
        });
        until.max()
    }

    /// When the first of the open attempts is slow, so that others are tried beside it. None if our
    /// own limit may delay them.
    pub(super) fn patience_end(&self, context: &JobContext) -> Option<Instant> {
        let limits = &context.limits;
        let slow_at = |attempt: &Attempt| attempt.slow_at(limits.try_delay);
        let first = self.open.iter().map(slow_at).min();
        first.filter(|_| limits.lowest_rate.is_none())
    }

    /// No node has sent the file. Returns whether the user waits longer.
    pub(super) fn waits(&mut self, context: &mut JobContext, now: Instant) -> bool {
        let why = || format!("{}: no node sends it", self.name);
        self.wait.goes_on(context, why, now)
    }

    /// Looks for nodes as at the start.
    pub(super) fn search_again(&mut self, context: &mut JobContext, now: Instant) -> JobStep {
        (self.tried, self.failures, self.has_wrong_content) = (0, 0, false);
        self.failed_sizes.clear();
        self.no_space = None;
        match context.is_direct {
            true => self.find_holders(context, now),
            false => JobStep::Query(Query::Nodes),
        }
    }
}
