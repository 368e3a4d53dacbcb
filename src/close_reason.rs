//! How a connection ends: always for exactly one reason, with a name.

use std::fmt;
use std::io;

use crate::protocol::Foreign;

/// Why a connection is over. It prints as the reason in the log.
#[derive(Debug)]
pub enum End {
    /// All that was asked was answered, and the peer said goodbye.
    Done,
    /// The peer said `QUIT`.
    Quit,
    /// We had what we wanted.
    Satisfied,
    /// There was no place for it.
    Full(Full),
    /// Nothing came at all.
    Silent,
    /// Nothing was asked for too long.
    Idle,
    /// A line was begun and not ended in time.
    Late,
    /// The input ended in mid-line.
    CutLine,
    /// The peer did not take what we sent.
    Stalled,
    /// It did not read what others said to it.
    Deaf,
    /// Another connection listens in its place.
    Replaced,
    /// A line had more bytes than allowed.
    LineTooLong,
    /// Too many lines with unknown verbs.
    Gibberish,
    /// It spoke another protocol.
    Foreign(Foreign),
    /// The file became shorter while it was sent.
    FileShrank,
    /// The file could not be read on.
    FileFailed(io::Error),
    /// The connection broke.
    Lost(io::Error),
    /// Nobody answered the dial, or it was refused.
    NotReached(io::Error),
    /// The dial took too long.
    DialTimeout,
    /// The other side sent nothing for too long.
    NoProgress,
    /// The other side's answer was none.
    Nonsense,
    /// We are stopping.
    Drained,
    /// We are stopping, and there was no time left to finish.
    Cut,
}

/// What there was no place for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Full {
    /// Connections in all.
    Connections,
    /// Connections from one address.
    Address,
    /// Nodes in the directory.
    Directory,
    /// Open files.
    Files,
}

impl fmt::Display for Full {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connections => "too many connections",
            Self::Address => "too many connections from your address",
            Self::Directory => "the directory is full",
            Self::Files => "too many open files",
        })
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done => f.write_str("done"),
            Self::Quit => f.write_str("quit"),
            Self::Satisfied => f.write_str("satisfied"),
            Self::Full(what) => write!(f, "refused: {what}"),
            Self::Silent => f.write_str("it never said anything"),
            Self::Idle => f.write_str("idle"),
            Self::Late => f.write_str("a line not ended in time"),
            Self::CutLine => f.write_str("the input ended in mid-line"),
            Self::Stalled => f.write_str("stalled: it took nothing"),
            Self::Deaf => f.write_str("it did not read its messages"),
            Self::Replaced => f.write_str("another connection listens in its place"),
            Self::LineTooLong => f.write_str("line too long"),
            Self::Gibberish => f.write_str("too many unknown commands"),
            Self::Foreign(language) => write!(f, "it speaks {language}"),
            Self::FileShrank => f.write_str("the file shrank while it was sent"),
            Self::FileFailed(error) => write!(f, "the file could not be read: {error}"),
            Self::Lost(error) => write!(f, "lost: {error}"),
            Self::NotReached(error) => write!(f, "not reached: {error}"),
            Self::DialTimeout => f.write_str("no answer to the connection in time"),
            Self::NoProgress => f.write_str("no progress: it sent nothing in time"),
            Self::Nonsense => f.write_str("its answer is none of this protocol"),
            Self::Drained => f.write_str("stopping"),
            Self::Cut => f.write_str("cut: stopping, and time was up"),
        }
    }
}
