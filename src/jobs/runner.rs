//! Runs jobs for one user, several at once: opens the connections that they ask
//! for, hands them the input, and says when they are done. The client runs one
//! job at a time, the console of a node as many as it allows.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::time::Instant;

use crate::close_reason::CloseReason;
use crate::jobs::attempt::Attempt;
use crate::jobs::job::{ActiveJob, FinishedJob, Job, JobContext, JobId, JobStep, TaskResult};
use crate::jobs::relay_query::RelayQuery;
use crate::jobs::similar_names::MAX_SEARCHES;
use crate::jobs::user::User;
use crate::limits::JobLimits;
use crate::protocol::{FileName, NodeAddress, canonical};
use crate::role::{ConnId, Context, Input, ReadNext, Role};
use crate::session::connector::Connector;

/// One connection of a job: the number of the job, and the request. The job itself
/// stays with its runner.
pub struct JobConnection {
    job: JobId,
    peer: JobPeer,
}

/// The other side of a job's connection.
enum JobPeer {
    Relay(RelayQuery),
    Node(Attempt),
}

impl JobConnection {
    /// Whether a node sends content on it.
    #[must_use]
    pub fn carries_content(&self) -> bool {
        matches!(self.peer, JobPeer::Node(_))
    }
}

impl fmt::Display for JobConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.peer {
            JobPeer::Relay(_) => f.write_str("our relay"),
            JobPeer::Node(attempt) => write!(f, "node {}", attempt.candidate.node),
        }
    }
}

/// A role that runs jobs.
pub trait RunsJobs: Role<Session: From<JobConnection>> {}

impl<R: Role<Session: From<JobConnection>>> RunsJobs for R {}

/// All jobs that run for one user.
pub struct JobRunner {
    context: JobContext,
    jobs: BTreeMap<JobId, ActiveJob>,
    /// The number of jobs that were started.
    started: u64,
    /// The relay's addresses, tried in turn; not empty.
    relay: Vec<SocketAddr>,
    /// The index of the address that answered last: the next query goes there.
    relay_index: usize,
}

impl JobRunner {
    /// A runner for `user`. `relay` is not empty.
    #[must_use]
    pub fn new(user: impl User + 'static, relay: Vec<SocketAddr>, limits: JobLimits) -> Self {
        Self {
            context: JobContext {
                user: Box::new(user),
                may_choose: false,
                own_address: None,
                limits,
                similar_searches: MAX_SEARCHES,
                nodes: Vec::new(),
            },
            jobs: BTreeMap::new(),
            started: 0,
            relay,
            relay_index: 0,
        }
    }

    /// The user for whom the jobs run.
    pub fn user(&mut self) -> &mut dyn User {
        &mut *self.context.user
    }

    /// Whether the user can choose one of several contents.
    pub fn set_may_choose(&mut self, may_choose: bool) {
        self.context.may_choose = may_choose;
    }

    /// The address of this node: nothing is fetched from there.
    pub fn set_own_address(&mut self, address: NodeAddress) {
        self.context.own_address = Some(address);
    }

    /// The names of the files that are being fetched.
    pub fn fetched_names(&self) -> impl Iterator<Item = &FileName<'static>> {
        self.jobs.values().filter_map(ActiveJob::fetched_name)
    }

    /// The relay's addresses, first the one that answered last.
    #[must_use]
    pub fn relay(&self) -> Vec<SocketAddr> {
        let mut relay = self.relay.clone();
        relay.rotate_left(self.relay_index);
        relay
    }

    /// The relay has these addresses now.
    pub fn set_relay(&mut self, relay: Vec<SocketAddr>) {
        if !relay.is_empty() && relay != self.relay {
            self.relay = relay;
            self.relay_index = 0;
        }
    }

    /// Starts a job. It may be done at once.
    pub fn start<R: RunsJobs>(
        &mut self,
        connector: &mut Connector<'_, R>,
        job: Job,
    ) -> Option<FinishedJob> {
        self.started += 1;
        let id = JobId(self.started);
        let (job, step) = ActiveJob::start(&mut self.context, id, job, connector.now);
        self.execute(connector, id, job, step)
    }

    /// Breaks off the files that were fetched in part: the program ends.
    pub fn abort(&mut self) {
        for (id, job) in std::mem::take(&mut self.jobs) {
            if job.fetched_name().is_some() {
                self.context.user.keep(id);
            }
        }
    }

    /// Reads input on a connection of a job.
    pub fn on_input<R: Role>(
        &mut self,
        context: &mut Context<'_, R>,
        conn: ConnId,
        connection: &mut JobConnection,
        input: Input<'_>,
    ) -> ReadNext {
        match (&mut connection.peer, self.jobs.get_mut(&connection.job)) {
            (JobPeer::Node(attempt), Some(ActiveJob::Fetch(fetch))) => {
                fetch.on_node_input(&mut self.context, context, conn, attempt, input)
            }
            (_, _) => self.on_relay_input(connection, input, context.out.append_reply(conn)),
        }
    }

    /// Reads input from the relay, over TCP or UDP, and appends requests to `out`.
    pub fn on_relay_input(
        &mut self,
        connection: &mut JobConnection,
        input: Input<'_>,
        out: &mut Vec<u8>,
    ) -> ReadNext {
        let context = &mut self.context;
        match (&mut connection.peer, self.jobs.get_mut(&connection.job)) {
            (JobPeer::Relay(query), Some(job)) => {
                query.on_input(input, |file| job.on_file(context, file), out)
            }
            (_, _) => ReadNext::Close(CloseReason::Completed),
        }
    }

    /// When to call [`JobRunner::on_timer`].
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.jobs
            .values()
            .filter_map(ActiveJob::next_deadline)
            .min()
    }

    /// Tries the next node of each file whose nodes are silent.
    pub fn on_timer<R: RunsJobs>(&mut self, connector: &mut Connector<'_, R>) {
        let now = connector.now;
        let is_due = |job: &ActiveJob| job.next_deadline().is_some_and(|due| due <= now);
        let due = self.jobs.extract_if(.., |_, job| is_due(job));
        for (id, mut job) in due.collect::<Vec<_>>() {
            if let ActiveJob::Fetch(fetch) = &mut job {
                let step = fetch.on_timer(&mut self.context, now);
                self.execute(connector, id, job, step);
            }
        }
    }

    /// A connection of a job has ended. The job may be done.
    pub fn on_close<R: RunsJobs>(
        &mut self,
        connector: &mut Connector<'_, R>,
        connection: JobConnection,
        reason: &CloseReason,
    ) -> Option<FinishedJob> {
        let id = connection.job;
        let mut job = self.jobs.remove(&id)?;
        let step = match (connection.peer, &mut job) {
            (_, _) if matches!(reason, CloseReason::Aborted) => {
                // The program ends, and starts nothing new.
                self.context.user.keep(id);
                TaskResult::Interrupted.into()
            }
            (JobPeer::Relay(query), _) if query.may_be_retried(self.relay.len()) => {
                let query = query.retry(self.relay.len(), &self.context.limits);
                self.jobs.insert(id, job);
                self.send_query(connector, id, query);
                return None;
            }
            (JobPeer::Relay(query), job) => {
                let relay = query.relay;
                let (query, mut answer) = query.finish(reason);
                if let Ok(answer) = &mut answer {
                    // The relay may have other addresses than before.
                    self.relay_index = relay % self.relay.len();
                    if !canonical(self.relay[self.relay_index].ip()).is_loopback() {
                        answer.remove_loopback();
                    }
                }
                job.on_answer(&mut self.context, &query, answer, connector.now)
            }
            (JobPeer::Node(attempt), ActiveJob::Fetch(fetch)) => {
                fetch.on_attempt_end(&mut self.context, attempt, reason, connector.now)
            }
            (JobPeer::Node(_), _) => JobStep::FinishSilently,
        };
        self.execute(connector, id, job, step)
    }

    fn execute<R: RunsJobs>(
        &mut self,
        connector: &mut Connector<'_, R>,
        id: JobId,
        job: ActiveJob,
        step: JobStep,
    ) -> Option<FinishedJob> {
        match step {
            JobStep::Query(query) => {
                self.jobs.insert(id, job);
                let query = RelayQuery::new(query, self.relay_index, &self.context.limits);
                self.send_query(connector, id, query);
            }
            JobStep::Connect(attempt) => {
                self.jobs.insert(id, job);
                let node = attempt.candidate.node.into();
                let peer = JobPeer::Node(*attempt);
                connector.dial(node, JobConnection { job: id, peer });
            }
            JobStep::Wait => drop(self.jobs.insert(id, job)),
            JobStep::Finish(result) => {
                let is_fetch = job.fetched_name().is_some();
                return Some(FinishedJob { is_fetch, result });
            }
            JobStep::FinishSilently => {}
        }
        None
    }

    fn send_query<R: RunsJobs>(
        &mut self,
        connector: &mut Connector<'_, R>,
        job: JobId,
        query: RelayQuery,
    ) {
        let address = self.relay[query.relay % self.relay.len()];
        let fits_datagram = query.query.fits_datagram();
        let peer = JobPeer::Relay(query);
        let connection = JobConnection { job, peer };
        if !fits_datagram {
            return connector.dial(address, connection);
        }
        // An answer that does not fit into a datagram is requested again over TCP.
        connector.request(address, connection, |connection, out| {
            self.on_relay_input(connection, Input::Connected, out);
        });
    }
}
