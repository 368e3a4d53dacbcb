//! How jobs are broken off.

use crate::jobs::job::{ActiveJob, JobId};
use crate::jobs::runner::JobRunner;
use crate::jobs::user::UserEvent;
use crate::role::{Output, Role};

impl JobRunner {
    /// Breaks off the files that were fetched in part: the program ends.
    pub fn abort(&mut self) {
        for id in self.jobs.keys().copied().collect::<Vec<_>>() {
            self.keep(id);
        }
        self.jobs.clear();
    }

    /// Breaks off all jobs. They have no results.
    pub fn cancel_all<R: Role>(&mut self, out: &mut Output<R>) {
        self.abort();
        self.finished.clear();
        self.queries.clear();
        self.pool.cancel(|_| true, None, out);
    }

    /// Breaks off a job.
    pub(super) fn keep(&mut self, id: JobId) {
        if let Some(name) = self.jobs.get(&id).and_then(ActiveJob::fetched_name)
            && let Some(part) = &self.context.user.keep(id)
        {
            self.context
                .user
                .on_event(UserEvent::PartStored { name, part });
        }
    }
}
