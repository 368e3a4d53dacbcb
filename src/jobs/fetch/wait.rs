//! How a fetch waits for a node that has the file, if there is none.

use std::time::{Duration, Instant};

use crate::jobs::fetch::Fetch;
use crate::jobs::job::{JobContext, JobStep};
use crate::jobs::relay_query::Query;
use crate::jobs::user_event::UserEvent;

/// How long it waits before it looks for a node again.
const DELAY: Duration = Duration::from_secs(1);

/// The time that a fetch waits for a node.
pub(super) struct Wait {
    end: Instant,
    /// When it looks for a node again. None while it does.
    pub(super) due: Option<Instant>,
}

impl Wait {
    /// Whether it is time to look for a node. Tells so once.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        self.due.take_if(|due| *due <= now).is_some()
    }
}

impl Fetch {
    /// No node has sent the file. Returns whether the user waits longer.
    pub(super) fn waits(&mut self, context: &mut JobContext, now: Instant) -> bool {
        let time = context.limits.wait;
        if time.is_zero() {
            return false;
        }
        let is_first = self.wait.is_none();
        let wait = self.wait.get_or_insert_with(|| Wait {
            end: now + time,
            due: None,
        });
        if wait.end <= now {
            return false;
        }
        wait.due = Some((now + DELAY).min(wait.end));
        if is_first {
            let seconds = time.as_secs_f64();
            let text = format!("{}: no node sends it; waiting up to {seconds} s", self.name);
            context.user.on_event(UserEvent::Note(&text));
        }
        true
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
