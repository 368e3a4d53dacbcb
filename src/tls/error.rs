//! Why TLS fails, as a text for people.

use std::sync::Arc;
use std::{fmt, io};

use rustls::{CertificateError, OtherError};

/// An error of TLS.
#[derive(Debug)]
pub enum TlsError {
    /// An error of the library.
    Library(rustls::Error),
    /// The other side answers that it speaks no TLS.
    NoTls,
    /// The other side answers that it is full: it does not know yet who speaks TLS.
    ServerFull,
    /// The other side answers in another protocol.
    OtherProtocol,
    /// The other side speaks no TLS, although its key is known. The text says where from.
    KeyIsKnown(String),
}

/// The other side has a key that it must not have. The text says which one it must have.
#[derive(Debug)]
pub struct UnexpectedKey(pub String);

impl TlsError {
    /// The error of TLS that is the reason of `error`, if it is one.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }

    /// Whether the other side does not speak TLS.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        match self {
            Self::Library(rustls::Error::InvalidMessage(_)) | Self::NoTls | Self::OtherProtocol => {
                true
            }
            Self::Library(_) | Self::ServerFull | Self::KeyIsKnown(_) => false,
        }
    }

    /// Whether another connection fails likewise until somebody changes a key or a setting. All
    /// else may pass: a server that stops breaks off handshakes, and the network damages some.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        self.is_unexpected_key() || matches!(self, Self::NoTls | Self::KeyIsKnown(_))
    }

    /// Whether the other side has a key that it must not have. Nothing else shows whose key it
    /// is: anybody on the way can damage a handshake.
    #[must_use]
    pub fn is_unexpected_key(&self) -> bool {
        let Self::Library(rustls::Error::InvalidCertificate(CertificateError::Other(error))) = self
        else {
            return false;
        };
        error.0.is::<UnexpectedKey>()
    }
}

impl From<UnexpectedKey> for rustls::Error {
    fn from(error: UnexpectedKey) -> Self {
        CertificateError::Other(OtherError(Arc::new(error))).into()
    }
}

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
            Self::ServerFull => f.write_str("the server is full; try again later"),
            Self::KeyIsKnown(text) => f.write_str(text),
        }
    }
}

impl fmt::Display for UnexpectedKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_wrong_key_or_a_lack_of_tls_is_a_refusal() {
        let wrong_key = UnexpectedKey("another key".to_owned());
        for error in [
            TlsError::Library(wrong_key.into()),
            TlsError::NoTls,
            TlsError::KeyIsKnown("a relay".to_owned()),
        ] {
            assert!(error.is_refusal(), "{error}");
        }
        for error in [
            TlsError::Library(rustls::Error::DecryptError),
            TlsError::Library(rustls::Error::AlertReceived(
                rustls::AlertDescription::InternalError,
            )),
            TlsError::ServerFull,
            TlsError::OtherProtocol,
        ] {
            assert!(!error.is_refusal(), "{error}");
        }
    }
}
