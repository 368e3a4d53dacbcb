//! Why a connection is closed: each ends for exactly one named reason.

use std::fmt;
use std::io;

use crate::protocol::{OtherProtocol, Rejection};
use crate::system_error::Reason;

/// The reason for which a connection is closed. It prints as the term that
/// stands in the log, and keeps that term: operators search for it.
#[derive(Debug)]
pub enum CloseReason {
    /// The peer ended its input, and every request was answered.
    EndOfInput,
    /// The peer sent `QUIT`.
    Quit,
    /// The one request was answered: ours, or one in HTTP that asked for no more.
    Completed,
    /// A limit left no room for the connection or its request.
    LimitReached(ResourceLimit),
    /// No request arrived within the time for the first line.
    NoRequest,
    /// No further request arrived within the idle limit.
    IdleTimeout,
    /// The rest of a line did not arrive in time.
    LineTimeout,
    /// The input ended within a line.
    UnexpectedEof,
    /// The peer takes nothing of the data that is sent to it.
    WriteTimeout,
    /// Too much is queued for all peers, and the most of it for this one.
    MemoryLimit,
    /// The peer listens for messages and does not read them.
    SlowReceiver,
    /// A newer connection listens at the same address.
    Replaced,
    /// A line is longer than the limit.
    LineTooLong,
    /// A request in HTTP breaks a rule of HTTP.
    MalformedRequest,
    /// The peer sent too many unknown verbs.
    TooManyUnknownCommands,
    /// The peer speaks another protocol.
    OtherProtocol(OtherProtocol),
    /// The file became shorter while it was sent.
    FileTruncated,
    /// The content of the file was replaced while it was sent.
    FileChanged,
    /// Reading the file failed while it was sent.
    FileReadError(io::Error),
    /// An established connection failed.
    ConnectionLost(io::Error),
    /// The peer breaks the rules of TLS, or refuses the session.
    TlsFailed(io::Error),
    /// The peer has to speak TLS, and does not.
    TlsRequired,
    /// A limit left no room for another handshake of TLS.
    TooManyHandshakes,
    /// The connection could not be established.
    ConnectFailed(io::Error),
    /// The connection was not established in time.
    ConnectTimeout,
    /// The peer that we dialled has proved an earlier secret of the group than the one that
    /// counts now. It may be connected to again.
    SecretChanged,
    /// The peer that we dialled sent nothing for too long.
    ReadTimeout,
    /// The peer that we dialled sent a line that is not a valid reply.
    ProtocolError,
    /// The program stops.
    Shutdown,
    /// The program stops, and the time to finish has run out.
    Aborted,
}

/// A resource of a server whose limit is reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ResourceLimit {
    /// All connections of the server.
    Connections,
    /// Connections from one address.
    ConnectionsPerAddress,
    /// Nodes in the directory.
    Nodes,
    /// Open files.
    OpenFiles,
}

impl From<ResourceLimit> for Rejection {
    fn from(limit: ResourceLimit) -> Self {
        match limit {
            ResourceLimit::Connections => Self::TooManyConnections,
            ResourceLimit::ConnectionsPerAddress => Self::TooManyConnectionsFromAddress,
            ResourceLimit::Nodes => Self::TooManyNodes,
            ResourceLimit::OpenFiles => Self::TooManyOpenFiles,
        }
    }
}

impl fmt::Display for ResourceLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connections => "connection limit",
            Self::ConnectionsPerAddress => "connection limit for this address",
            Self::Nodes => "node limit",
            Self::OpenFiles => "open file limit",
        })
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EndOfInput => "end of input",
            Self::Quit => "quit",
            Self::Completed => "completed",
            Self::LimitReached(limit) => return write!(f, "refused: {limit}"),
            Self::NoRequest => "no request received",
            Self::IdleTimeout => "idle timeout",
            Self::LineTimeout => "line timeout",
            Self::UnexpectedEof => "unexpected end of input",
            Self::WriteTimeout => "slow reader",
            Self::MemoryLimit => "memory limit of all queues",
            Self::SlowReceiver => "slow receiver",
            Self::Replaced => "replaced by a newer listener",
            Self::LineTooLong => "line too long",
            Self::MalformedRequest => "malformed request",
            Self::TooManyUnknownCommands => "too many unknown commands",
            Self::OtherProtocol(protocol) => return write!(f, "other protocol: {protocol}"),
            Self::FileTruncated => "file truncated while sending",
            Self::FileChanged => "file changed while sending",
            Self::FileReadError(error) => return write!(f, "file read error: {}", Reason(error)),
            Self::ConnectionLost(error) => return write!(f, "connection lost: {}", Reason(error)),
            Self::TlsFailed(error) => return write!(f, "TLS failed: {}", Reason(error)),
            Self::TlsRequired => "refused: not encrypted",
            Self::TooManyHandshakes => "refused: handshake limit",
            Self::ConnectFailed(error) => return write!(f, "connect failed: {}", Reason(error)),
            Self::ConnectTimeout => "connect timeout",
            Self::SecretChanged => "the secret of the group has changed",
            Self::ReadTimeout => "read timeout",
            Self::ProtocolError => "protocol error",
            Self::Shutdown => "shutdown",
            Self::Aborted => "aborted at shutdown",
        })
    }
}
