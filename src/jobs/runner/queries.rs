//! The queries of the jobs to the relay: each on a connection of its own, over UDP, or,
//! when several jobs run, on a shared connection.

use crate::close_reason::CloseReason;
use crate::jobs::connection::{JobConnection, JobPeer, RunsJobs};
use crate::jobs::job::JobId;
use crate::jobs::node_pool::{PoolId, PoolPeer, PooledRequest, RequestId};
use crate::jobs::relay_query::RelayQuery;
use crate::jobs::runner::JobRunner;
use crate::protocol::canonical;
use crate::role::Input;
use crate::session::connector::Connector;
use crate::session::requests::ResponsePart;

/// When so many jobs run, their queries share a connection.
const MANY_JOBS: usize = 4;

impl JobRunner {
    pub(super) fn send_query<R: RunsJobs>(
        &mut self,
        connector: &mut Connector<'_, R>,
        job: JobId,
        query: RelayQuery,
    ) {
        let address = self.relay[query.relay % self.relay.len()];
        if self.jobs.len() >= MANY_JOBS
            && let Some(request) = query.shared_request()
            && !connector.udp.has_route(address)
        {
            // Many files: a connection for each query would cost more than the query.
            let id = self.context.next_request(job);
            self.queries.insert(id, query);
            return self.send(
                connector,
                PooledRequest {
                    id,
                    peer: PoolPeer::Relay(address),
                    request,
                    is_shared: true,
                    is_repeated: false,
                },
            );
        }
        let fits_datagram = query.query.fits_datagram();
        let connection = JobConnection(JobPeer::Relay(job, query.into()));
        if !fits_datagram {
            return connector.dial(address, connection);
        }
        // An answer that does not fit into a datagram is requested again over TCP.
        connector.request(address, connection, |connection, out| {
            self.on_relay_input(connection, Input::Connected, out);
        });
    }

    /// A part of the response to a query on a shared connection has arrived.
    ///
    /// # Errors
    /// The response is none to the query.
    pub(super) fn on_query_part<R: RunsJobs>(
        &mut self,
        connector: &mut Connector<'_, R>,
        id: RequestId,
        part: ResponsePart<'_>,
        is_last: bool,
        current: PoolId,
    ) -> Result<(), CloseReason> {
        let Some(query) = self.queries.get_mut(&id) else {
            return Ok(());
        };
        query.on_shared_part(part, is_last)?;
        if is_last && let Some(query) = self.queries.remove(&id) {
            let reason = CloseReason::Completed;
            self.on_query_end(connector, id.job, query, &reason, Some(current));
        }
        Ok(())
    }

    /// A query has its response, or its connection has ended.
    pub(super) fn on_query_end<R: RunsJobs>(
        &mut self,
        connector: &mut Connector<'_, R>,
        id: JobId,
        query: RelayQuery,
        reason: &CloseReason,
        current: Option<PoolId>,
    ) {
        let Some(job) = self.jobs.get_mut(&id) else {
            return;
        };
        if matches!(reason, CloseReason::Aborted) {
            return self.interrupt(connector, id);
        }
        if query.may_be_retried(self.relay.len()) {
            let node = self.direct_node(query.relay + 1);
            let query = query.retry(self.relay.len(), node, &self.context.limits);
            return self.send_query(connector, id, query);
        }
        let relay = query.relay;
        let (query, mut answer) = query.finish(reason);
        if let Ok(answer) = &mut answer {
            // The relay may have other addresses than before.
            self.relay_index = relay % self.relay.len();
            if !canonical(self.relay[self.relay_index].ip()).is_loopback() {
                answer.remove_loopback();
            }
        }
        let step = job.on_answer(&mut self.context, &query, answer, connector.now);
        self.execute(connector, id, step, current);
    }
}
