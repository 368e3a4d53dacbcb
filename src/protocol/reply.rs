//! The first line of every answer.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use nom::{IResult, Parser};

use crate::protocol::address::{ClaimedIp, NodeAddress, claim};
use crate::protocol::blank::{field, number, trim};
use crate::protocol::datagram::{Cookie, Tag};

/// The classes of errors. The numbers are HTTP's (RFC 9110, section 15).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Code {
    /// 400: the line is not of the right form.
    Syntax,
    /// 403: you may not do this.
    NotAllowed,
    /// 404: there is no such node.
    NoSuchNode,
    /// 408: a line was begun and not ended in time. The connection closes.
    TooSlow,
    /// 409: it is another one now.
    Changed,
    /// 413: a limit of yours is reached.
    LimitReached,
    /// 429: too often; slow down.
    SlowDown,
    /// 431: the line is too long. The connection closes.
    LineTooLong,
    /// 500: our fault.
    Internal,
    /// 501: nobody here knows this verb.
    UnknownVerb,
    /// 503: full, come back later. The connection closes.
    Full,
    /// A code that this version does not know.
    Other(u16),
}

impl Code {
    /// The number on the wire.
    #[must_use]
    pub fn number(self) -> u16 {
        match self {
            Self::Syntax => 400,
            Self::NotAllowed => 403,
            Self::NoSuchNode => 404,
            Self::TooSlow => 408,
            Self::Changed => 409,
            Self::LimitReached => 413,
            Self::SlowDown => 429,
            Self::LineTooLong => 431,
            Self::Internal => 500,
            Self::UnknownVerb => 501,
            Self::Full => 503,
            Self::Other(number) => number,
        }
    }
}

impl From<u16> for Code {
    fn from(number: u16) -> Self {
        match number {
            400 => Self::Syntax,
            403 => Self::NotAllowed,
            404 => Self::NoSuchNode,
            408 => Self::TooSlow,
            409 => Self::Changed,
            413 => Self::LimitReached,
            429 => Self::SlowDown,
            431 => Self::LineTooLong,
            500 => Self::Internal,
            501 => Self::UnknownVerb,
            503 => Self::Full,
            other => Self::Other(other),
        }
    }
}

/// The head of an answer. What follows it, and how much, is in its counts.
///
/// It prints without the end of line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply<'a> {
    /// `OK`, and fields or a text
    Ok(Cow<'a, str>),
    /// `PONG`
    Pong,
    /// `NODES n`: n lines follow, each a [`NodeAddress`].
    Nodes(Count),
    /// `HOLDERS n`: n lines follow, each a [`super::HolderItem`].
    Holders(Count),
    /// `FOUND size`: so many bytes follow.
    Found(u64),
    /// `NOTFOUND`
    NotFound,
    /// `FILES n total`: n lines follow, each a [`super::FileItem`].
    Files {
        /// How many follow.
        shown: u64,
        /// How many there are.
        total: u64,
    },
    /// `STATS n`: n lines `name value` follow.
    Stats(u64),
    /// `HELP n`: n lines of text follow.
    Help(u64),
    /// `ERROR code text`
    Error(Code, Cow<'a, str>),
    /// `TAG tag`: the answers that follow in this datagram are for the requests
    /// that had this tag.
    Tag(Tag),
    /// `COOKIE c`: nothing was done; ask again with this cookie.
    Cookie(Cookie),
}

impl<'a> Reply<'a> {
    /// Reads one line without its end. Fields after those known are ignored:
    /// later versions may add some.
    ///
    /// # Errors
    /// The line is none of the answers above.
    pub fn parse(line: &'a [u8]) -> Result<Self, ReplyError> {
        let line = trim(std::str::from_utf8(line).map_err(|_| ReplyError)?);
        let (fields, word) = field(line).map_err(|_| ReplyError)?;
        let count = || number(fields).map(|(_, n)| n).map_err(|_| ReplyError);
        let list = || Count::parse(fields).map_err(|_| ReplyError);
        let mark = || field(fields).map(|(_, mark)| mark).map_err(|_| ReplyError);
        Ok(match word {
            "OK" => Self::Ok(trim(fields).into()),
            "PONG" => Self::Pong,
            "NODES" => Self::Nodes(list()?),
            "HOLDERS" => Self::Holders(list()?),
            "FOUND" => Self::Found(count()?),
            "NOTFOUND" => Self::NotFound,
            "FILES" => {
                let (_, (shown, total)) = (number, number).parse(fields).map_err(|_| ReplyError)?;
                Self::Files { shown, total }
            }
            "STATS" => Self::Stats(count()?),
            "HELP" => Self::Help(count()?),
            "ERROR" => {
                let (text, code) = code(fields).map_err(|_| ReplyError)?;
                Self::Error(code, trim(text).into())
            }
            "TAG" => Self::Tag(mark()?.parse().map_err(|_| ReplyError)?),
            "COOKIE" => Self::Cookie(mark()?.parse().map_err(|_| ReplyError)?),
            _ => return Err(ReplyError),
        })
    }
}

fn code(input: &str) -> IResult<&str, Code> {
    number
        .map_res(|n| u16::try_from(n).map(Code::from))
        .parse(input)
}

impl fmt::Display for Reply<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ok(text) if text.is_empty() => f.write_str("OK"),
            Self::Ok(text) => write!(f, "OK {text}"),
            Self::Pong => f.write_str("PONG"),
            Self::Nodes(count) => write!(f, "NODES {count}"),
            Self::Holders(count) => write!(f, "HOLDERS {count}"),
            Self::Found(size) => write!(f, "FOUND {size}"),
            Self::NotFound => f.write_str("NOTFOUND"),
            Self::Files { shown, total } => write!(f, "FILES {shown} {total}"),
            Self::Stats(count) => write!(f, "STATS {count}"),
            Self::Help(count) => write!(f, "HELP {count}"),
            Self::Error(code, text) => write!(f, "ERROR {} {text}", code.number()),
            Self::Tag(tag) => write!(f, "TAG {tag}"),
            Self::Cookie(cookie) => write!(f, "COOKIE {cookie}"),
        }
    }
}

/// How many lines a list has. A list that was cut to fit into a datagram tells
/// how many there are: `60 201`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Count {
    shown: u64,
    total: u64,
}

impl Count {
    /// All of them.
    #[must_use]
    pub fn all(count: u64) -> Self {
        Self {
            shown: count,
            total: count,
        }
    }

    /// Only the first `shown`.
    #[must_use]
    pub fn cut(shown: u64, total: u64) -> Self {
        let total = total.max(shown);
        Self { shown, total }
    }

    /// How many follow.
    #[must_use]
    pub fn shown(self) -> u64 {
        self.shown
    }

    /// How many there are, at least as many as follow.
    #[must_use]
    pub fn total(self) -> u64 {
        self.total
    }

    fn parse(fields: &str) -> Result<Self, nom::Err<nom::error::Error<&str>>> {
        let (rest, shown) = number(fields)?;
        // A later version may have put something else there.
        let total = number(rest).map_or(shown, |(_, total)| total);
        Ok(Self::cut(shown, total))
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { shown, total } = self;
        if shown == total {
            return write!(f, "{shown}");
        }
        write!(f, "{shown} {total}")
    }
}

/// The answer to `REGISTER`: `OK lease ip port files`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Registered {
    /// How long the entry lives unless it is renewed, in whole seconds.
    pub lease: Duration,
    /// The address as it is listed.
    pub address: NodeAddress,
    /// How many files the relay has for this node.
    pub files: u64,
    /// Identifies the relay's record of the node: a new record has another epoch.
    /// Relays of older versions send none.
    pub epoch: Option<u64>,
}

impl Registered {
    /// Reads the text after `OK`.
    ///
    /// # Errors
    /// It is something else.
    pub fn parse(text: &str) -> Result<Self, ReplyError> {
        let (rest, (lease, (ip, port), files)) = (number, claim, number)
            .parse(text)
            .map_err(|_| ReplyError)?;
        let epoch = number(rest).ok().map(|(_, epoch)| epoch);
        let ClaimedIp::Is(ip) = ip else {
            return Err(ReplyError);
        };
        Ok(Self {
            lease: Duration::from_secs(lease),
            address: NodeAddress::new(ip, port).map_err(|_| ReplyError)?,
            files,
            epoch,
        })
    }
}

/// The whole line, without its end.
impl fmt::Display for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.lease.as_secs();
        write!(f, "OK {seconds} {} {}", self.address, self.files)?;
        match self.epoch {
            Some(epoch) => write!(f, " {epoch}"),
            None => Ok(()),
        }
    }
}

/// The line is no answer of this protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReplyError;

impl fmt::Display for ReplyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the answer is none of this protocol")
    }
}

impl std::error::Error for ReplyError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_after_those_known_are_ignored() {
        let found = Reply::parse(b"FOUND 17 hash=abc").unwrap();
        assert_eq!(found, Reply::Found(17));
        let ok = Registered::parse("60 10.0.0.1 9000 3 7 new-field").unwrap();
        assert_eq!((ok.files, ok.epoch), (3, Some(7)));
        assert_eq!(ok.to_string(), "OK 60 10.0.0.1 9000 3 7");
    }

    #[test]
    fn a_size_is_a_plain_decimal_number_of_64_bits() {
        for line in [
            "FOUND",
            "FOUND -1",
            "FOUND +1",
            "FOUND 1e3",
            "FOUND 18446744073709551616",
        ] {
            assert_eq!(Reply::parse(line.as_bytes()), Err(ReplyError), "{line}");
        }
        let largest = Reply::parse(b"FOUND 18446744073709551615").unwrap();
        assert_eq!(largest, Reply::Found(u64::MAX));
    }
}
