//! How long the jobs wait.

use std::time::Duration;

use crate::jobs::runner::JobRunner;

impl JobRunner {
    /// Jobs wait this long for a node that has a file.
    pub fn set_wait(&mut self, wait: Duration) {
        self.context.limits.wait = wait;
    }
}
