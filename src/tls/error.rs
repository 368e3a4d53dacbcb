//! Why TLS fails, as a text for people.

use std::fmt;

use rustls::CertificateError;

/// An error of TLS.
#[derive(Debug)]
pub struct TlsError(pub rustls::Error);

impl std::error::Error for TlsError {}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure) => {
                f.write_str(
                    "another key than --relay-id; the relay has a new key, \
                     or somebody answers in its place",
                )
            }
            rustls::Error::InvalidMessage(_) => f.write_str("the other side does not speak TLS"),
            error => error.fmt(f),
        }
    }
}
