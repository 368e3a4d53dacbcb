//! The next step of a job, and how a job ends.

use crate::jobs::choice::Choice;
use crate::jobs::relay_query::Query;
use crate::jobs::task_result::TaskResult;
use crate::jobs::wanted_file::WantedFile;
use crate::protocol::FileName;

/// The next step of a job.
pub(super) enum JobStep {
    /// Send this query to the relay.
    Query(Query),
    /// Wait for responses, or for the deadline.
    Wait,
    /// The job is done.
    Finish(JobResult),
    /// The job is done. The user did not start it and gets no report.
    FinishSilently,
}

/// A job that is done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FinishedJob {
    /// The file that it fetched.
    pub name: Option<FileName<'static>>,
    /// Whether it found files to fetch.
    pub is_expansion: bool,
    /// Whether a folder or a glob may have further files, at a relay or a node that does not
    /// answer.
    pub may_be_incomplete: bool,
    /// How it ended.
    pub result: JobResult,
}

impl FinishedJob {
    /// Whether it fetched a file, or found files to fetch.
    #[must_use]
    pub fn is_fetch(&self) -> bool {
        self.is_expansion || self.name.is_some()
    }
}

/// How a job ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum JobResult {
    /// With this result for its task.
    Task(TaskResult),
    /// The user can choose one of several contents.
    Choice(Choice),
    /// These files are to be fetched.
    Files(Vec<WantedFile>),
    /// Messages go through the relay of this index.
    Relay(usize),
    /// The reader of the output is gone before all was printed: no other job can print.
    ReaderGone,
}

impl From<TaskResult> for JobStep {
    fn from(result: TaskResult) -> Self {
        Self::Finish(JobResult::Task(result))
    }
}
