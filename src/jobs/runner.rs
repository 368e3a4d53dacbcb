//! Runs jobs for one user, several at once: sends their queries and requests, hands
//! them the responses, and says when they are done.

mod cancel;
mod commits;
mod partial;
mod plain_refusal;
mod pooled_connections;
mod queries;
mod settings;
mod sources;

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use crate::close_reason::CloseReason;
use crate::jobs::connection::{JobConnection, JobPeer, RunsJobs};
use crate::jobs::failure::Failure;
use crate::jobs::ids::{JobId, QueryId, RequestId};
use crate::jobs::job::{ActiveJob, Job};
use crate::jobs::job_context::JobContext;
use crate::jobs::job_step::{FinishedJob, JobStep};
use crate::jobs::listed_nodes::ListedNodes;
use crate::jobs::node_pool::{NodePool, PoolId};
use crate::jobs::node_tls::NodeTls;
use crate::jobs::open_query::OpenQuery;
use crate::jobs::peer_source::{PeerSource, PeerSources};
use crate::jobs::relay_query::RelayQuery;
pub use crate::jobs::runner::partial::PartialFile;
use crate::jobs::similar_names::MAX_SEARCHES;
use crate::jobs::task_result::TaskResult;
use crate::jobs::unreachable_nodes::UnreachableNodes;
use crate::jobs::user::User;
use crate::limits::JobLimits;
use crate::protocol::FileName;
use crate::role::{ConnId, Input, Output, ReadNext, Role};
use crate::session::connector::Connector;

/// All jobs that run for one user.
pub struct JobRunner {
    context: JobContext,
    jobs: BTreeMap<JobId, ActiveJob>,
    /// Jobs that are done, and not taken yet.
    finished: VecDeque<FinishedJob>,
    /// Whom the queries are sent to.
    sources: PeerSources,
    /// The queries that have no merged answer yet.
    open_queries: BTreeMap<QueryId, OpenQuery>,
    /// Those of them that are sent on shared connections, by request.
    queries: BTreeMap<RequestId, RelayQuery>,
    /// The number of jobs that were started, and of their queries.
    started: u64,
    started_queries: u64,
}

impl JobRunner {
    /// A runner for `user`. Without sources, every query fails.
    #[must_use]
    pub fn new(user: impl User + 'static, sources: Vec<PeerSource>, limits: JobLimits) -> Self {
        let sources = PeerSources::new(sources);
        let is_direct = sources.are_nodes();
        Self {
            finished: VecDeque::new(),
            open_queries: BTreeMap::new(),
            queries: BTreeMap::new(),
            context: JobContext {
                user: Box::new(user),
                pool: NodePool::new(limits.connections, limits.max_nodes),
                may_choose: false,
                own_addresses: BTreeMap::new(),
                limits,
                similar_searches: MAX_SEARCHES,
                nodes: ListedNodes::from(sources.nodes()),
                is_direct,
                is_on_loopback: sources.are_on_loopback(),
                has_several_sources: sources.are_several(),
                node_tls: NodeTls::default(),
                is_encrypted: false,
                unreachable: UnreachableNodes::default(),
                requests: Vec::new(),
                cancelled: Vec::new(),
                requested: 0,
                piece_order: None,
                partial_revision: 0,
            },
            jobs: BTreeMap::new(),
            sources,
            started: 0,
            started_queries: 0,
        }
    }

    /// The user for whom the jobs run.
    pub fn user(&mut self) -> &mut dyn User {
        &mut *self.context.user
    }

    /// The names of the files that are being fetched.
    pub fn fetched_names(&self) -> impl Iterator<Item = &FileName<'static>> {
        self.jobs.values().filter_map(ActiveJob::fetched_name)
    }

    /// Starts a job. It may be done at once.
    pub fn start<R: RunsJobs>(&mut self, connector: &mut Connector<'_, R>, job: Job) {
        self.started += 1;
        let id = JobId(self.started);
        let (job, step) = ActiveJob::start(&mut self.context, id, job, connector.now);
        self.jobs.insert(id, job);
        self.execute(connector, id, step, None);
    }

    /// Takes the next job that is done. Ask after each call that is given a connector.
    pub fn next_finished(&mut self) -> Option<FinishedJob> {
        self.finished.pop_front()
    }

    /// The program stops: closes the connections that no job uses.
    pub fn stop_keeping_connections<R: Role>(&mut self, out: &mut Output<R>) {
        self.context.pool.stop_keeping(out);
    }

    /// Reads input on a connection of the jobs.
    pub fn on_input<R: RunsJobs>(
        &mut self,
        connector: &mut Connector<'_, R>,
        conn: ConnId,
        connection: &mut JobConnection,
        input: Input<'_>,
    ) -> ReadNext {
        match connection.peer {
            JobPeer::Pooled(id, _) => self.on_pooled_input(connector, conn, id, input),
            JobPeer::Relay(..) => {
                let out = match input {
                    Input::Connected => {
                        self.on_query_connected(connection, conn);
                        connector.out.append_reply(conn)
                    }
                    // The least rate holds for a list as a whole.
                    _ => connector.out.append_continuation(conn),
                };
                self.on_relay_input(connection, input, out)
            }
        }
    }

    /// When to call [`JobRunner::on_timer`].
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        let jobs = self.jobs.values();
        let jobs = jobs.filter_map(|job| job.next_deadline(&self.context));
        let queries = self.next_query_deadline();
        jobs.chain(self.context.pool.next_deadline())
            .chain(queries)
            .min()
    }

    /// Tries the next node of each file whose nodes are silent, answers queries without the
    /// sources that are silent, and closes connections that are not used any longer.
    pub fn on_timer<R: RunsJobs>(&mut self, connector: &mut Connector<'_, R>) {
        let now = connector.now;
        self.context.pool.close_idle(now, connector.out);
        self.leave_late_sources(connector);
        let deadline = |job: &ActiveJob| job.next_deadline(&self.context);
        let is_due = |job: &ActiveJob| deadline(job).is_some_and(|due| due <= now);
        let due = self.jobs.iter().filter(|(_, job)| is_due(job));
        for id in due.map(|(id, _)| *id).collect::<Vec<_>>() {
            if let Some(job) = self.jobs.get_mut(&id) {
                let step = job.on_timer(&mut self.context, now);
                self.execute(connector, id, step, None);
            }
        }
    }

    /// A connection of the jobs has ended.
    pub fn on_close<R: RunsJobs>(
        &mut self,
        connector: &mut Connector<'_, R>,
        connection: JobConnection,
        reason: &CloseReason,
    ) {
        match connection.peer {
            JobPeer::Pooled(id, _) => self.on_pooled_close(connector, id, reason),
            JobPeer::Relay(id, query) => self.on_query_end(connector, id, *query, reason, None),
        }
    }

    /// The program ends, and starts nothing new.
    fn interrupt<R: RunsJobs>(&mut self, connector: &mut Connector<'_, R>, id: JobId) {
        self.keep(id);
        self.execute(connector, id, TaskResult::Interrupted.into(), None);
    }

    /// Executes a step of a job, and sends the requests that the job has made. The input
    /// of the connection `current` is being handled.
    fn execute<R: RunsJobs>(
        &mut self,
        connector: &mut Connector<'_, R>,
        id: JobId,
        step: JobStep,
        current: Option<PoolId>,
    ) {
        let finished = match step {
            JobStep::Query(query) if !self.sources.can_answer(&query) => {
                let Some(job) = self.jobs.get_mut(&id) else {
                    return;
                };
                let failure = Err(Failure::NoRelay);
                let step = job.on_answer(&mut self.context, &query, failure, connector.now);
                return self.execute(connector, id, step, current);
            }
            JobStep::Query(query) => {
                let sources = self.sources.usable(connector.now);
                self.open_query(connector, id, query, &sources);
                None
            }
            JobStep::Wait => None,
            JobStep::Finish(result) => Some(Some(result)),
            JobStep::FinishSilently => Some(None),
        };
        let mut requests = std::mem::take(&mut self.context.requests);
        for request in requests.drain(..) {
            self.send(connector, request);
        }
        self.context.requests = requests;
        if !self.context.cancelled.is_empty() {
            let cancelled = std::mem::take(&mut self.context.cancelled);
            let is_cancelled = |id| cancelled.contains(&id);
            self.context
                .pool
                .cancel(is_cancelled, current, connector.out);
        }
        if let Some(result) = finished
            && let Some(job) = self.jobs.remove(&id)
        {
            self.context.partial_revision += 1;
            let is_cancelled = |request: RequestId| request.job == id;
            // To look for requests among those of many small files takes long.
            let is_fetch_without_requests =
                matches!(&job, ActiveJob::Fetch(fetch) if !fetch.may_have_requests());
            if !is_fetch_without_requests {
                let pool = &mut self.context.pool;
                pool.cancel(is_cancelled, current, connector.out);
            }
            self.forget_queries(|job| job == id);
            let finished = result.map(|result| self.finished_job(job, result));
            self.finished.extend(finished);
        }
    }
}
