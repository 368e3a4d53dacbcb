//! Hashes of the content of files.

use std::fmt;
use std::str::FromStr;

/// A BLAKE3 hash. Prints as `b3sum` does, as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentHash(pub [u8; 32]);

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_has_64_hexadecimal_digits_or_is_unknown() {
        let text = "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262";
        let hash: MaybeHash = text.parse().unwrap();
        assert_eq!(hash.to_string(), text);
        assert_eq!(text.to_uppercase().parse(), Ok(hash));
        assert_eq!("-".parse(), Ok(MaybeHash(None)));
        for wrong in [
            "",
            &text[1..],
            &text[..62],
            &format!("{text}00"),
            &text.replace('a', "g"),
        ] {
            assert!(wrong.parse::<MaybeHash>().is_err(), "{wrong}");
        }
    }
}
