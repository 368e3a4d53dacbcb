//! What follows when a node refuses requests in plain text (`ERROR 426`): they are sent again
//! over TLS.

use crate::jobs::node_pool::PoolPeer;
use crate::jobs::peer_source::node_address;
use crate::jobs::runner::JobRunner;
use crate::jobs::user_event::UserEvent;
use crate::protocol::{ErrorCode, NodeAddress, Reply};
use crate::role::PeerTls;
use crate::session::requests::ResponsePart;

impl JobRunner {
    /// How to connect to a peer.
    pub(super) fn peer_tls(&self, peer: PoolPeer) -> PeerTls {
        match (self.node_of(peer), peer) {
            (Some(node), _) => self.context.node_tls(node),
            (None, PoolPeer::Source(source, _)) => PeerTls::Configured(source),
            (None, PoolPeer::Node(_)) => PeerTls::Plain,
        }
    }

    fn node_of(&self, peer: PoolPeer) -> Option<NodeAddress> {
        match peer {
            PoolPeer::Node(node) => Some(node),
            PoolPeer::Source(source, address) if self.sources.is_node(source) => {
                node_address(address)
            }
            PoolPeer::Source(..) => None,
        }
    }

    /// Whether this is the answer of a node that speaks TLS only, on a connection without, and
    /// TLS is spoken to the node from now on.
    pub(super) fn is_plain_refused(
        &mut self,
        peer: PoolPeer,
        tls: PeerTls,
        part: &ResponsePart<'_>,
    ) -> bool {
        let ResponsePart::Head(Reply::Error(ErrorCode::TLS_REQUIRED, _)) = part else {
            return false;
        };
        self.switches_to_tls(self.node_of(peer), tls)
    }

    /// Whether connections to the peer that are made now are encrypted, unlike this one.
    pub(super) fn is_outdated(&self, peer: PoolPeer, tls: PeerTls) -> bool {
        tls == PeerTls::Plain && self.peer_tls(peer) != tls
    }

    /// A server has answered that it speaks TLS only. Returns whether it is a node to which TLS
    /// is spoken from now on, and was not on this connection.
    pub(super) fn switches_to_tls(&mut self, node: Option<NodeAddress>, tls: PeerTls) -> bool {
        let Some(node) = node.filter(|_| tls == PeerTls::Plain) else {
            return false;
        };
        if self.context.node_tls.on_refusal(node) {
            let text = format!(
                "{} port {} requires TLS: continuing encrypted, but the identity of the node cannot be \
                 checked",
                node.ip(),
                node.port()
            );
            self.context.user.on_event(UserEvent::Note(&text));
        }
        self.context.node_tls(node) != tls
    }
}
