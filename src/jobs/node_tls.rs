//! Which connections to nodes are encrypted, and which keys the nodes must have.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Instant;

use crate::close_reason::CloseReason;
use crate::jobs::peer_source::PASSED_OVER_FOR;
use crate::protocol::{HolderItem, NodeAddress};
use crate::role::PeerTls;
use crate::tls::{IdList, KeyId, TlsError, TlsMode};

/// What is known of the nodes.
#[derive(Default, Debug)]
pub struct NodeTls {
    mode: TlsMode,
    /// The key that the user has pinned for the node that is asked instead of a relay.
    pinned: Option<KeyId>,
    /// The only keys that nodes may have, if there is a list. The loop checks them.
    allowed: Option<Arc<IdList>>,
    /// Nodes that have shown another key, and until when they are passed over.
    untrusted: HashMap<NodeAddress, Instant>,
    /// The ids that came with the holders of files since nodes were listed.
    ids: HashMap<NodeAddress, KeyId>,
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

    /// Passes over all nodes that have other keys.
    #[must_use]
    pub fn with_allowed(self, allowed: Option<Arc<IdList>>) -> Self {
        Self { allowed, ..self }
    }

    /// How to connect to a node, which was listed with an id or without. If the id
    /// `is_disputed`, the key cannot be checked.
    pub(super) fn of(
        &self,
        node: NodeAddress,
        listed: Option<KeyId>,
        is_disputed: bool,
    ) -> PeerTls {
        let id = self.ids.get(&node).copied().or(listed);
        let allowed = self.allowed.as_ref();
        let id = id.filter(|id| allowed.is_none_or(|allowed| allowed.contains(id)));
        match (self.mode, self.pinned.or(id)) {
            (TlsMode::Off, _) => PeerTls::Plain,
            (_, Some(id)) => PeerTls::Key(id),
            (TlsMode::Required, None) => PeerTls::AnyKey,
            (TlsMode::Auto, None) if is_disputed || self.tls_only.contains(&node) => {
                PeerTls::AnyKey
            }
            (TlsMode::Auto, None) => PeerTls::Plain,
        }
    }

    /// The relays have listed the nodes anew.
    pub(super) fn on_list(&mut self) {
        self.ids.clear();
    }

    /// The relays have named the holders of a file. What they say replaces what came with an
    /// earlier file, perhaps from another relay.
    pub(super) fn on_holders(&mut self, holders: &[HolderItem]) {
        for holder in holders {
            match holder.id {
                Some(id) => self.ids.insert(holder.node, id),
                None => self.ids.remove(&holder.node),
            };
        }
    }

    /// A connection to a node has ended. Returns whether the node has shown a key that is not
    /// listed, so that it is to be passed over.
    pub(super) fn on_close(
        &mut self,
        node: NodeAddress,
        reason: &CloseReason,
        now: Instant,
    ) -> bool {
        let CloseReason::TlsFailed(error) = reason else {
            return false;
        };
        let is_other_key = TlsError::of(error).is_some_and(TlsError::is_unexpected_key);
        let is_untrusted = self.allowed.is_some() && is_other_key;
        if is_untrusted {
            // Not for ever: somebody else may have answered in place of the node.
            self.untrusted.insert(node, now + PASSED_OVER_FOR);
        }
        is_untrusted
    }

    /// Whether a node is to be passed over.
    pub(super) fn is_untrusted(&self, node: NodeAddress, now: Instant) -> bool {
        self.untrusted.get(&node).is_some_and(|until| *until > now)
    }

    /// A node has refused plain text. Returns whether to connect to it anew, over TLS.
    pub(super) fn on_refusal(&mut self, node: NodeAddress) -> bool {
        self.mode == TlsMode::Auto && self.tls_only.insert(node)
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;
    use crate::tls::UnexpectedKey;

    #[test]
    fn the_last_answer_says_which_key_a_holder_has() {
        let node = NodeAddress::parse("127.0.0.1 9").expect("an address");
        let holder = |id| {
            let mut item = HolderItem::parse("127.0.0.1 9 1 -").expect("an item");
            item.id = id;
            item
        };
        let [first, other] = [KeyId::of(b"first"), KeyId::of(b"other")];
        let mut tls = NodeTls::default();
        tls.on_holders(&[holder(Some(first))]);
        assert_eq!(tls.of(node, None, false), PeerTls::Key(first));
        tls.on_holders(&[holder(Some(other))]);
        assert_eq!(tls.of(node, None, false), PeerTls::Key(other));
        tls.on_holders(&[holder(None)]);
        assert_eq!(tls.of(node, None, false), PeerTls::Plain);
        assert_eq!(tls.of(node, Some(first), false), PeerTls::Key(first));
        // Nobody who only listens learns anything.
        assert_eq!(tls.of(node, None, true), PeerTls::AnyKey);
    }

    #[test]
    fn the_word_of_a_relay_does_not_replace_a_listed_key() {
        let node = NodeAddress::parse("127.0.0.1 9").expect("an address");
        let [listed, other] = [KeyId::of(b"listed"), KeyId::of(b"other")];
        let list = IdList::parse(&listed.to_string()).expect("a list");
        let mut tls = NodeTls::new(TlsMode::Required, None).with_allowed(Some(Arc::new(list)));
        assert_eq!(tls.of(node, Some(listed), false), PeerTls::Key(listed));
        // The loop then accepts listed keys only.
        assert_eq!(tls.of(node, Some(other), false), PeerTls::AnyKey);
        let now = Instant::now();
        let other_key = TlsError::Library(UnexpectedKey("another key".to_owned()).into());
        let failed = CloseReason::TlsFailed(io::Error::other(other_key));
        assert!(tls.on_close(node, &failed, now) && tls.is_untrusted(node, now));
        assert!(!tls.is_untrusted(node, now + PASSED_OVER_FOR));
        assert!(!NodeTls::default().on_close(node, &failed, now));
    }

    #[test]
    fn a_connection_that_somebody_damages_makes_no_node_untrusted() {
        let node = NodeAddress::parse("127.0.0.1 9").expect("an address");
        let list = IdList::parse(&KeyId::of(b"listed").to_string()).expect("a list");
        let mut tls = NodeTls::new(TlsMode::Auto, None).with_allowed(Some(Arc::new(list)));
        let damaged = TlsError::Library(rustls::Error::DecryptError);
        for reason in [
            CloseReason::ConnectTimeout,
            CloseReason::TlsFailed(io::ErrorKind::InvalidData.into()),
            CloseReason::TlsFailed(io::Error::other(damaged)),
            CloseReason::TlsFailed(io::Error::other(TlsError::OtherProtocol)),
        ] {
            let now = Instant::now();
            assert!(!tls.on_close(node, &reason, now), "{reason}");
            assert!(!tls.is_untrusted(node, now));
        }
    }
}
