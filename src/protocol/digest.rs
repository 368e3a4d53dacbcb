//! Digests of the content of files by algorithms that other programs check.

use std::fmt;

use sha2::{Digest, Sha256};

use crate::protocol::fields::{ParseError, field};
use crate::protocol::hash::ContentHash;

/// A SHA-256 digest. Prints as `sha-256` and 64 hexadecimal digits, which `sha256sum` prints
/// as well.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sha256Digest(pub [u8; 32]);

impl Sha256Digest {
    /// The digest of this content.
    #[must_use]
    pub fn of(content: &[u8]) -> Self {
        Self(Sha256::digest(content).into())
    }

    /// Parses the algorithm and the digits. Ignores fields after them.
    ///
    /// # Errors
    /// The fields do not have this form.
    pub fn parse(fields: &str) -> Result<Self, ParseError> {
        let (rest, algorithm) = field(fields)?;
        let (_, digits) = field(rest)?;
        if algorithm != "sha-256" {
            return Err(ParseError);
        }
        // Digits of the same form.
        let hash: ContentHash = digits.parse().map_err(|_| ParseError)?;
        Ok(Self(hash.0))
    }
}

impl fmt::Display for Sha256Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha-256 {}", ContentHash(self.0))
    }
}
