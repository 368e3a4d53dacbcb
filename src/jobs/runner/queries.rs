//! The queries of the jobs: each goes to all sources at once, to each source on a connection
//! of its own, over UDP, or, when several jobs run, on a shared connection.

use std::time::Instant;

use crate::close_reason::CloseReason;
use crate::jobs::connection::{JobConnection, JobPeer, RunsJobs};
use crate::jobs::failure::Failure;
use crate::jobs::ids::{JobId, QueryId, RequestId};
use crate::jobs::node_pool::{PoolId, PoolPeer, PooledRequest};
use crate::jobs::open_query::OpenQuery;
use crate::jobs::relay_query::{Query, QueryTarget, RelayAnswer, RelayQuery};
use crate::jobs::runner::JobRunner;
use crate::jobs::user_event::UserEvent;
use crate::protocol::FileItem;
use crate::role::{ConnId, Input, ReadNext};
use crate::session::connector::Connector;
use crate::session::requests::ResponsePart;

/// When so many jobs run, their queries share a connection.
const MANY_JOBS: usize = 4;

impl JobRunner {
    /// Sends a query of a job to these sources, at least one.
    pub(super) fn open_query<R: RunsJobs>(
        &mut self,
        connector: &mut Connector<'_, R>,
        job: JobId,
        query: Query,
        sources: &[usize],
    ) {
        self.started_queries += 1;
        let id = QueryId(self.started_queries);
        let are_nodes = self.sources.are_nodes();
        let open = OpenQuery::new(job, query, sources, are_nodes, connector.now);
        let query = open.sent_query();
        self.open_queries.insert(id, open);
        for source in sources {
            let target = self.target(id, *source, self.sources.first_address(*source));
            let query = RelayQuery::new(query.clone(), target, &self.context.limits);
            self.send_query(connector, job, query);
        }
    }

    pub(super) fn target(&self, open: QueryId, source: usize, address: usize) -> QueryTarget {
        let peer = PoolPeer::Source(source, self.sources.address(source, address));
        QueryTarget {
            tls: self.peer_tls(peer),
            open,
            source,
            address,
            node: self.sources.node(source, address),
        }
    }

    pub(super) fn send_query<R: RunsJobs>(
        &mut self,
        connector: &mut Connector<'_, R>,
        job: JobId,
        query: RelayQuery,
    ) {
        let source = query.target.source;
        let address = self.sources.address(source, query.target.address);
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
                    peer: PoolPeer::Source(source, address),
                    request,
                    is_shared: true,
                    is_repeated: false,
                },
            );
        }
        let fits_datagram = query.query.fits_datagram();
        let connection = JobConnection {
            tls: query.target.tls,
            peer: JobPeer::Relay(job, query.into()),
        };
        if !fits_datagram {
            return connector.dial(address, connection);
        }
        // An answer that does not fit into a datagram is requested again over TCP.
        connector.request(address, connection, |connection, out| {
            self.on_relay_input(connection, Input::Connected, out);
        });
    }

    /// The connection of a query over TCP is established.
    pub(super) fn on_query_connected(&mut self, connection: &JobConnection, conn: ConnId) {
        let JobPeer::Relay(_, query) = &connection.peer else {
            return;
        };
        let open = self.open_queries.get_mut(&query.target.open);
        if let Some(waiting) = open.and_then(|open| open.waiting_source(query.target.source)) {
            waiting.conn = Some(conn);
        }
    }

    /// Reads input from a relay, over TCP or UDP, and appends requests to `out`.
    pub fn on_relay_input(
        &mut self,
        connection: &mut JobConnection,
        input: Input<'_>,
        out: &mut Vec<u8>,
    ) -> ReadNext {
        let JobPeer::Relay(id, query) = &mut connection.peer else {
            return ReadNext::Close(CloseReason::Completed);
        };
        let (context, source) = (&mut self.context, query.target.source);
        let open = self.open_queries.get_mut(&query.target.open);
        let (Some(job), Some(open)) = (self.jobs.get_mut(id), open) else {
            return ReadNext::Close(CloseReason::Completed);
        };
        let Some(waiting) = open.waiting_source(source) else {
            return ReadNext::Close(CloseReason::Completed);
        };
        waiting.has_started |= input != Input::Connected;
        let on_file =
            |file: &FileItem<'_>| open.on_file(source, file, |file| job.on_file(context, file));
        query.on_input(input, on_file, out)
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
        let target = query.target;
        if query.needs_tls() && self.switches_to_tls(target.node, target.tls) {
            let target = self.target(target.open, target.source, target.address);
            let query = query.retry(target, &self.context.limits);
            return self.send_query(connector, id, query);
        }
        if !self.jobs.contains_key(&id) {
            return;
        }
        let Some(open) = self.open_queries.get_mut(&target.open) else {
            return;
        };
        // The job has its answer without this source.
        let Some(waiting) = open.waiting_source(target.source) else {
            return;
        };
        waiting.conn = None;
        if matches!(reason, CloseReason::Aborted) {
            return self.interrupt(connector, id);
        }
        let addresses = self.sources.address_count(target.source);
        if query.may_be_retried(addresses) {
            let next = (target.address + 1) % addresses;
            let target = self.target(target.open, target.source, next);
            let query = query.retry(target, &self.context.limits);
            return self.send_query(connector, id, query);
        }
        match query.finish(reason) {
            Ok(answer) => self.on_source_answer(&target, answer, connector.now),
            Err(failure) => {
                open.remove(target.source);
                let (is_failed, are_several) = (open.is_failed(), open.has_several_sources());
                if are_several {
                    self.on_source_failure(&target, &failure, reason, connector.now);
                }
                if is_failed
                    && let Some(open) = self.open_queries.remove(&target.open)
                    && let Some(job) = self.jobs.get_mut(&id)
                {
                    let answer = Err(failure);
                    let step = job.on_answer(&mut self.context, &open.query, answer, connector.now);
                    return self.execute(connector, id, step, current);
                }
            }
        }
        self.finish_if_complete(connector, target.open, current);
    }

    /// One of several sources fails.
    fn on_source_failure(
        &mut self,
        target: &QueryTarget,
        failure: &Failure<'_>,
        reason: &CloseReason,
        now: Instant,
    ) {
        let node_tls = &mut self.context.node_tls;
        let is_untrusted = |node| node_tls.on_close(node, reason, now);
        let is_untrusted = target.node.is_some_and(is_untrusted);
        if is_untrusted {
            self.sources.on_untrusted(target.source, now);
        }
        if self.sources.on_failure(target.source) {
            let source = self.sources.get(target.source);
            self.context.user.on_event(match is_untrusted {
                true => UserEvent::UntrustedNode { source, failure },
                false => UserEvent::SourceFailed { source, failure },
            });
        }
    }

    /// A source has answered an open query.
    fn on_source_answer(&mut self, target: &QueryTarget, mut answer: RelayAnswer, now: Instant) {
        self.sources.on_answer(target.source, target.address);
        if !self.sources.is_on_loopback(target.source, target.address) {
            answer.remove_loopback();
        }
        let Some(open) = self.open_queries.get_mut(&target.open) else {
            return;
        };
        let items = open.on_answer(target.source, answer, now);
        if open.has_several_sources() {
            let source = self.sources.get(target.source);
            self.context.user.on_event(UserEvent::SourceAnswered {
                source,
                count: items.count,
                items: &items.first,
            });
        }
    }

    /// When [`JobRunner::leave_late_sources`] has something to do.
    pub(super) fn next_query_deadline(&self) -> Option<Instant> {
        let delay = self.context.limits.relay_delay;
        let open = self.open_queries.values();
        open.filter_map(|open| open.next_deadline(delay)).min()
    }

    /// Does not wait any longer for sources that are silent while others have answered.
    pub(super) fn leave_late_sources<R: RunsJobs>(&mut self, connector: &mut Connector<'_, R>) {
        let (delay, now) = (self.context.limits.relay_delay, connector.now);
        let late = |(id, open): (&QueryId, &OpenQuery)| {
            let late = open.late_sources(delay, now).into_iter();
            late.map(|source| (*id, source)).collect::<Vec<_>>()
        };
        let late: Vec<_> = self.open_queries.iter().flat_map(late).collect();
        for (id, source) in late {
            if let Some(open) = self.open_queries.get_mut(&id) {
                if let Some(waiting) = open.waiting_source(source) {
                    if !waiting.has_started {
                        self.sources.pass_over(source, now);
                    }
                    if let Some(conn) = waiting.conn {
                        connector.out.close(conn, CloseReason::Completed);
                    }
                }
                open.remove(source);
            }
            if self.sources.on_failure(source) {
                let (source, failure) = (self.sources.get(source), &Failure::OutpacedByOthers);
                let event = UserEvent::SourceFailed { source, failure };
                self.context.user.on_event(event);
            }
            self.cancel_shared(connector, id, Some(source), None);
            self.finish_if_complete(connector, id, None);
        }
    }

    /// Answers a query whose answer is complete.
    fn finish_if_complete<R: RunsJobs>(
        &mut self,
        connector: &mut Connector<'_, R>,
        id: QueryId,
        current: Option<PoolId>,
    ) {
        let open = self.open_queries.get(&id);
        if !open.is_some_and(OpenQuery::is_complete) {
            return;
        }
        let Some(mut open) = self.open_queries.remove(&id) else {
            return;
        };
        for conn in open.waiting.iter().filter_map(|waiting| waiting.conn) {
            connector.out.close(conn, CloseReason::Completed);
        }
        self.cancel_shared(connector, id, None, current);
        let Some(job) = self.jobs.get_mut(&open.job) else {
            return;
        };
        open.end_files(|file| job.on_file(&mut self.context, file));
        let relay = open.relay_of_receiver();
        if let (Query::Message(..), Some(relay)) = (&open.query, relay) {
            return self.open_query(connector, open.job, open.query, &[relay]);
        }
        let (id, query, answer) = open.into_answer();
        if let Some(answer) = relay.map(RelayAnswer::Relay).or(answer) {
            let step = job.on_answer(&mut self.context, &query, Ok(answer), connector.now);
            self.execute(connector, id, step, current);
        }
    }

    /// Nobody waits for the response to a query on shared connections, of one source or of all.
    fn cancel_shared<R: RunsJobs>(
        &mut self,
        connector: &mut Connector<'_, R>,
        open: QueryId,
        source: Option<usize>,
        current: Option<PoolId>,
    ) {
        let is_unwanted = |_: &RequestId, query: &mut RelayQuery| {
            let target = &query.target;
            target.open == open && source.is_none_or(|source| source == target.source)
        };
        let cancelled = self.queries.extract_if(.., is_unwanted);
        let cancelled: Vec<RequestId> = cancelled.map(|(request, _)| request).collect();
        if !cancelled.is_empty() {
            let is_cancelled = |request| cancelled.contains(&request);
            self.context
                .pool
                .cancel(is_cancelled, current, connector.out);
        }
    }
}
