//! The connections of the pool: requests are sent on them, and what arrives goes to the jobs and
//! queries that wait for it.

use std::time::Instant;

use crate::close_reason::CloseReason;
use crate::jobs::connection::{JobConnection, JobPeer, RunsJobs};
use crate::jobs::node_pool::{PoolId, PoolPeer, PooledRequest};
use crate::jobs::runner::JobRunner;
use crate::role::{ConnId, Input, PeerTls, ReadNext};
use crate::session::connector::Connector;

impl JobRunner {
    /// Sends a request on the connection to its peer, which is opened if there is none.
    pub(super) fn send<R: RunsJobs>(
        &mut self,
        connector: &mut Connector<'_, R>,
        request: PooledRequest,
    ) {
        let peer = request.peer;
        let tls = self.peer_tls(peer);
        if let Some(id) = self.context.pool.send(request, tls, connector.out) {
            let address = peer.address();
            let peer = JobPeer::Pooled(id, peer);
            connector.dial(address, JobConnection { peer, tls });
        }
    }

    pub(super) fn on_pooled_input<R: RunsJobs>(
        &mut self,
        connector: &mut Connector<'_, R>,
        conn: ConnId,
        pool_id: PoolId,
        input: Input<'_>,
    ) -> ReadNext {
        let Some(connection) = self.context.pool.get_mut(pool_id) else {
            return ReadNext::Close(CloseReason::Completed);
        };
        if let Input::Connected = input {
            return connection.on_connected(conn, connector.out);
        }
        let awaited = connection.current();
        let (part, completed) = match connection.requests.on_input(input) {
            Ok(Some((part, completed))) => (part, completed),
            Ok(None) => return connection.read_next(),
            Err(_) => return connection.close(CloseReason::ProtocolError),
        };
        let (peer, tls) = (connection.peer, connection.tls);
        if self.is_plain_refused(peer, tls, &part) {
            if let Some(request) = completed.filter(|_| awaited.is_some()) {
                self.send(connector, request);
            }
            // The requests behind it follow when the connection is closed.
            return ReadNext::Close(CloseReason::Completed);
        }
        let is_last = completed.is_some();
        self.on_pooled_part(pool_id, completed, connector.now);
        self.context.is_encrypted = tls != PeerTls::Plain;
        let mut failure = None;
        if let Some(id) = awaited
            && self.queries.contains_key(&id)
        {
            failure = self
                .on_query_part(connector, id, part, is_last, pool_id)
                .err();
        } else if let Some(id) = awaited
            && let Some(job) = self.jobs.get_mut(&id.job)
        {
            let now = connector.now;
            match job.on_response(&mut self.context, id, &part, is_last, now) {
                Ok(step) => self.execute(connector, id.job, step, Some(pool_id)),
                Err(reason) => failure = Some(reason),
            }
        }
        match (self.context.pool.get_mut(pool_id), failure) {
            (Some(connection), None) => connection.read_next(),
            (Some(connection), Some(reason)) => connection.close(reason),
            (None, _) => ReadNext::Close(CloseReason::Completed),
        }
    }

    /// A part of a response has arrived on a shared connection, perhaps the last one of a request.
    fn on_pooled_part(&mut self, pool_id: PoolId, completed: Option<PooledRequest>, now: Instant) {
        let Some(connection) = self.context.pool.get_mut(pool_id) else {
            return;
        };
        (connection.has_started, connection.last_input) = (true, Some(now));
        if let Some(request) = completed {
            connection.on_complete(request.id, now);
            if let PoolPeer::Node(node) = connection.peer {
                self.context.unreachable.on_answer(node);
            }
        }
    }

    pub(super) fn on_pooled_close<R: RunsJobs>(
        &mut self,
        connector: &mut Connector<'_, R>,
        pool_id: PoolId,
        reason: &CloseReason,
    ) {
        let Some(connection) = self.context.pool.remove(pool_id) else {
            return;
        };
        if let PoolPeer::Node(node) = connection.peer
            && !connection.requests.is_empty()
        {
            let now = connector.now;
            self.context.node_tls.on_close(node, reason, now);
            let unreachable = &mut self.context.unreachable;
            unreachable.on_close(node, reason, now);
        }
        let is_outdated = self.is_outdated(connection.peer, connection.tls);
        let was_closed = matches!(
            reason,
            CloseReason::EndOfInput | CloseReason::ConnectionLost(_) | CloseReason::SecretChanged
        );
        // Then nothing is wrong with the node, or with what was requested of it.
        let was_closed_by_us = matches!(reason, CloseReason::SecretChanged);
        for (request, may_repeat) in connection.into_requests(was_closed_by_us) {
            let id = request.id;
            let query = self.queries.remove(&id);
            let Some(job) = self.jobs.get_mut(&id.job) else {
                continue;
            };
            if matches!(reason, CloseReason::Aborted) {
                self.interrupt(connector, id.job);
            } else if query.is_none() && !job.awaits(id) {
                // The loss of a request before it has cancelled it.
            } else if (was_closed && may_repeat) || is_outdated {
                self.queries.extend(query.map(|query| (id, query)));
                self.send(connector, request.repeated());
            } else if let Some(query) = query {
                self.on_query_end(connector, id.job, query, reason, None);
            } else {
                let now = connector.now;
                let step = job.on_lost_request(&mut self.context, id, reason, now);
                self.execute(connector, id.job, step, None);
            }
        }
    }
}
