//! Digests of the content of files by algorithms that other programs check.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD as STANDARD;
use nom::combinator::{map_res, verify};
use nom::sequence::preceded;
use nom::{IResult, Parser};
use sha2::{Digest, Sha256};

use crate::protocol::fields::{ParseError, field};
use crate::protocol::hash::{ContentHash, parse_hex};

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

    /// The 64 hexadecimal digits.
    #[must_use]
    pub fn hex(&self) -> String {
        ContentHash(self.0).to_string()
    }

    /// In base64, as in headers of HTTP.
    #[must_use]
    pub fn base64(&self) -> String {
        STANDARD.encode(self.0)
    }

    /// Parses the algorithm and the digits. Ignores fields after them.
    ///
    /// # Errors
    /// The fields do not have this form.
    pub fn parse(fields: &str) -> Result<Self, ParseError> {
        Ok(sha256(fields)?.1)
    }
}

/// The next two fields as a SHA-256 digest.
pub(super) fn sha256(input: &str) -> IResult<&str, Sha256Digest> {
    let algorithm = verify(field, |word: &str| word == "sha-256");
    preceded(algorithm, map_res(field, parse_hex))
        .map(Sha256Digest)
        .parse(input)
}

impl fmt::Display for Sha256Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha-256 {}", ContentHash(self.0))
    }
}
