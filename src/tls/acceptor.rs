//! The server side of TLS.

use std::fmt;
use std::io;
use std::sync::Arc;

use rustls::crypto::ring::{self, Ticketer};
use rustls::server::{NoServerSessionStorage, ResolvesServerCert};
use rustls::{ServerConfig, ServerConnection, version};

use crate::tls::TlsClock;
use crate::tls::any_client::AnyClient;
use crate::wall_clock;

/// Starts TLS on accepted connections.
#[derive(Clone)]
pub struct TlsAcceptor {
    config: Arc<ServerConfig>,
    is_required: bool,
}

impl TlsAcceptor {
    /// Shows the certificates that `certificates` chooses, and lets clients show theirs.
    /// `is_required` says whether the
    /// server refuses connections without TLS.
    ///
    /// # Errors
    /// The system provides no random bytes.
    pub fn new(certificates: Arc<dyn ResolvesServerCert>, is_required: bool) -> io::Result<Self> {
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_details(provider, Arc::new(TlsClock))
            .with_protocol_versions(&[&version::TLS13])
            .map_err(io::Error::other)?;
        let mut config = builder
            .with_client_cert_verifier(Arc::new(AnyClient::new()))
            .with_cert_resolver(certificates);
        // Tickets are enough to resume a session: the server stores none.
        // Those of rustls panic before 1970: then each session begins with a full handshake.
        if wall_clock::is_after_1970() {
            config.ticketer = Ticketer::new().map_err(io::Error::other)?;
        }
        config.session_storage = Arc::new(NoServerSessionStorage {});
        Ok(Self {
            config: Arc::new(config),
            is_required,
        })
    }

    /// Whether connections without TLS are refused.
    #[must_use]
    pub fn is_required(&self) -> bool {
        self.is_required
    }

    /// The session of a new connection.
    ///
    /// # Errors
    /// The system provides no random bytes.
    pub fn accept(&self) -> io::Result<ServerConnection> {
        ServerConnection::new(Arc::clone(&self.config)).map_err(io::Error::other)
    }
}

impl fmt::Debug for TlsAcceptor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsAcceptor").finish_non_exhaustive()
    }
}
