//! The files that another thread commits.

use crate::jobs::connection::RunsJobs;
use crate::jobs::job::ActiveJob;
use crate::jobs::runner::JobRunner;
use crate::session::connector::Connector;

impl JobRunner {
    /// Some files were committed, or could not be.
    pub fn on_files_committed<R: RunsJobs>(&mut self, connector: &mut Connector<'_, R>) {
        while let Some((id, result)) = self.context.user.next_committed() {
            // A job that was broken off does not report its file.
            if let Some(ActiveJob::Fetch(fetch)) = self.jobs.get_mut(&id) {
                let step = fetch.on_committed(&mut self.context, result, connector.now);
                self.execute(connector, id, step, None);
            }
        }
    }
}
