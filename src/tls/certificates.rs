//! The certificate that a program shows now.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::SignatureScheme;
use rustls::client::ResolvesClientCert;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use crate::tls::identity::Identity;
use crate::tls::key_id::KeyId;

/// The identity of a program, which can be replaced while the program runs.
pub struct Certificates(RwLock<Identity>);

impl Certificates {
    /// Shows this identity.
    #[must_use]
    pub fn new(identity: Identity) -> Arc<Self> {
        Arc::new(Self(RwLock::new(identity)))
    }

    /// Shows another identity from the next connection on.
    pub fn replace(&self, identity: Identity) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = identity;
    }

    /// The id of the key.
    #[must_use]
    pub fn id(&self) -> KeyId {
        self.0.read().unwrap_or_else(PoisonError::into_inner).id()
    }

    fn current(&self) -> Arc<CertifiedKey> {
        let identity = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&identity.key)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

impl ResolvesClientCert for Certificates {
    fn resolve(&self, _issuers: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }

    fn has_certs(&self) -> bool {
        true
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").finish_non_exhaustive()
    }
}
