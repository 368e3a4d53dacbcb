//! Who somebody is: the hash of a public key.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::server::ParsedCertificate;
use sha2::{Digest, Sha256};

/// SHA-256 of a public key in the form that certificates have (SubjectPublicKeyInfo). Prints
/// as the option `--pinnedpubkey` of curl takes it: `sha256//` and 44 characters of base64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct KeyId([u8; 32]);

impl KeyId {
    /// The id of a public key, in DER.
    #[must_use]
    pub fn of(public_key: &[u8]) -> Self {
        Self(Sha256::digest(public_key).into())
    }

    /// The id of the key in a certificate.
    pub(super) fn of_certificate(certificate: &ParsedCertificate<'_>) -> Self {
        Self::of(certificate.subject_public_key_info().as_ref())
    }
}

impl FromStr for KeyId {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let error = "write an id as servers print it: sha256// and 44 characters";
        let digits = text.strip_prefix("sha256//").ok_or(error)?;
        let bytes = STANDARD.decode(digits).map_err(|_| error)?;
        bytes.try_into().map(Self).map_err(|_| error)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256//{}", STANDARD.encode(self.0))
    }
}
