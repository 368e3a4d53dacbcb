//! Datagrams: request lines behind a cookie, `COOKIE c.tag REQUEST`.
//!
//! Anybody can write any sender on a datagram. The cookie shows that who sent
//! this one also receives what is sent to that address; the tag tells which
//! request an answer is for, for datagrams come late, twice, or not at all.

use std::fmt;
use std::str::FromStr;

use crate::protocol::fields::is_blank;

/// The longest datagram that we send, in bytes: it passes every usual network whole.
pub const MAX_DATAGRAM: usize = 1200;

/// Without a valid cookie an answer is at most so many times as long as its
/// request, so that nobody can turn us against a third party.
pub const MAX_AMPLIFICATION: usize = 3;

/// What a server gives to an address, and wants to see again. Only the server
/// knows what it means.
pub type Cookie = Word<16>;

/// What a sender marks a datagram by.
pub type Tag = Word<8>;

/// Stands for a cookie that the sender does not have yet.
const NO_COOKIE: &str = "-";

/// The word that a datagram begins with.
const COOKIE: &str = "COOKIE";

/// One to `MAX` ASCII letters or digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Word<const MAX: usize> {
    bytes: [u8; MAX],
    length: u8,
}

impl<const MAX: usize> Word<MAX> {
    /// The letters and digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Only ASCII is ever let in.
        std::str::from_utf8(&self.bytes[..self.length.into()]).unwrap_or_default()
    }
}

impl<const MAX: usize> FromStr for Word<MAX> {
    type Err = WordError;

    fn from_str(text: &str) -> Result<Self, WordError> {
        let is_short = (1..=MAX).contains(&text.len());
        if !is_short || !text.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(WordError);
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
        for (place, byte) in bytes.iter_mut().enumerate() {
            let digit = number >> (28 - 4 * place) & 0xf;
            *byte = b"0123456789abcdef"[digit as usize];
        }
        Self { bytes, length: 8 }
    }
}

impl<const MAX: usize> fmt::Display for Word<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl<const MAX: usize> fmt::Debug for Word<MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The text is no such word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct WordError;

impl fmt::Display for WordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a cookie has 1 to 16 letters or digits, a tag 1 to 8")
    }
}

impl std::error::Error for WordError {}

/// What stands before the first request of a datagram: `COOKIE c.tag`.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct DatagramHeader {
    /// What the server gave us, if it did.
    pub cookie: Option<Cookie>,
    /// The answer is to bear this.
    pub tag: Option<Tag>,
}

impl FromStr for DatagramHeader {
    type Err = WordError;

    /// Reads what follows `COOKIE`.
    fn from_str(text: &str) -> Result<Self, WordError> {
        let (cookie, tag) = match text.split_once('.') {
            Some((cookie, tag)) => (cookie, Some(tag.parse()?)),
            None => (text, None),
        };
        let cookie = match cookie {
            NO_COOKIE => None,
            cookie => Some(cookie.parse()?),
        };
        Ok(Self { cookie, tag })
    }
}

/// As on the wire.
impl fmt::Display for DatagramHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cookie = self.cookie.as_ref().map_or(NO_COOKIE, Word::as_str);
        write!(f, "{COOKIE} {cookie}")?;
        match &self.tag {
            Some(tag) => write!(f, ".{tag}"),
            None => Ok(()),
        }
    }
}

/// A datagram of requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Requests<'a> {
    /// What it begins with; that of a datagram which begins with no stamp, or with a
    /// broken one, is empty.
    pub stamp: DatagramHeader,
    /// The lines; the end of the last one may be missing.
    pub lines: &'a [u8],
}

impl<'a> Requests<'a> {
    /// Reads a datagram, unless it is one of other people's: ours begin with a letter.
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        bytes.first().filter(|byte| byte.is_ascii_alphabetic())?;
        Some(Self::stamped(bytes).unwrap_or(Self {
            stamp: DatagramHeader::default(),
            lines: bytes,
        }))
    }

    fn stamped(bytes: &'a [u8]) -> Option<Self> {
        let (word, rest) = bytes.split_at_checked(COOKIE.len())?;
        if !word.eq_ignore_ascii_case(COOKIE.as_bytes()) {
            return None;
        }
        // Bytes, not text: what follows the stamp may be anything.
        let (blanks, rest) = span(rest, is_blank);
        let (stamp, rest) = span(rest, |c| !is_blank(c) && !matches!(c, '\r' | '\n'));
        let (_, lines) = span(rest, is_blank);
        let stamp = std::str::from_utf8(stamp).ok()?.parse().ok()?;
        (!blanks.is_empty()).then_some(Self { stamp, lines })
    }

    /// Its lines without their ends.
    pub fn lines(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let lines = self.lines.strip_suffix(b"\n").unwrap_or(self.lines);
        let lines = lines.split(|byte| *byte == b'\n');
        lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line))
    }

    /// Appends it to `datagram`.
    pub fn write(&self, datagram: &mut Vec<u8>) {
        datagram.extend_from_slice(self.stamp.to_string().as_bytes());
        datagram.push(b' ');
        datagram.extend_from_slice(self.lines);
    }
}

/// Splits off the bytes at the beginning for which this is true.
fn span(bytes: &[u8], is_in: impl Fn(char) -> bool) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|byte| !is_in(char::from(*byte)));
    bytes.split_at(end.unwrap_or(bytes.len()))
}
