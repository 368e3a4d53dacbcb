//! Hashes of the content of files.

use std::fmt;
use std::str::FromStr;

/// The fewest digits that stand for a hash.
const MIN_PREFIX: usize = 8;

/// A BLAKE3 hash. Prints as `b3sum` does, as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentHash(pub [u8; 32]);

impl ContentHash {
    /// The hash of this content.
    #[must_use]
    pub fn of(content: &[u8]) -> Self {
        Self(blake3::hash(content).into())
    }
}

impl ContentHash {
    /// The first digits: enough for people.
    #[must_use]
    pub fn short(&self) -> String {
        let mut digits = self.to_string();
        digits.truncate(MIN_PREFIX);
        digits
    }
}

impl FromStr for ContentHash {
    type Err = HashError;

    fn from_str(text: &str) -> Result<Self, HashError> {
        let hash = blake3::Hash::from_hex(text).map_err(|_| HashError)?;
        Ok(Self(hash.into()))
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The first digits of a hash, at least eight, or all of them.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct HashPrefix {
    /// Zeros follow the digits.
    hash: ContentHash,
    digits: usize,
}

impl HashPrefix {
    /// So many digits prove a content: to find two contents that have them in common takes 2^64
    /// attempts. Fewer digits choose among contents.
    pub const PROOF_DIGITS: usize = 32;

    /// The number of digits, if they are too few to prove a content.
    #[must_use]
    pub fn few_digits(self) -> Option<usize> {
        Some(self.digits).filter(|digits| *digits < Self::PROOF_DIGITS)
    }

    /// Whether the hash begins with these digits.
    #[must_use]
    pub fn matches(&self, hash: ContentHash) -> bool {
        hash.to_string()[..self.digits] == self.hash.to_string()[..self.digits]
    }
}

impl From<ContentHash> for HashPrefix {
    fn from(hash: ContentHash) -> Self {
        Self { hash, digits: 64 }
    }
}

impl fmt::Display for HashPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hash.to_string()[..self.digits])
    }
}

impl FromStr for HashPrefix {
    type Err = HashError;

    fn from_str(text: &str) -> Result<Self, HashError> {
        let digits = text.len();
        if digits < MIN_PREFIX {
            return Err(HashError);
        }
        let hash = format!("{text:0<64}").parse()?;
        Ok(Self { hash, digits })
    }
}

/// A hash, or `-` if the hash is not known yet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MaybeHash(pub Option<ContentHash>);

impl FromStr for MaybeHash {
    type Err = HashError;

    fn from_str(text: &str) -> Result<Self, HashError> {
        match text {
            "-" => Ok(Self(None)),
            text => text.parse().map(|hash| Self(Some(hash))),
        }
    }
}

impl fmt::Display for MaybeHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(hash) => hash.fmt(f),
            None => f.write_str("-"),
        }
    }
}

/// The text is not a hash.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HashError;

impl fmt::Display for HashError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a hash is 64 hexadecimal digits, or - if it is not known")
    }
}

impl std::error::Error for HashError {}
