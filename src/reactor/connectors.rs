//! What starts TLS on outgoing connections. Connections to the same key share a connector, which
//! keeps the tickets to resume sessions.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;

use crate::role::PeerTls;
use crate::tls::{Certificates, IdList, KeyId, ServerTrust, TlsConnector};

/// The most keys of nodes whose connectors stay.
const MAX_KEYS: usize = 1000;

/// The connectors of a loop.
pub(super) struct Connectors {
    /// By the index of the relay; none for one that may be connected to in plain text.
    relays: Vec<Option<TlsConnector>>,
    /// What nodes are shown, if anything.
    certificates: Option<Arc<Certificates>>,
    /// The only keys that nodes may have, if there is a list.
    node_ids: Option<Arc<IdList>>,
    any_key: Option<TlsConnector>,
    keys: HashMap<KeyId, TlsConnector>,
}

impl Connectors {
    pub(super) fn new(
        relays: Vec<Option<TlsConnector>>,
        certificates: Option<Arc<Certificates>>,
        node_ids: Option<Arc<IdList>>,
    ) -> Self {
        Self {
            relays,
            certificates,
            node_ids,
            any_key: None,
            keys: HashMap::new(),
        }
    }

    /// Adds a relay behind the others.
    pub(super) fn add_relay(&mut self, connector: Option<TlsConnector>) {
        self.relays.push(connector);
    }

    /// The connector of connections that lead to this peer; none if they are not encrypted.
    ///
    /// # Errors
    /// No relay of this index is configured, or the cryptography of this build has no TLS 1.3.
    pub(super) fn get(&mut self, peer: PeerTls) -> io::Result<Option<&TlsConnector>> {
        let new = |trust| TlsConnector::new(trust, self.certificates.clone());
        let connector = match peer {
            PeerTls::Plain => return Ok(None),
            PeerTls::Configured(index) => {
                let relay = self.relays.get(index);
                let relay = relay.ok_or_else(|| io::Error::other("no relay of this number"))?;
                return Ok(relay.as_ref());
            }
            PeerTls::AnyKey => &mut self.any_key,
            PeerTls::Key(id) => {
                if !self.keys.contains_key(&id) {
                    if self.keys.len() >= MAX_KEYS {
                        self.keys.clear();
                    }
                    self.keys.insert(id, new(ServerTrust::Key(id))?);
                }
                return Ok(self.keys.get(&id));
            }
        };
        if connector.is_none() {
            let ids = self.node_ids.clone();
            *connector = Some(new(ids.map_or(ServerTrust::Any, ServerTrust::Listed))?);
        }
        Ok(connector.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_configured_relay_may_be_connected_to_in_plain_text() {
        let mut connectors = Connectors::new(vec![None], None, None);
        let mut is_plain = |peer| connectors.get(peer).is_ok_and(|tls| tls.is_none());
        assert!(is_plain(PeerTls::Configured(0)));
        assert!(!is_plain(PeerTls::Configured(1)));
    }
}
