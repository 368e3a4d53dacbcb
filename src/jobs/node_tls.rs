//! Which connections to nodes are encrypted, and which keys the nodes must have.

use std::collections::BTreeSet;

use crate::protocol::NodeAddress;
use crate::role::PeerTls;
use crate::tls::{KeyId, TlsMode};

/// What is known of the nodes.
#[derive(Default, Debug)]
pub struct NodeTls {
    mode: TlsMode,
    /// The key that the user has pinned for the node that is asked instead of a relay.
    pinned: Option<KeyId>,
    /// Nodes without an id that have refused plain text.
    tls_only: BTreeSet<NodeAddress>,
}

impl NodeTls {
    /// The choice of the user. Every node must have the `pinned` key, if there is one.
    #[must_use]
    pub fn new(mode: TlsMode, pinned: Option<KeyId>) -> Self {
        Self {
            mode,
            pinned,
            ..Self::default()
        }
    }

    /// How to connect to a node.
    pub(super) fn of(&self, node: NodeAddress) -> PeerTls {
        match (self.mode, self.pinned) {
            (TlsMode::Off, _) => PeerTls::Plain,
            (_, Some(id)) => PeerTls::Key(id),
            (TlsMode::Required, None) => PeerTls::AnyKey,
            (TlsMode::Auto, None) if self.tls_only.contains(&node) => PeerTls::AnyKey,
            (TlsMode::Auto, None) => PeerTls::Plain,
        }
    }

    /// A node has refused plain text. Returns whether to connect to it anew, over TLS.
    pub(super) fn on_refusal(&mut self, node: NodeAddress) -> bool {
        self.mode == TlsMode::Auto && self.tls_only.insert(node)
    }
}
