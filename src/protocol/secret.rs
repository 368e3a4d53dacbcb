//! The secret of a group, and how its programs prove to each other that they know it.
//!
//! A proof is made for one side of one connection: on another connection, and from the other
//! side, it is worth nothing. It does not contain the secret, but a receiver can try guesses
//! against it, so a secret must not be guessable.

use std::fmt;
use std::str::FromStr;

use nom::combinator::map_res;
use nom::{IResult, Parser};

use crate::protocol::fields::{ParseError, field, is_blank};

/// What the key of the proofs is derived for; see [`blake3::derive_key`].
const KEY_CONTEXT: &str = "peerline 2026-11-26 secret of a group";

/// The secret that the members of a group share. Comparisons take constant time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SharedSecret {
    key: blake3::Hash,
}

impl SharedSecret {
    /// The least bytes of a secret: fewer could be guessed.
    pub const MIN_LENGTH: usize = 16;
    /// The most bytes of a secret: it must fit on a line, with its verb.
    pub const MAX_LENGTH: usize = 256;

    /// The secret that consists of this text.
    ///
    /// # Errors
    /// The rule that the text breaks.
    pub fn new(text: &str) -> Result<Self, SecretError> {
        if text.len() < Self::MIN_LENGTH {
            return Err(SecretError::TooShort);
        }
        if text.len() > Self::MAX_LENGTH {
            return Err(SecretError::TooLong);
        }
        if text.starts_with(is_blank)
            || text.ends_with(is_blank)
            || text.contains(|c: char| c.is_control() && c != '\t')
        {
            return Err(SecretError::NotTypable);
        }
        Ok(Self::of(text))
    }

    fn of(text: &str) -> Self {
        let key = blake3::derive_key(KEY_CONTEXT, text.as_bytes());
        Self { key: key.into() }
    }

    /// Whether this text is the secret. Takes the same time for all texts of a length.
    #[must_use]
    pub fn is(&self, text: &str) -> bool {
        Self::of(text) == *self
    }

    /// The proof of one side of a connection. Both sides of the connection, and nobody else,
    /// know the `exporter`: keying material of its TLS session.
    #[must_use]
    pub fn proof(&self, prover: Prover, exporter: &[u8; 32]) -> Proof {
        let mut hasher = blake3::Hasher::new_keyed(self.key.as_bytes());
        hasher.update(prover.label());
        hasher.update(exporter);
        Proof(hasher.finalize())
    }
}

/// Without the secret.
impl fmt::Debug for SharedSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedSecret").finish_non_exhaustive()
    }
}

/// The side of a connection that proves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Prover {
    /// The side that has connected.
    Client,
    /// The side that has accepted.
    Server,
}

impl Prover {
    fn label(self) -> &'static [u8] {
        match self {
            Self::Client => b"client",
            Self::Server => b"server",
        }
    }
}

/// A proof that one side of a connection knows the secret. Prints as 64 hexadecimal digits.
/// Comparisons take constant time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Proof(blake3::Hash);

impl Proof {
    /// Reads the text after `OK` in the reply to `PROVE`.
    ///
    /// # Errors
    /// The text does not begin with a proof.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        Ok(proof(text)?.1)
    }
}

impl FromStr for Proof {
    type Err = blake3::HexError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        blake3::Hash::from_hex(text).map(Self)
    }
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The next field as a proof.
pub(super) fn proof(input: &str) -> IResult<&str, Proof> {
    map_res(field, str::parse).parse(input)
}

/// Why a text is no secret. Prints as the second half of a sentence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SecretError {
    /// It has too few bytes.
    TooShort,
    /// It has too many bytes.
    TooLong,
    /// It cannot be typed as the last field of a line.
    NotTypable,
}

impl fmt::Display for SecretError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (min, max) = (SharedSecret::MIN_LENGTH, SharedSecret::MAX_LENGTH);
        match self {
            Self::TooShort => write!(
                f,
                "a secret has at least {min} bytes; make one by: openssl rand -base64 24"
            ),
            Self::TooLong => write!(f, "a secret has at most {max} bytes"),
            Self::NotTypable => f.write_str(
                "a secret is one line of text, and neither begins nor ends with a blank",
            ),
        }
    }
}

impl std::error::Error for SecretError {}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "correct horse battery";

    #[test]
    fn a_proof_is_bound_to_secret_side_and_connection() {
        let secret = SharedSecret::new(SECRET).expect("a secret");
        let proof = secret.proof(Prover::Client, &[7; 32]);
        assert_eq!(proof, secret.proof(Prover::Client, &[7; 32]));
        assert_ne!(proof, secret.proof(Prover::Server, &[7; 32]));
        assert_ne!(proof, secret.proof(Prover::Client, &[8; 32]));
        let other = SharedSecret::new("Correct horse battery").expect("a secret");
        assert_ne!(proof, other.proof(Prover::Client, &[7; 32]));
        assert_eq!(Proof::parse(&format!("{proof} later")), Ok(proof));
    }

    #[test]
    fn the_secret_is_compared_as_a_whole() {
        let secret = SharedSecret::new(SECRET).expect("a secret");
        assert!(secret.is(SECRET));
        for other in ["", "correct horse batter", "correct horse battery "] {
            assert!(!secret.is(other), "{other:?}");
        }
        assert!(!format!("{secret:?}").contains("horse"));
    }

    #[test]
    fn a_secret_can_be_typed_and_not_be_guessed() {
        let error = |text: &str| SharedSecret::new(text).err();
        assert_eq!(error("0123456789abcde"), Some(SecretError::TooShort));
        assert_eq!(error("0123456789abcdef"), None);
        assert_eq!(error(&"x".repeat(256)), None);
        assert_eq!(error(&"x".repeat(257)), Some(SecretError::TooLong));
        for text in [
            " 0123456789abcdef",
            "0123456789abcdef ",
            "01234567\n89abcdef",
            "0123456789abcdef\r",
        ] {
            assert_eq!(error(text), Some(SecretError::NotTypable), "{text:?}");
        }
    }
}
