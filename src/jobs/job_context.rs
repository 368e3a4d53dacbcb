//! What the jobs of one user share.

use std::collections::BTreeMap;

use crate::jobs::content::StoreError;
use crate::jobs::failure::Failure;
use crate::jobs::ids::{JobId, RequestId};
use crate::jobs::job_step::JobStep;
use crate::jobs::listed_nodes::ListedNodes;
use crate::jobs::node_pool::{NodePool, PoolPeer, PooledRequest};
use crate::jobs::node_tls::NodeTls;
use crate::jobs::relay_query::Query;
use crate::jobs::unreachable_nodes::UnreachableNodes;
use crate::jobs::user::User;
use crate::jobs::user_event::UserEvent;
use crate::limits::JobLimits;
use crate::protocol::{FileName, NodeAddress, NodeItem, Request};
use crate::role::PeerTls;

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
    /// All relays and nodes that are queried are on this machine.
    pub(super) is_on_loopback: bool,
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

    /// The content of a job cannot be stored. What is there of it stays.
    pub(super) fn end_not_stored(
        &mut self,
        job: JobId,
        name: &FileName<'_>,
        error: &StoreError,
    ) -> JobStep {
        self.user.on_event(UserEvent::StoreError { name, error });
        if let Some(part) = self.user.keep(job).stored() {
            self.user.on_event(UserEvent::part_stored(name, &part));
        }
        error.kind.task_result().into()
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

    /// How to connect to a node.
    pub(super) fn node_tls(&self, node: NodeAddress) -> PeerTls {
        let is_disputed = self.nodes.is_id_disputed(node);
        self.node_tls.of(node, self.nodes.id(node), is_disputed)
    }
}
