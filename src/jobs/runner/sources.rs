//! Whom the jobs ask, and what it means that one of them does not answer.

use std::net::SocketAddr;

use crate::jobs::job::ActiveJob;
use crate::jobs::job_step::{FinishedJob, JobResult};
use crate::jobs::listed_nodes::ListedNodes;
use crate::jobs::peer_source::PeerSource;
use crate::jobs::runner::JobRunner;
use crate::jobs::task_result::TaskResult;

impl JobRunner {
    /// Describes a job that has ended. What no source knows may be known to one that was not
    /// asked.
    pub(super) fn finished_job(&mut self, job: ActiveJob, result: JobResult) -> FinishedJob {
        let is_incomplete = self.sources.are_incomplete();
        let result = match result {
            JobResult::Task(TaskResult::NotFound) if is_incomplete && job.finds_files() => {
                JobResult::Task(TaskResult::NodesFailed)
            }
            result => result,
        };
        let may_be_incomplete = is_incomplete && job.stands_for_several_files();
        FinishedJob {
            may_be_incomplete,
            ..job.finished(&mut self.context, result)
        }
    }

    /// Whether there are several relays.
    #[must_use]
    pub fn has_several_sources(&self) -> bool {
        self.context.has_several_sources
    }

    /// The source of this index has these addresses now.
    pub fn set_addresses(&mut self, source: usize, addresses: Vec<SocketAddr>) {
        self.sources.set_addresses(source, addresses);
    }

    /// The relays that have addresses, each with its index. Messages go through relays only.
    #[must_use]
    pub fn relays(&self) -> Vec<(usize, PeerSource)> {
        self.sources.relays()
    }

    /// Asks these sources, too, from the next query on.
    pub fn add_sources(&mut self, sources: Vec<PeerSource>) {
        self.sources.add(sources);
        self.context.has_several_sources = self.sources.are_several();
        if self.context.is_direct {
            self.context.nodes = ListedNodes::from(self.sources.nodes());
        }
    }
}
