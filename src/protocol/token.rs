//! Cookies and tags of datagrams.

use std::fmt;
use std::str::FromStr;

use nom::combinator::map_res;
use nom::{IResult, Parser};

use crate::protocol::fields::{ParseError, field};

/// A token that a server sends to an address and expects back from it. Opaque to
/// clients.
pub type Cookie = Token<16>;

/// A token by which a client recognises the reply to a datagram.
pub type Tag = Token<8>;

/// One to `MAX` ASCII letters or digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token<const MAX: usize> {
    bytes: [u8; MAX],
    length: u8,
}

impl<const MAX: usize> Token<MAX> {
    /// The letters and digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // The parser accepts ASCII only.
        std::str::from_utf8(&self.bytes[..self.length.into()]).unwrap_or_default()
    }
}

impl<const MAX: usize> FromStr for Token<MAX> {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let is_short = (1..=MAX).contains(&text.len());
        if !is_short || !text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(ParseError);
        }
        let mut bytes = [0; MAX];
        bytes[..text.len()].copy_from_slice(text.as_bytes());
        Ok(Self {
            bytes,
            length: text.len() as u8,
        })
    }
}

impl From<u32> for Tag {
    /// Eight hex digits.
    fn from(number: u32) -> Self {
        let mut bytes = [0; 8];
        for (index, byte) in bytes.iter_mut().enumerate() {
            let digit = number >> (28 - 4 * index) & 0xf;
            *byte = b"0123456789abcdef"[digit as usize];
        }
        Self { bytes, length: 8 }
    }
}

impl<const MAX: usize> fmt::Display for Token<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<const MAX: usize> fmt::Debug for Token<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The next field as a cookie or a tag.
pub(super) fn token<const MAX: usize>(input: &str) -> IResult<&str, Token<MAX>> {
    map_res(field, str::parse).parse(input)
}
