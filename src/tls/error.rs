//! Why TLS fails, as a text for people.

use std::fmt;

use rustls::CertificateError;

/// An error of TLS.
#[derive(Debug)]
pub enum TlsError {
    /// An error of the library.
    Library(rustls::Error),
    /// The other side answers that it speaks no TLS.
    NoTls,
    /// The other side answers in another protocol.
    OtherProtocol,
}

/// The other side has a key that it must not have. The text says which one it must have.
#[derive(Debug)]
pub(super) struct UnexpectedKey(pub(super) String);

impl std::error::Error for TlsError {}
impl std::error::Error for UnexpectedKey {}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Library(rustls::Error::InvalidCertificate(CertificateError::Other(error))) => {
                error.0.fmt(f)
            }
            Self::Library(rustls::Error::InvalidMessage(_)) | Self::NoTls | Self::OtherProtocol => {
                f.write_str("the other side does not speak TLS")
            }
            Self::Library(error) => error.fmt(f),
        }
    }
}

impl fmt::Display for UnexpectedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
