//! How long a job waits for a node that has what is wanted, if there is none.

use std::time::{Duration, Instant};

use crate::jobs::job_context::JobContext;
use crate::jobs::user_event::UserEvent;

/// How long it waits before it looks for a node again.
const DELAY: Duration = Duration::from_secs(1);

/// The time that a job waits for a node. It has not started at first.
#[derive(Default)]
pub(super) struct Wait {
    end: Option<Instant>,
    /// When it looks for a node again. None while it does.
    pub(super) due: Option<Instant>,
}

impl Wait {
    /// There is no node now. Returns whether the user waits longer; at first, tells the user
    /// `why`.
    pub(super) fn goes_on(
        &mut self,
        context: &mut JobContext,
        why: impl FnOnce() -> String,
        now: Instant,
    ) -> bool {
        let time = context.limits.wait;
        if time.is_zero() {
            return false;
        }
        let is_first = self.end.is_none();
        let end = *self.end.get_or_insert(now + time);
        if end <= now {
            return false;
        }
        self.due = Some((now + DELAY).min(end));
        if is_first {
            let text = format!("{}; waiting up to {} s", why(), time.as_secs_f64());
            context.user.on_event(UserEvent::Note(&text));
        }
        true
    }

    /// Whether it has started.
    pub(super) fn has_started(&self) -> bool {
        self.end.is_some()
    }

    /// Whether it is time to look for a node. Tells so once.
    pub(super) fn is_due(&mut self, now: Instant) -> bool {
        self.due.take_if(|due| *due <= now).is_some()
    }
}
