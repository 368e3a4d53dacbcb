//! Hashes of the content of files.

use std::fmt;
use std::str::FromStr;

/// The fewest digits that stand for a hash.
const MIN_PREFIX: usize = 8;

/// The value of each hexadecimal digit, and 255 for other bytes.
const DIGIT_VALUES: [u8; 256] = {
    let mut values = [u8::MAX; 256];
    let mut value = 0;
    while value < 16 {
        values[b"0123456789abcdef"[value] as usize] = value as u8;
        values[b"0123456789ABCDEF"[value] as usize] = value as u8;
        value += 1;
    }
    values
};

/// A BLAKE3 hash. Prints as `b3sum` does, as 64 hexadecimal digits. Not all of them are zeros:
/// no content has this hash, and the index of the relay stores it for a hash that is not known.
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
        let (bytes, all) = parse_digits(text)?;
        match all {
            0 => Err(HashError),
            _ => Ok(Self(bytes)),
        }
    }
}

/// Parses 64 hexadecimal digits, which may all be zeros.
pub(super) fn parse_hex(text: &str) -> Result<[u8; 32], HashError> {
    Ok(parse_digits(text)?.0)
}

/// Parses 64 hexadecimal digits. Also returns the bits that any of them has.
fn parse_digits(text: &str) -> Result<([u8; 32], u8), HashError> {
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else {
        return Err(HashError);
    };
    let pairs: &[[u8; 2]; 32] = pairs.try_into().map_err(|_| HashError)?;
    let values = pairs.map(|pair| pair.map(|digit| DIGIT_VALUES[usize::from(digit)]));
    // One test for all digits: a branch for each costs more than the rest of the line.
    let all = values.iter().flatten().fold(0, |all, value| all | value);
    match all < 16 {
        true => Ok((values.map(|[high, low]| high << 4 | low), all)),
        false => Err(HashError),
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
        let hash = ContentHash(parse_hex(&format!("{text:0<64}"))?);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_are_no_hash_but_may_begin_one() {
        let zeros = "0".repeat(64);
        assert_eq!(zeros.parse::<ContentHash>(), Err(HashError));
        assert_eq!(zeros.parse::<MaybeHash>(), Err(HashError));
        assert_eq!(parse_hex(&zeros), Ok([0; 32]));
        let hash: ContentHash = format!("{}1", &zeros[1..]).parse().expect("a hash");
        let prefix: HashPrefix = zeros[..8].parse().expect("digits");
        assert!(prefix.matches(hash));
    }

    #[test]
    fn a_hash_has_64_digits_of_either_case_and_nothing_else() {
        let digits = "0123456789abcdefABCDEF98765432100f1e2d3c4b5a69788796a5b4c3d2e1f0";
        let hash: ContentHash = digits.parse().expect("a hash");
        assert_eq!(hash.to_string(), digits.to_lowercase());
        for other in ["", &digits[1..], &digits[2..], &format!("{digits}00")] {
            assert_eq!(other.parse::<ContentHash>(), Err(HashError), "{other:?}");
        }
        // The neighbours of the digits, and a character of two bytes.
        for wrong in ["/", ":", "@", "G", "`", "g", " ", "\0", "\u{e9}"] {
            for at in [0, 31, 64 - wrong.len()] {
                let mut other = digits.to_owned();
                other.replace_range(at..at + wrong.len(), wrong);
                assert_eq!(other.parse::<ContentHash>(), Err(HashError), "{other:?}");
            }
        }
    }
}
