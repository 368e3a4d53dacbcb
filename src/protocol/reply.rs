//! Replies: the first line of every answer to a request.

use std::borrow::Cow;
use std::fmt;
use std::io::Write;

use nom::Parser;

use crate::protocol::digest::Sha256Digest;
use crate::protocol::error_code::ErrorCode;
use crate::protocol::fields::{ParseError, field, hash, number, signed_number, trim};
use crate::protocol::file_parts::FileParts;
use crate::protocol::hash::{ContentHash, MaybeHash};
use crate::protocol::item::ItemKind;
use crate::protocol::reverse_text::append_number;
use crate::protocol::token::{Cookie, Tag, token};

/// The first line of an answer. Its counts say how many lines or bytes follow.
///
/// Prints the line without its end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply<'a> {
    /// `OK`, followed by fields or a text: see [`super::Registered`],
    /// [`super::Listening`] and [`super::Banner`].
    Ok(Cow<'a, str>),
    /// `PONG`
    Pong,
    /// `NODES n`: n lines follow, each a [`super::NodeItem`].
    Nodes(Count),
    /// `HOLDERS n`: n lines follow, each a [`super::HolderItem`].
    Holders(Count),
    /// `FOUND size`: as many bytes follow.
    Found(u64),
    /// `STAT size hash mtime mode`, and `parts` if the file is incomplete.
    Stat(FileStat),
    /// `DIGEST sha-256 hex`
    Digest(Sha256Digest),
    /// `NOTFOUND`
    NotFound,
    /// `FILES n total`: n lines follow, each a [`super::FileItem`].
    Files {
        /// Lines that follow.
        shown: u64,
        /// Lines of the whole list.
        total: u64,
    },
    /// `PIECES n piece-size hash`: n lines follow, each a [`super::PieceValue`].
    Pieces {
        /// Lines that follow.
        count: u64,
        /// The length of every piece but the last, in bytes.
        piece_size: u64,
        /// The hash of the content, to which the values fold.
        hash: ContentHash,
    },
    /// `STATS n`: n lines follow, each a [`super::StatsItem`].
    Stats(u64),
    /// `CONNECTIONS n`: n lines follow, each a [`super::ConnectionItem`].
    Connections(Count),
    /// `HELP n`: n lines follow, each a [`super::HelpItem`].
    Help(u64),
    /// `ERROR code text`
    Error(ErrorCode, Cow<'a, str>),
    /// `TAG tag`: the other replies of this datagram answer the requests that had
    /// this tag.
    Tag(Tag),
    /// `COOKIE c`: nothing was executed; the client repeats the request with this
    /// cookie.
    Cookie(Cookie),
}

impl Reply<'static> {
    /// `OK`: the request was executed.
    pub const DONE: Self = Self::Ok(Cow::Borrowed(""));

    /// The reply to `QUIT`.
    pub const BYE: Self = Self::Ok(Cow::Borrowed("bye"));
}

impl<'a> Reply<'a> {
    /// Parses one line without its end. Ignores fields after the known ones:
    /// later versions may add some.
    ///
    /// # Errors
    /// The line is not a reply.
    pub fn parse(line: &'a [u8]) -> Result<Self, ParseError> {
        let line = trim(std::str::from_utf8(line).map_err(|_| ParseError)?);
        let (fields, word) = field(line)?;
        Ok(match word {
            "OK" => Self::Ok(trim(fields).into()),
            "PONG" => Self::Pong,
            "NODES" => Self::Nodes(Count::parse(fields)?),
            "HOLDERS" => Self::Holders(Count::parse(fields)?),
            "FOUND" => Self::Found(number(fields)?.1),
            "STAT" => Self::Stat(FileStat::parse(fields)?),
            "DIGEST" => Self::Digest(Sha256Digest::parse(fields)?),
            "NOTFOUND" => Self::NotFound,
            "FILES" => {
                let (_, (shown, total)) = (number, number).parse(fields)?;
                Self::Files { shown, total }
            }
            "PIECES" => {
                let (rest, (count, piece_size)) = (number, number).parse(fields)?;
                let (_, word) = field(rest)?;
                Self::Pieces {
                    count,
                    piece_size,
                    hash: word.parse().map_err(|_| ParseError)?,
                }
            }
            "STATS" => Self::Stats(number(fields)?.1),
            "CONNECTIONS" => Self::Connections(Count::parse(fields)?),
            "HELP" => Self::Help(number(fields)?.1),
            "ERROR" => {
                let (text, code) = number(fields)?;
                Self::Error(ErrorCode(code), trim(text).into())
            }
            "TAG" => Self::Tag(token(fields)?.1),
            "COOKIE" => Self::Cookie(token(fields)?.1),
            _ => return Err(ParseError),
        })
    }
}

impl Reply<'_> {
    /// Appends the line without its end. Faster than formatting for replies of which a server
    /// sends a million per second.
    pub(crate) fn append_to(&self, text: &mut Vec<u8>) {
        let (word, number) = match self {
            Self::Pong => ("PONG", None),
            Self::NotFound => ("NOTFOUND", None),
            Self::Found(size) => ("FOUND ", Some(*size)),
            Self::Nodes(count) if count.is_whole() => ("NODES ", Some(count.shown)),
            Self::Holders(count) if count.is_whole() => ("HOLDERS ", Some(count.shown)),
            other => {
                // Writing to a vector does not fail.
                let _ = write!(text, "{other}");
                return;
            }
        };
        text.extend_from_slice(word.as_bytes());
        if let Some(number) = number {
            append_number(text, number);
        }
    }
}

/// What follows the first line of an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ReplyContent {
    /// Nothing.
    None,
    /// So many items, at least one.
    Items(ItemKind, u64),
    /// So many bytes, at least one.
    Bytes(u64),
}

impl Reply<'_> {
    /// What follows this line.
    #[must_use]
    pub fn content(&self) -> ReplyContent {
        let (kind, count) = match self {
            Self::Nodes(count) => (ItemKind::Node, count.shown),
            Self::Holders(count) => (ItemKind::Holder, count.shown),
            Self::Files { shown, .. } => (ItemKind::File, *shown),
            Self::Pieces { count, .. } => (ItemKind::Piece, *count),
            Self::Connections(count) => (ItemKind::Text, count.shown),
            Self::Stats(count) | Self::Help(count) => (ItemKind::Text, *count),
            Self::Found(size) if *size > 0 => return ReplyContent::Bytes(*size),
            Self::Ok(_)
            | Self::Pong
            | Self::Found(_)
            | Self::Stat(_)
            | Self::Digest(_)
            | Self::NotFound
            | Self::Error(..)
            | Self::Tag(_)
            | Self::Cookie(_) => return ReplyContent::None,
        };
        match count {
            0 => ReplyContent::None,
            count => ReplyContent::Items(kind, count),
        }
    }
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
            Self::Stat(stat) => stat.fmt(f),
            Self::Digest(digest) => write!(f, "DIGEST {digest}"),
            Self::NotFound => f.write_str("NOTFOUND"),
            Self::Files { shown, total } => write!(f, "FILES {shown} {total}"),
            Self::Pieces {
                count,
                piece_size,
                hash,
            } => write!(f, "PIECES {count} {piece_size} {hash}"),
            Self::Stats(count) => write!(f, "STATS {count}"),
            Self::Connections(count) => write!(f, "CONNECTIONS {count}"),
            Self::Help(count) => write!(f, "HELP {count}"),
            Self::Error(code, text) => write!(f, "ERROR {code} {text}"),
            Self::Tag(tag) => write!(f, "TAG {tag}"),
            Self::Cookie(cookie) => write!(f, "COOKIE {cookie}"),
        }
    }
}

/// The number of lines in a list. If the list was truncated to fit into a
/// datagram, the length of the whole list follows: `60 201`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Count {
    shown: u64,
    total: u64,
}

impl Count {
    /// The longest first line of a truncated list, with its end, in bytes.
    pub const MAX_LINE: usize = "HOLDERS  \n".len() + 2 * 20;

    /// A whole list.
    #[must_use]
    pub fn all(count: u64) -> Self {
        Self {
            shown: count,
            total: count,
        }
    }

    /// The first `shown` lines of a list of `total` lines.
    #[must_use]
    pub fn truncated(shown: u64, total: u64) -> Self {
        let total = total.max(shown);
        Self { shown, total }
    }

    /// Lines that follow.
    #[must_use]
    pub fn shown(self) -> u64 {
        self.shown
    }

    /// Lines of the whole list, at least as many as follow.
    #[must_use]
    pub fn total(self) -> u64 {
        self.total
    }

    fn is_whole(self) -> bool {
        self.shown == self.total
    }

    fn parse(fields: &str) -> Result<Self, ParseError> {
        let (rest, shown) = number(fields)?;
        // A later version may have another field here.
        let total = number(rest).map_or(shown, |(_, total)| total);
        Ok(Self::truncated(shown, total))
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { shown, total } = self;
        if self.is_whole() {
            return write!(f, "{shown}");
        }
        write!(f, "{shown} {total}")
    }
}

/// What is known of a file without its content.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileStat {
    /// In bytes.
    pub size: u64,
    /// The hash of the content.
    pub hash: MaybeHash,
    /// Time of the last change, in seconds since 1970; negative before.
    pub mtime: i64,
    /// The file is a program, which its owner may execute.
    pub is_executable: bool,
    /// What the node has of a file that it is still fetching.
    pub parts: Option<FileParts>,
}

impl FileStat {
    fn parse(fields: &str) -> Result<Self, ParseError> {
        let (rest, (size, hash, mtime)) = (number, hash, signed_number).parse(fields)?;
        // Earlier versions do not send a mode.
        let (rest, mode) = field(rest).unwrap_or_default();
        let parts = field(rest).ok().and_then(|(_, parts)| parts.parse().ok());
        Ok(Self {
            size,
            hash,
            mtime,
            is_executable: mode == "x",
            parts,
        })
    }
}

impl fmt::Display for FileStat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            size, hash, mtime, ..
        } = self;
        let mode = if self.is_executable { "x" } else { "-" };
        write!(f, "STAT {size} {hash} {mtime} {mode}")?;
        match &self.parts {
            Some(parts) => write!(f, " {parts}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_appended_as_it_prints() {
        for reply in [
            Reply::Pong,
            Reply::NotFound,
            Reply::Found(1024),
            Reply::Nodes(Count::all(0)),
            Reply::Nodes(Count::truncated(3, 20)),
            Reply::Holders(Count::all(u64::MAX)),
            Reply::Holders(Count::truncated(3, 20)),
            Reply::DONE,
            Reply::Stats(7),
        ] {
            let mut text = Vec::new();
            reply.append_to(&mut text);
            assert_eq!(String::from_utf8_lossy(&text), reply.to_string());
        }
    }
}
