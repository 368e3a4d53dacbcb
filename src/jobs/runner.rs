//! Runs jobs for one user, several at once: opens the connections that they ask
//! for, hands them the input, and says when they are done. The client runs one
//! job at a time, the console of a node as many as it allows.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::close_reason::CloseReason;
use crate::jobs::attempt::Attempt;
use crate::jobs::completion::{Completion, NamesCallback};
use crate::jobs::connection::{JobConnection, JobPeer};
use crate::jobs::fetch::Fetch;
use crate::jobs::job::{ActiveJob, FinishedJob, Job, JobContext, JobId, JobStep};
use crate::jobs::query::Query;
use crate::jobs::relay_check::RelayCheck;
use crate::jobs::relay_query::RelayQuery;
use crate::jobs::show::Show;
use crate::jobs::task_result::TaskResult;
use crate::jobs::user::User;
use crate::protocol::{FileName, NodeAddress, canonical};
use crate::role::{Input, ReadNext, Role};
use crate::session::connector::Connector;

/// A role that runs jobs.
pub trait RunsJobs: Role<Session: From<JobConnection>> {}

impl<R: Role<Session: From<JobConnection>>> RunsJobs for R {}

/// All jobs that run for one user.
pub struct JobRunner {
    context: JobContext,
    jobs: BTreeMap<JobId, ActiveJob>,
    last_id: JobId,
    /// The relay's addresses, tried in turn; not empty.
    relay: Vec<SocketAddr>,
    /// The index of the address that answered last: the next query goes there.
    working_address: usize,
    /// The most items of a list of nodes or holders.
    max_nodes: u64,
}

impl JobRunner {
    /// A runner for `user`. `relay` is not empty.
    #[must_use]
    pub fn new(user: impl User + 'static, relay: Vec<SocketAddr>, max_nodes: u64) -> Self {
        Self {
            context: JobContext {
                user: Box::new(user),
                may_choose: false,
                own_address: None,
                nodes: Vec::new(),
            },
            jobs: BTreeMap::new(),
            last_id: JobId(0),
            relay,
            working_address: 0,
            max_nodes,
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
        relay.rotate_left(self.working_address);
        relay
    }

    /// Starts a job. It may be done at once.
    pub fn start<R: RunsJobs>(
        &mut self,
        connector: &mut Connector<'_, R>,
        job: Job,
    ) -> Option<FinishedJob> {
        let id = self.next_id();
        let (job, step) = match job {
            Job::CheckRelay => (
                ActiveJob::CheckRelay(RelayCheck),
                JobStep::Query(Query::Nodes),
            ),
            Job::Query(query) => (ActiveJob::Show(Show::default()), JobStep::Query(query)),
            Job::Get(name, hash) => {
                let fetch = Fetch::new(id, name, hash);
                (ActiveJob::Fetch(fetch), JobStep::Query(Query::Nodes))
            }
            Job::GetFromKnownNodes(name, hash) => {
                let mut fetch = Fetch::new(id, name, hash);
                let step = fetch.find_holders(&mut self.context);
                (ActiveJob::Fetch(fetch), step)
            }
        };
        self.execute(connector, id, job, step)
    }

    /// Starts to collect file names that begin with `prefix`.
    pub fn complete<R: RunsJobs>(
        &mut self,
        connector: &mut Connector<'_, R>,
        prefix: String,
        callback: NamesCallback,
    ) {
        let query = Query::files(&prefix);
        let mut completion = Completion::new(prefix, callback);
        let step = match query {
            Ok(query) => JobStep::Query(query),
            Err(_) => completion.finish(),
        };
        let id = self.next_id();
        self.execute(connector, id, ActiveJob::Complete(completion), step);
    }

    /// Discards the files that were fetched in part: the program ends.
    pub fn abort(&mut self) {
        for (id, job) in std::mem::take(&mut self.jobs) {
            if job.fetched_name().is_some() {
                self.context.user.discard(id);
            }
        }
    }

    /// Reads input on a connection of a job, and appends requests to `out`.
    pub fn on_input(
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
            (JobPeer::Node(attempt), Some(ActiveJob::Fetch(fetch))) => {
                fetch.on_node_input(&mut *context.user, attempt, input, out)
            }
            (_, _) => ReadNext::Close(CloseReason::Completed),
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
                self.context.user.discard(id);
                TaskResult::Interrupted.into()
            }
            (JobPeer::Relay(query), _) if query.may_be_retried(self.relay.len()) => {
                let query = query.retry(self.relay.len(), self.max_nodes);
                self.jobs.insert(id, job);
                self.send_query(connector, id, query);
                return None;
            }
            (JobPeer::Relay(mut query), job) => match query.finish(reason) {
                Ok(mut answer) => {
                    if !canonical(self.relay[query.address].ip()).is_loopback() {
                        answer.remove_loopback();
                    }
                    self.working_address = query.address;
                    job.on_response(&mut self.context, &query.query, answer)
                }
                Err(failure) => job.on_failure(&mut self.context, &query.query, &failure),
            },
            (JobPeer::Node(attempt), ActiveJob::Fetch(fetch)) => {
                fetch.on_node_close(&mut self.context, attempt, reason, connector.now)
            }
            (JobPeer::Node(_), _) => JobStep::FinishSilently,
        };
        self.execute(connector, id, job, step)
    }

    fn next_id(&mut self) -> JobId {
        self.last_id.0 += 1;
        self.last_id
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
                let query = RelayQuery::new(query, self.working_address, self.max_nodes);
                self.send_query(connector, id, query);
            }
            JobStep::Connect(node) => {
                self.jobs.insert(id, job);
                let peer = JobPeer::Node(Attempt::new(node, connector.now));
                connector.dial(node.into(), JobConnection { job: id, peer });
            }
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
        let address = self.relay[query.address];
        let fits_datagram = query.query.fits_datagram();
        let peer = JobPeer::Relay(query);
        let connection = JobConnection { job, peer };
        if !fits_datagram {
            return connector.dial(address, connection);
        }
        // An answer that does not fit into a datagram is requested again over TCP.
        connector.request(address, connection, |connection, out| {
            self.on_input(connection, Input::Connected, out);
        });
    }
}
