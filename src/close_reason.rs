//! How a connection ends: always for exactly one reason, with a name.

use std::fmt;
use std::io;

use crate::protocol::OtherProtocol;

/// Why a connection is over. It prints as the reason in the log.
#[derive(Debug)]
pub enum CloseReason {
    /// All that was asked was answered, and the peer said goodbye.
    EndOfInput,
    /// The peer said `QUIT`.
    Quit,
    /// We had what we wanted.
    Completed,
    /// There was no place for it.
    LimitReached(ResourceLimit),
    /// Nothing came at all.
    NoRequest,
    /// Nothing was asked for too long.
    IdleTimeout,
    /// A line was begun and not ended in time.
    LineTimeout,
    /// The input ended in mid-line.
    UnexpectedEof,
    /// The peer did not take what we sent.
    WriteTimeout,
    /// It did not read what others said to it.
    SlowReceiver,
    /// Another connection listens in its place.
    Replaced,
    /// A line had more bytes than allowed.
    LineTooLong,
    /// Too many lines with unknown verbs.
    TooManyUnknownCommands,
    /// It spoke another protocol.
    OtherProtocol(OtherProtocol),
    /// The file became shorter while it was sent.
    FileTruncated,
    /// The file could not be read on.
    FileReadError(io::Error),
    /// The connection broke.
    ConnectionLost(io::Error),
    /// Nobody answered the dial, or it was refused.
    ConnectFailed(io::Error),
    /// The dial took too long.
    ConnectTimeout,
    /// The other side sent nothing for too long.
    ReadTimeout,
    /// The other side's answer was none.
    ProtocolError,
    /// We are stopping.
    Shutdown,
    /// We are stopping, and there was no time left to finish.
    Aborted,
}

/// What there was no place for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ResourceLimit {
    /// Connections in all.
    Connections,
    /// Connections from one address.
    ConnectionsPerAddress,
    /// Nodes in the directory.
    Nodes,
    /// Open files.
    OpenFiles,
}

impl fmt::Display for ResourceLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connections => "too many connections",
            Self::ConnectionsPerAddress => "too many connections from your address",
            Self::Nodes => "the directory is full",
            Self::OpenFiles => "too many open files",
        })
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EndOfInput => f.write_str("done"),
            Self::Quit => f.write_str("quit"),
            Self::Completed => f.write_str("satisfied"),
            Self::LimitReached(what) => write!(f, "refused: {what}"),
            Self::NoRequest => f.write_str("it never said anything"),
            Self::IdleTimeout => f.write_str("idle"),
            Self::LineTimeout => f.write_str("a line not ended in time"),
            Self::UnexpectedEof => f.write_str("the input ended in mid-line"),
            Self::WriteTimeout => f.write_str("stalled: it took nothing"),
            Self::SlowReceiver => f.write_str("it did not read its messages"),
            Self::Replaced => f.write_str("another connection listens in its place"),
            Self::LineTooLong => f.write_str("line too long"),
            Self::TooManyUnknownCommands => f.write_str("too many unknown commands"),
            Self::OtherProtocol(language) => write!(f, "it speaks {language}"),
            Self::FileTruncated => f.write_str("the file shrank while it was sent"),
            Self::FileReadError(error) => write!(f, "the file could not be read: {error}"),
            Self::ConnectionLost(error) => write!(f, "lost: {error}"),
            Self::ConnectFailed(error) => write!(f, "not reached: {error}"),
            Self::ConnectTimeout => f.write_str("no answer to the connection in time"),
            Self::ReadTimeout => f.write_str("no progress: it sent nothing in time"),
            Self::ProtocolError => f.write_str("its answer is none of this protocol"),
            Self::Shutdown => f.write_str("stopping"),
            Self::Aborted => f.write_str("cut: stopping, and time was up"),
        }
    }
}
