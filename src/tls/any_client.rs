//! Certificates of clients. A client may show one: it is then known by its key.

use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};

use crate::tls::signature_check::SignatureCheck;

/// The most bytes of the certificates of a client. They are kept as long as the connection.
const MAX_CERTIFICATES: usize = 16 * 1024;

/// The name of the certificates that the programs make: `CN=peerline` in DER. Browsers offer
/// only certificates with an issuer that a server names, so they ask their users nothing.
const ISSUER: &[u8] = b"\x31\x11\x30\x0f\x06\x03\x55\x04\x03\x0c\x08peerline";

/// Accepts every certificate. Nobody has to vouch for the key, but the client must prove that
/// the key is its own.
#[derive(Debug)]
pub(super) struct AnyClient {
    issuers: [DistinguishedName; 1],
    signatures: SignatureCheck,
}

impl AnyClient {
    pub(super) fn new() -> Self {
        Self {
            issuers: [DistinguishedName::in_sequence(ISSUER)],
            signatures: SignatureCheck::new(),
        }
    }
}

impl ClientCertVerifier for AnyClient {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &self.issuers
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        ParsedCertificate::try_from(certificate)?;
        let bytes =
            intermediates.iter().map(|other| other.len()).sum::<usize>() + certificate.len();
        match bytes <= MAX_CERTIFICATES {
            true => Ok(ClientCertVerified::assertion()),
            false => Err(CertificateError::BadEncoding.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signatures.tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signatures.tls13(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.signatures.schemes()
    }
}
