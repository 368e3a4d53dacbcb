//! Jobs: the tasks that a user can start, and the state machines that perform them.
//! A job gets the result of its last step, and returns the next step.

use crate::jobs::choice::Choice;
use crate::jobs::completion::Completion;
use crate::jobs::fetch::Fetch;
use crate::jobs::query::Query;
use crate::jobs::relay_check::RelayCheck;
use crate::jobs::relay_query::RelayAnswer;
use crate::jobs::show::Show;
use crate::jobs::task_result::TaskResult;
use crate::jobs::user::{Failure, User, UserEvent};
use crate::protocol::{ContentHash, FileItem, FileName, NodeAddress};

/// The number of a job. Numbers are not used again while the program runs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct JobId(pub(super) u64);

/// A job to start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Job {
    /// Check that the relay is there, and list its nodes.
    CheckRelay,
    /// Show the answer to a query.
    Query(Query),
    /// Fetch a file; with a hash, only the content that has it.
    Get(FileName<'static>, Option<ContentHash>),
    /// Likewise, from the nodes that were listed last, without another `LIST`.
    GetFromKnownNodes(FileName<'static>, Option<ContentHash>),
}

/// A job that is running. Each kind has a file of its own.
pub(super) enum ActiveJob {
    CheckRelay(RelayCheck),
    Show(Show),
    Fetch(Fetch),
    Complete(Completion),
}

/// The next step of a job.
pub(super) enum JobStep {
    /// Send this query to the relay.
    Query(Query),
    /// Connect to this node.
    Connect(NodeAddress),
    /// The job is done.
    Finish(JobResult),
    /// The job is done. The user did not start it and gets no report.
    FinishSilently,
}

/// A job that is done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FinishedJob {
    /// Whether it fetched a file.
    pub is_fetch: bool,
    /// How it ended.
    pub result: JobResult,
}

/// How a job ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum JobResult {
    /// With this result for its task.
    Task(TaskResult),
    /// The user can choose one of several contents.
    Choice(Choice),
    /// The reader of the output is gone: there is nothing left to do.
    ReaderGone,
}

/// What the jobs of one user share.
pub(super) struct JobContext {
    pub(super) user: Box<dyn User>,
    /// Whether the user can choose one of several contents.
    pub(super) may_choose: bool,
    /// The address of this node, if it is one.
    pub(super) own_address: Option<NodeAddress>,
    /// The nodes that the relay listed last.
    pub(super) nodes: Vec<NodeAddress>,
}

impl JobContext {
    pub(super) fn set_nodes(&mut self, nodes: Vec<NodeAddress>) {
        self.nodes = nodes;
        self.user.on_event(UserEvent::Nodes(&self.nodes));
    }
}

impl From<TaskResult> for JobStep {
    fn from(result: TaskResult) -> Self {
        Self::Finish(JobResult::Task(result))
    }
}

impl ActiveJob {
    /// The name of the file that it fetches.
    pub(super) fn fetched_name(&self) -> Option<&FileName<'static>> {
        match self {
            Self::Fetch(fetch) => Some(fetch.name()),
            Self::CheckRelay(_) | Self::Show(_) | Self::Complete(_) => None,
        }
    }

    /// The relay lists a file. Returns whether more files are wanted.
    pub(super) fn on_file(&mut self, context: &mut JobContext, file: &FileItem<'_>) -> bool {
        match self {
            Self::Show(show) => show.on_file(context, file),
            Self::Complete(completion) => completion.on_name(file.name.as_str()),
            Self::CheckRelay(_) | Self::Fetch(_) => true,
        }
    }

    /// The relay has answered a query of the job.
    pub(super) fn on_response(
        &mut self,
        context: &mut JobContext,
        query: &Query,
        answer: RelayAnswer,
    ) -> JobStep {
        match self {
            Self::CheckRelay(check) => check.on_response(context, answer),
            Self::Show(show) => show.on_response(context, query, answer),
            Self::Fetch(fetch) => fetch.on_response(context, answer),
            Self::Complete(completion) => completion.finish(),
        }
    }

    /// The relay has not answered a query of the job.
    pub(super) fn on_failure(
        &mut self,
        context: &mut JobContext,
        query: &Query,
        failure: &Failure<'_>,
    ) -> JobStep {
        match self {
            Self::CheckRelay(check) => check.on_failure(context, query, failure),
            Self::Show(show) => show.on_failure(context, query, failure),
            Self::Fetch(fetch) => fetch.on_failure(context, query, failure),
            Self::Complete(completion) => completion.finish(),
        }
    }
}
