//! How a fetch waits for a node that has the file, if there is none.

use std::time::Instant;

use crate::jobs::fetch::Fetch;
use crate::jobs::job_context::JobContext;
use crate::jobs::job_step::JobStep;
use crate::jobs::relay_query::Query;

impl Fetch {
    /// No node has sent the file. Returns whether the user waits longer.
    pub(super) fn waits(&mut self, context: &mut JobContext, now: Instant) -> bool {
        let why = || format!("{}: no node sends it", self.name);
        self.wait.goes_on(context, why, now)
    }

    /// Looks for nodes as at the start.
    pub(super) fn search_again(&mut self, context: &mut JobContext, now: Instant) -> JobStep {
        (self.tried, self.failures, self.has_wrong_content) = (0, 0, false);
        self.failed_sizes.clear();
        match context.is_direct {
            true => self.find_holders(context, now),
            false => JobStep::Query(Query::Nodes),
        }
    }
}
