//! Jobs: the tasks that a user can start, and the state machines that perform them.
//! A job gets the result of its last step, and returns the next step.

use std::collections::BTreeMap;
use std::time::Instant;

use crate::close_reason::CloseReason;
use crate::jobs::choice::Choice;
use crate::jobs::expand::Expand;
use crate::jobs::failure::Failure;
use crate::jobs::fetch::Fetch;
use crate::jobs::file_pattern::FilePattern;
use crate::jobs::file_search::FileSearch;
use crate::jobs::listed_nodes::ListedNodes;
use crate::jobs::name_search::{NameSearch, NamesCallback};
use crate::jobs::node_pool::{NodePool, PoolPeer, PooledRequest, RequestId};
use crate::jobs::node_tls::NodeTls;
use crate::jobs::relay_query::{Query, RelayAnswer};
use crate::jobs::show::Show;
pub use crate::jobs::task_result::TaskResult;
use crate::jobs::unreachable_nodes::UnreachableNodes;
use crate::jobs::user::User;
use crate::jobs::user_event::UserEvent;
use crate::jobs::wanted_file::WantedFile;
use crate::limits::JobLimits;
use crate::protocol::{FileItem, FileName, NodeAddress, NodeItem, Request};
use crate::session::requests::ResponsePart;

/// The number of a job. Numbers are not used again while the program runs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct JobId(pub(crate) u64);

/// A job to start.
pub enum Job {
    /// Check that the relay is there, and list its nodes.
    CheckRelay,
    /// Show the relay's answer to a query.
    Show(Query),
    /// Show the files that a search finds.
    Search(FileSearch),
    /// Find the relay at which messages to this address arrive, or any that answers.
    FindRelay(NodeAddress),
    /// Fetch a file.
    Get(WantedFile),
    /// Likewise, from the nodes that were listed last, without another `LIST`.
    GetFromKnownNodes(WantedFile),
    /// Find the files that a pattern stands for.
    Expand(FilePattern),
    /// Collect file names that begin with a prefix. The user gets no report.
    FindNames(String, NamesCallback),
}

/// A job that is running. Each kind has a file of its own.
pub(super) enum ActiveJob {
    CheckRelay,
    FindRelay,
    Show(Show),
    Fetch(Box<Fetch>),
    Expand(Box<Expand>),
    FindNames(NameSearch),
}

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
    /// The reader of the output is gone: there is nothing left to do.
    ReaderGone,
}

impl From<TaskResult> for JobStep {
    fn from(result: TaskResult) -> Self {
        Self::Finish(JobResult::Task(result))
    }
}

/// What the jobs of one user share.
pub(super) struct JobContext {
    pub(super) user: Box<dyn User>,
    pub(super) pool: NodePool,
    /// Whether the user can choose one of several contents.
    pub(super) may_choose: bool,
    /// The addresses of this node, if it is one, by the source that lists it.
    pub(super) own_addresses: BTreeMap<usize, NodeAddress>,
    pub(super) limits: JobLimits,
    /// How often the relay may still be asked for similar names: a long list of missing
    /// names must not keep it busy.
    pub(super) similar_searches: u32,
    /// The nodes that the relay listed last.
    pub(super) nodes: ListedNodes,
    /// There is no relay: the addresses in `nodes` are those of the nodes that are asked.
    pub(super) is_direct: bool,
    /// Queries go to more than one relay or node.
    pub(super) has_several_sources: bool,
    /// Which connections to nodes are encrypted.
    pub(super) node_tls: NodeTls,
    /// Whether the response that is being handled arrives encrypted.
    pub(super) is_encrypted: bool,
    /// Nodes that could not be reached a moment ago.
    pub(super) unreachable: UnreachableNodes,
    /// Requests that the jobs have made and that are not sent yet.
    pub(super) requests: Vec<PooledRequest>,
    /// Requests whose responses the jobs do not wait for any longer.
    pub(super) cancelled: Vec<RequestId>,
    /// The number of requests to nodes so far.
    pub(super) requested: u64,
    /// Set if others fetch pieces from us meanwhile: decides the order of the pieces.
    pub(super) piece_order: Option<u64>,
    /// The number of downloads in pieces that have begun or ended.
    pub(super) partial_revision: u64,
}

impl JobContext {
    /// Whether this is the node itself.
    pub(super) fn is_own(&self, node: NodeAddress) -> bool {
        self.own_addresses.values().any(|own| *own == node)
    }

    /// Sends a request to a node; see [`PooledRequest::is_shared`]. Returns its number.
    pub(super) fn request(
        &mut self,
        job: JobId,
        node: NodeAddress,
        request: Request<'static>,
        is_shared: bool,
    ) -> RequestId {
        self.push_request(job, node, request, is_shared, false)
    }

    /// Sends a request on a shared connection that is not repeated if the connection ends.
    pub(super) fn request_once(
        &mut self,
        job: JobId,
        node: NodeAddress,
        request: Request<'static>,
    ) -> RequestId {
        self.push_request(job, node, request, true, true)
    }

    /// Identifies another request of a job.
    pub(super) fn next_request(&mut self, job: JobId) -> RequestId {
        self.requested += 1;
        let number = self.requested;
        RequestId { job, number }
    }

    fn push_request(
        &mut self,
        job: JobId,
        node: NodeAddress,
        request: Request<'static>,
        is_shared: bool,
        is_repeated: bool,
    ) -> RequestId {
        let id = self.next_request(job);
        self.requests.push(PooledRequest {
            id,
            peer: PoolPeer::Node(node),
            request,
            is_shared,
            is_repeated,
        });
        id
    }

    /// A query has no answer.
    pub(super) fn report_failed_query(&mut self, query: &Query, failure: &Failure<'_>) {
        self.user.on_event(match self.nodes.first() {
            Some(node) if self.is_direct && !query.needs_relay() => {
                UserEvent::NoAnswer(*node, failure)
            }
            _ => UserEvent::RelayFailed(query, failure),
        });
    }

    /// The position of a node in the relay's list, from 1 on, and the length of the list.
    pub(super) fn node_number(&self, node: NodeAddress) -> (Option<usize>, usize) {
        (self.nodes.number(node), self.nodes.len())
    }

    pub(super) fn set_nodes(&mut self, nodes: Vec<NodeItem>) {
        if self.is_direct {
            return;
        }
        self.node_tls.on_list();
        self.nodes = nodes.into();
        self.user.on_event(UserEvent::Nodes {
            nodes: &self.nodes,
            is_merged: self.has_several_sources,
        });
    }
}

impl ActiveJob {
    /// Starts a job: its state, and its first step.
    pub(super) fn start(
        context: &mut JobContext,
        id: JobId,
        job: Job,
        now: Instant,
    ) -> (Self, JobStep) {
        match job {
            Job::CheckRelay => (Self::CheckRelay, JobStep::Query(Query::Nodes)),
            Job::FindRelay(to) => (Self::FindRelay, JobStep::Query(Query::RelayOf(to))),
            Job::Search(search) => {
                let step = JobStep::Query(search.query());
                (Self::Show(Show::files(&search)), step)
            }
            Job::Show(query) => (Self::Show(Show::default()), JobStep::Query(query)),
            Job::Get(file) if !context.is_direct => {
                let fetch = Fetch::new(id, file);
                (Self::Fetch(fetch.into()), JobStep::Query(Query::Nodes))
            }
            Job::Get(file) | Job::GetFromKnownNodes(file) => {
                let mut fetch = Fetch::new(id, file);
                let step = fetch.find_holders(context, now);
                (Self::Fetch(fetch.into()), step)
            }
            Job::Expand(pattern) => {
                let expand = Expand::new(pattern);
                let step = expand.start(context);
                (Self::Expand(expand.into()), step)
            }
            Job::FindNames(prefix, callback) => {
                // No name begins with a prefix that is no text.
                let query = Query::files(&prefix);
                let step = query.map_or(JobStep::FinishSilently, JobStep::Query);
                (Self::FindNames(NameSearch::new(prefix, callback)), step)
            }
        }
    }

    fn fetch(&self) -> Option<&Fetch> {
        match self {
            Self::Fetch(fetch) => Some(fetch),
            _ => None,
        }
    }

    /// The name of the file that it fetches.
    pub(super) fn fetched_name(&self) -> Option<&FileName<'static>> {
        self.fetch().map(Fetch::name)
    }

    /// Describes the job, which has ended with this result.
    pub(super) fn finished(&self, result: JobResult) -> FinishedJob {
        FinishedJob {
            name: self.fetched_name().cloned(),
            is_expansion: matches!(self, Self::Expand(_)),
            result,
        }
    }

    /// The relay lists a file. Returns whether more files are wanted.
    pub(super) fn on_file(&mut self, context: &mut JobContext, file: &FileItem<'_>) -> bool {
        match self {
            Self::Show(show) => show.on_file(context, file),
            Self::FindNames(search) => search.on_name(file.name.as_str()),
            Self::Fetch(fetch) => fetch.on_name(file.name.as_str()),
            Self::Expand(expand) => {
                expand.on_file(file);
                true
            }
            Self::CheckRelay | Self::FindRelay => true,
        }
    }

    /// A part of the response to a request has arrived.
    ///
    /// # Errors
    /// The response is none to this request: the connection is of no use any longer.
    pub(super) fn on_response(
        &mut self,
        context: &mut JobContext,
        id: RequestId,
        part: &ResponsePart<'_>,
        is_last: bool,
        now: Instant,
    ) -> Result<JobStep, CloseReason> {
        match self {
            Self::Fetch(fetch) => fetch.on_response(context, id, part, is_last, now),
            Self::CheckRelay
            | Self::FindRelay
            | Self::Show(_)
            | Self::Expand(_)
            | Self::FindNames(_) => Ok(JobStep::Wait),
        }
    }

    /// Whether the job still waits for the response to a request.
    pub(super) fn awaits(&self, id: RequestId) -> bool {
        self.fetch().is_some_and(|fetch| fetch.awaits(id))
    }

    /// The connection with a request has ended before the response was complete.
    pub(super) fn on_lost_request(
        &mut self,
        context: &mut JobContext,
        id: RequestId,
        reason: &CloseReason,
        now: Instant,
    ) -> JobStep {
        match self {
            Self::Fetch(fetch) => fetch.on_lost_request(context, id, reason, now),
            Self::CheckRelay
            | Self::FindRelay
            | Self::Show(_)
            | Self::Expand(_)
            | Self::FindNames(_) => JobStep::Wait,
        }
    }

    /// Goes on at its deadline.
    pub(super) fn on_timer(&mut self, context: &mut JobContext, now: Instant) -> JobStep {
        match self {
            Self::Fetch(fetch) => fetch.on_timer(context, now),
            Self::Expand(expand) => expand.on_timer(context, now),
            _ => JobStep::Wait,
        }
    }

    /// When [`ActiveJob::on_timer`] is due.
    pub(super) fn next_deadline(&self, context: &JobContext) -> Option<Instant> {
        match self {
            Self::Fetch(fetch) => fetch.next_deadline(context),
            Self::Expand(expand) => expand.next_deadline(),
            _ => None,
        }
    }

    /// The relay has answered a query of the job, or has failed to.
    pub(super) fn on_answer(
        &mut self,
        context: &mut JobContext,
        query: &Query,
        answer: Result<RelayAnswer, Failure<'_>>,
        now: Instant,
    ) -> JobStep {
        match (self, answer) {
            (Self::CheckRelay, Ok(RelayAnswer::Nodes(nodes))) => {
                context.set_nodes(nodes);
                TaskResult::Success.into()
            }
            (Self::FindRelay, Ok(RelayAnswer::Relay(relay))) => {
                JobStep::Finish(JobResult::Relay(relay))
            }
            (Self::FindRelay, answer) => {
                let failure = answer.err();
                let event = failure.as_ref().map(UserEvent::NotListening);
                event
                    .into_iter()
                    .for_each(|event| context.user.on_event(event));
                TaskResult::Relay.into()
            }
            (Self::CheckRelay, answer) => Show::default().on_answer(context, query, answer),
            (Self::Show(show), answer) => show.on_answer(context, query, answer),
            (Self::Fetch(fetch), answer) => fetch.on_answer(context, query, answer, now),
            (Self::Expand(expand), answer) => expand.on_answer(context, query, answer, now),
            (Self::FindNames(search), _) => search.finish(),
        }
    }
}
