//! Datagrams of requests: lines after a cookie, `COOKIE c.tag REQUEST`.
//!
//! The sender of a datagram can forge its source address. The cookie proves that
//! the sender receives datagrams at this address. The tag says which request a reply
//! belongs to, since datagrams may be delayed, duplicated or lost.

use std::fmt;
use std::str::FromStr;

use crate::protocol::fields::{ParseError, is_blank};
use crate::protocol::token::{Cookie, Tag, Token};
use crate::protocol::verb::Verb;

/// The longest datagram that the programs send, in bytes: common networks do not
/// fragment it.
pub const MAX_DATAGRAM: usize = 1200;

/// A reply to a request without a valid cookie has at most this many times the
/// length of the request: a forged source address must not amplify traffic.
pub const MAX_AMPLIFICATION: usize = 3;

/// Stands for the cookie of a sender that has none yet.
const NO_COOKIE: &str = "-";

/// The first word of a datagram with a cookie.
const COOKIE: &str = "COOKIE";

/// The text before the first request of a datagram: `COOKIE c.tag`.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct DatagramHeader {
    /// The cookie that the server sent, if it has sent one.
    pub cookie: Option<Cookie>,
    /// The tag that the reply is to repeat.
    pub tag: Option<Tag>,
}

impl DatagramHeader {
    /// The longest header with the blank after it, in bytes.
    pub const MAX_LEN: usize = COOKIE.len() + " . ".len() + 16 + 8;
}

impl FromStr for DatagramHeader {
    type Err = ParseError;

    /// Parses the text after `COOKIE`.
    fn from_str(text: &str) -> Result<Self, ParseError> {
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
        let cookie = self.cookie.as_ref().map_or(NO_COOKIE, Token::as_str);
        write!(f, "{COOKIE} {cookie}")?;
        match &self.tag {
            Some(tag) => write!(f, ".{tag}"),
            None => Ok(()),
        }
    }
}

/// A datagram of requests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RequestDatagram<'a> {
    /// Empty if the datagram has no header, or a malformed one.
    pub header: DatagramHeader,
    /// The lines; the last one may lack its end.
    pub lines: &'a [u8],
}

impl<'a> RequestDatagram<'a> {
    /// Parses a datagram. Returns `None` if the first line does not start with the verb of
    /// a request. Replies never do, so that two servers cannot answer each other for ever.
    #[must_use]
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let datagram = Self::with_header(bytes).unwrap_or(Self {
            header: DatagramHeader::default(),
            lines: bytes,
        });
        let (word, _) = span(datagram.lines, |c| c.is_ascii_alphabetic());
        let verb = std::str::from_utf8(word).ok().and_then(Verb::parse);
        verb.map(|_| datagram)
    }

    fn with_header(bytes: &'a [u8]) -> Option<Self> {
        let (word, rest) = bytes.split_at_checked(COOKIE.len())?;
        if !word.eq_ignore_ascii_case(COOKIE.as_bytes()) {
            return None;
        }
        // Bytes, not text: the lines need not be UTF-8.
        let (blanks, rest) = span(rest, is_blank);
        let (header, rest) = span(rest, |c| !is_blank(c) && !matches!(c, '\r' | '\n'));
        let (_, lines) = span(rest, is_blank);
        let header = std::str::from_utf8(header).ok()?.parse().ok()?;
        (!blanks.is_empty()).then_some(Self { header, lines })
    }

    /// The lines without their ends.
    pub fn lines(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let lines = self.lines.strip_suffix(b"\n").unwrap_or(self.lines);
        let lines = lines.split(|byte| *byte == b'\n');
        lines.map(|line| line.strip_suffix(b"\r").unwrap_or(line))
    }

    /// Appends the datagram to `buffer`.
    pub fn write(&self, buffer: &mut Vec<u8>) {
        buffer.extend_from_slice(self.header.to_string().as_bytes());
        buffer.push(b' ');
        buffer.extend_from_slice(self.lines);
    }
}

/// Splits `bytes` before the first byte for which `is_in` is false.
fn span(bytes: &[u8], is_in: impl Fn(char) -> bool) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|byte| !is_in(char::from(*byte)));
    bytes.split_at(end.unwrap_or(bytes.len()))
}
