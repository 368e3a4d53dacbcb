//! The connections to nodes, which all jobs of a user share.
//!
//! Requests of several jobs are pipelined on one connection. A connection that has
//! answered everything is kept for a moment: the next file may come from the same node.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::close_reason::CloseReason;
use crate::jobs::ids::RequestId;
use crate::protocol::{NodeAddress, Request};
use crate::role::{ConnId, Output, PeerTls, ReadNext, Role};
use crate::session::requests::RequestQueue;

/// How long a connection is kept without a request.
const KEEP_TIME: Duration = Duration::from_secs(2);

/// The other side of a shared connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum PoolPeer {
    /// A node, which sends content.
    Node(NodeAddress),
    /// The source of this index, at one of its addresses.
    Source(usize, SocketAddr),
}

impl PoolPeer {
    pub(super) fn address(self) -> SocketAddr {
        match self {
            Self::Node(node) => node.into(),
            Self::Source(_, address) => address,
        }
    }
}

/// A request on a shared connection.
pub(super) struct PooledRequest {
    pub(super) id: RequestId,
    pub(super) peer: PoolPeer,
    pub(super) request: Request<'static>,
    /// Whether other requests may be sent on the same connection. A response of unknown
    /// length would hold them up.
    pub(super) is_shared: bool,
    /// Whether it is not sent again if the connection ends without a response to it. It
    /// was sent again already, or the response does not matter much.
    pub(super) is_repeated: bool,
}

impl PooledRequest {
    /// The request, to be sent again.
    pub(super) fn repeated(self) -> Self {
        Self {
            is_repeated: true,
            ..self
        }
    }
}

/// The number of a connection of the pool.
pub(super) type PoolId = u64;

/// The connections to nodes.
pub(super) struct NodePool {
    connections: BTreeMap<PoolId, PooledConnection>,
    /// The number of connections so far.
    opened: u64,
    /// The most shared connections to one node.
    max_per_node: usize,
    /// The most items of a list from the relay.
    max_items: u64,
    /// How long a connection is kept without a request.
    keep_time: Duration,
}

/// A shared connection.
pub(super) struct PooledConnection {
    pub(super) peer: PoolPeer,
    pub(super) tls: PeerTls,
    /// Known once the connection is established.
    pub(super) conn: Option<ConnId>,
    pub(super) requests: RequestQueue<PooledRequest>,
    /// Requests that are sent once the connection is established.
    unsent: Vec<u8>,
    /// Outstanding requests whose responses nobody waits for.
    cancelled: BTreeSet<RequestId>,
    is_shared: bool,
    /// Whether a response was complete.
    has_answered: bool,
    /// Whether the response to the oldest request has begun.
    pub(super) has_started: bool,
    /// When a part of a response has arrived last.
    pub(super) last_input: Option<Instant>,
    /// Since when it has no request.
    idle_since: Option<Instant>,
}

impl NodePool {
    /// A pool without connections.
    pub(super) fn new(max_per_node: usize, max_items: u64) -> Self {
        Self {
            connections: BTreeMap::new(),
            opened: 0,
            max_per_node,
            max_items,
            keep_time: KEEP_TIME,
        }
    }

    /// Sends a request on the shared connection with the fewest requests, of those with this
    /// `tls`. Returns the number of a new connection, which the caller must open.
    pub(super) fn send<R: Role>(
        &mut self,
        request: PooledRequest,
        tls: PeerTls,
        out: &mut Output<R>,
    ) -> Option<PoolId> {
        let peer = request.peer;
        let usable = self.connections.iter_mut();
        let usable = usable.filter(|(_, other)| (other.peer, other.tls) == (peer, tls));
        let usable = usable.filter(|(_, connection)| {
            connection.is_shared && (request.is_shared || connection.requests.is_empty())
        });
        let (mut count, mut best) = (0, None::<&mut PooledConnection>);
        for (_, connection) in usable {
            count += 1;
            if best
                .as_ref()
                .is_none_or(|best| connection.requests.len() < best.requests.len())
            {
                best = Some(connection);
            }
        }
        match best {
            Some(best) if best.requests.is_empty() || count >= self.max_per_node => {
                best.is_shared = request.is_shared;
                best.send(request, out);
                None
            }
            _ => {
                self.opened += 1;
                let peer = (peer, tls);
                let mut connection = PooledConnection::new(peer, request.is_shared, self.max_items);
                connection.send(request, out);
                self.connections.insert(self.opened, connection);
                Some(self.opened)
            }
        }
    }

    /// The number of requests that a node has not answered.
    pub(super) fn load(&self, node: NodeAddress) -> usize {
        let connections = self.connections.values();
        let of_node = connections.filter(|connection| connection.peer == PoolPeer::Node(node));
        of_node.map(|connection| connection.requests.len()).sum()
    }

    /// The number of requests that nodes have not answered.
    pub(super) fn requests(&self) -> usize {
        let connections = self.connections.values();
        connections
            .map(|connection| connection.requests.len())
            .sum()
    }

    /// When a node has sent a part of a response last, on the connections that are open.
    pub(super) fn last_input(&self, node: NodeAddress) -> Option<Instant> {
        let connections = self.connections.values();
        let of_node = connections.filter(|connection| connection.peer == PoolPeer::Node(node));
        of_node.filter_map(|connection| connection.last_input).max()
    }

    pub(super) fn get_mut(&mut self, id: PoolId) -> Option<&mut PooledConnection> {
        self.connections.get_mut(&id)
    }

    /// A connection has ended.
    pub(super) fn remove(&mut self, id: PoolId) -> Option<PooledConnection> {
        self.connections.remove(&id)
    }

    /// Nobody waits for these responses any more. Closes connections on which no other
    /// response is awaited, except `current`: its input is being handled.
    pub(super) fn cancel<R: Role>(
        &mut self,
        is_cancelled: impl Fn(RequestId) -> bool,
        current: Option<PoolId>,
        out: &mut Output<R>,
    ) {
        let ended = self.connections.extract_if(.., |id, connection| {
            let ids = connection.requests.tags().map(|request| request.id);
            connection
                .cancelled
                .extend(ids.filter(|id| is_cancelled(*id)));
            connection.is_unwanted() && connection.conn.is_some() && Some(*id) != current
        });
        for conn in ended.filter_map(|(_, connection)| connection.conn) {
            out.close(conn, CloseReason::Completed);
        }
    }

    /// Closes each connection as soon as it has no request.
    pub(super) fn stop_keeping<R: Role>(&mut self, out: &mut Output<R>) {
        self.keep_time = Duration::ZERO;
        let idle = self
            .connections
            .extract_if(.., |_, connection| connection.idle_since.is_some());
        for conn in idle.filter_map(|(_, connection)| connection.conn) {
            out.close(conn, CloseReason::Completed);
        }
    }

    /// When to call [`NodePool::close_idle`].
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let idle = self.connections.values().filter_map(|c| c.idle_since);
        idle.min().map(|since| since + self.keep_time)
    }

    /// Closes the connections that had no request for a while.
    pub(super) fn close_idle<R: Role>(&mut self, now: Instant, out: &mut Output<R>) {
        let keep_time = self.keep_time;
        let is_over = |since: Instant| since + keep_time <= now;
        let idle = self.connections.extract_if(.., |_, connection| {
            connection.idle_since.is_some_and(is_over)
        });
        for conn in idle.filter_map(|(_, connection)| connection.conn) {
            out.close(conn, CloseReason::Completed);
        }
    }
}

impl PooledConnection {
    fn new((peer, tls): (PoolPeer, PeerTls), is_shared: bool, max_items: u64) -> Self {
        Self {
            peer,
            tls,
            conn: None,
            requests: RequestQueue::new(max_items),
            unsent: Vec::new(),
            cancelled: BTreeSet::new(),
            is_shared,
            has_answered: false,
            has_started: false,
            last_input: None,
            idle_since: None,
        }
    }

    fn send<R: Role>(&mut self, request: PooledRequest, out: &mut Output<R>) {
        self.idle_since = None;
        let text = match self.conn {
            Some(conn) => out.append_reply(conn),
            None => &mut self.unsent,
        };
        // The queue keeps the request itself, to repeat it.
        self.requests
            .send_tag(request, |request| &request.request, text);
    }

    /// The connection is established.
    pub(super) fn on_connected<R: Role>(&mut self, conn: ConnId, out: &mut Output<R>) -> ReadNext {
        self.conn = Some(conn);
        if self.is_unwanted() {
            return self.close(CloseReason::Completed);
        }
        out.append_reply(conn).append(&mut self.unsent);
        ReadNext::Line
    }

    /// The request whose response is being read, if somebody waits for it.
    pub(super) fn current(&self) -> Option<RequestId> {
        let id = self.requests.tags().next()?.id;
        (!self.cancelled.contains(&id)).then_some(id)
    }

    /// The response to this request is complete.
    pub(super) fn on_complete(&mut self, id: RequestId, now: Instant) {
        (self.has_started, self.has_answered) = (false, true);
        self.cancelled.remove(&id);
        self.idle_since = self.requests.is_empty().then_some(now);
    }

    /// What to read next.
    pub(super) fn read_next(&mut self) -> ReadNext {
        match self.is_unwanted() || (self.requests.is_empty() && !self.is_shared) {
            true => self.close(CloseReason::Completed),
            false => self.requests.read_next(),
        }
    }

    /// Ends the connection: no more requests are sent on it.
    pub(super) fn close(&mut self, reason: CloseReason) -> ReadNext {
        (self.is_shared, self.idle_since) = (false, None);
        ReadNext::Close(reason)
    }

    /// The requests whose responses are still awaited, after the connection has ended:
    /// the request and whether it may be repeated. A node that closes a connection between
    /// two responses has not refused the second request, nor has one whose connection
    /// `was_closed_by_us`.
    pub(super) fn into_requests(mut self, was_closed_by_us: bool) -> Vec<(PooledRequest, bool)> {
        let mut has_started = self.has_started;
        let requests = self.requests.take_tags();
        let requests = requests.map(|request| {
            let was_started = std::mem::replace(&mut has_started, false);
            let may_repeat = was_closed_by_us || (self.has_answered && !request.is_repeated);
            (request, may_repeat && !was_started)
        });
        requests
            .filter(|(request, _)| !self.cancelled.contains(&request.id))
            .collect()
    }

    /// Whether there are requests, and nobody waits for their responses.
    fn is_unwanted(&self) -> bool {
        !self.requests.is_empty() && self.cancelled.len() == self.requests.len()
    }
}
