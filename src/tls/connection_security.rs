//! What a role knows about an encrypted connection.

use std::fmt;

use rustls::server::ParsedCertificate;
use rustls::{Connection, Error};

use crate::tls::key_id::KeyId;

/// The label of [`ConnectionSecurity::exporter`].
const EXPORTER_LABEL: &[u8] = b"EXPORTER-Peerline-PROVE";

/// How a connection is secured whose handshake is complete.
#[derive(Clone, PartialEq, Eq)]
pub struct ConnectionSecurity {
    /// The key of the peer: it has shown a certificate and proven that the key is its own.
    pub peer: Option<KeyId>,
    /// Keying material of this connection (RFC 9266, RFC 8446 section 7.5) that both ends
    /// compute and nobody else can: what is made with it is worth nothing on another connection.
    pub exporter: [u8; 32],
}

impl ConnectionSecurity {
    /// # Errors
    /// The handshake is not complete.
    pub(crate) fn of(connection: &Connection) -> Result<Self, Error> {
        let certificates = connection.peer_certificates().unwrap_or_default();
        let peer = match certificates.first() {
            Some(certificate) => Some(KeyId::of_certificate(&ParsedCertificate::try_from(
                certificate,
            )?)),
            None => None,
        };
        let exporter = connection.export_keying_material([0; 32], EXPORTER_LABEL, None)?;
        Ok(Self { peer, exporter })
    }
}

/// Without the secret.
impl fmt::Debug for ConnectionSecurity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionSecurity")
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}
