//! An encrypted connection to the engine.

use std::io;
use std::net::TcpStream;
use std::sync::Arc;

use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, version};

use crate::tls::TlsClock;

/// Speaks TLS over `stream`. The certificate must be valid for `host`.
pub(super) fn encrypt(
    stream: TcpStream,
    host: &str,
    config: &Arc<ClientConfig>,
) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
    let session = ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
    Ok(StreamOwned::new(session, stream))
}

/// Trusts the engines for which one of these authorities vouches.
///
/// # Errors
/// The text contains no certificate that can be used.
pub fn trust_authorities(pem: &[u8]) -> Result<Arc<ClientConfig>, &'static str> {
    let mut authorities = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| "not a file of certificates in PEM")?;
        authorities
            .add(certificate)
            .map_err(|_| "a certificate cannot be used")?;
    }
    if authorities.is_empty() {
        return Err("no certificate in PEM");
    }
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_details(provider, Arc::new(TlsClock))
        .with_protocol_versions(&[&version::TLS13])
        .map_err(|_| "TLS 1.3 is not available")?;
    let config = builder
        .with_root_certificates(authorities)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
