//! The signature in a handshake, which shows that a certificate is the peer's own: the same on
//! both sides.

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, ring, verify_tls13_signature};
use rustls::pki_types::CertificateDer;
use rustls::{DigitallySignedStruct, Error, SignatureScheme};

/// Checks signatures of TLS 1.3, and accepts no others.
#[derive(Debug)]
pub(super) struct SignatureCheck(WebPkiSupportedAlgorithms);

impl SignatureCheck {
    pub(super) fn new() -> Self {
        Self(ring::default_provider().signature_verification_algorithms)
    }

    pub(super) fn tls12(&self) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 is not spoken".to_owned()))
    }

    pub(super) fn tls13(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.0)
    }

    pub(super) fn schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}
