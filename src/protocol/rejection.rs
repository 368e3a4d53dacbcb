//! Why a request is answered with `ERROR code text`. Programs look at the code;
//! the texts are for people, say what to do, and stand here only.

use std::fmt;
use std::net::IpAddr;

use crate::protocol::access_rejection::AccessRejection;
use crate::protocol::address::{AddressError, NodeAddress, Port};
use crate::protocol::error_code::ErrorCode;
use crate::protocol::field_error::{FieldError, shown};
use crate::protocol::name::NameError;
use crate::protocol::other_protocol::OtherProtocol;
use crate::protocol::reply::Reply;
use crate::protocol::text::TextError;
use crate::protocol::verb::Verb;

/// Why a line is not a request. Prints as the text of the reply.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RequestError<'a> {
    /// The line is not UTF-8.
    NotUtf8,
    /// No server knows this word.
    UnknownVerb(&'a str),
    /// The fields do not fit the verb; the first one that does not, if it is known.
    Form(Verb, Option<FieldError<'a>>),
    /// The address cannot be a node's.
    Address(Verb, AddressError),
    /// The name is not a valid file name.
    Name(Verb, NameError),
    /// The text is not a valid message.
    Text(Verb, TextError),
}

impl RequestError<'_> {
    /// The verb of the line, if it is known.
    #[must_use]
    pub fn verb(&self) -> Option<Verb> {
        match self {
            Self::NotUtf8 | Self::UnknownVerb(_) => None,
            Self::Form(verb, _)
            | Self::Address(verb, _)
            | Self::Name(verb, _)
            | Self::Text(verb, _) => Some(*verb),
        }
    }

    /// The class of the error.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::UnknownVerb(_) => ErrorCode::UNKNOWN_VERB,
            Self::Text(_, TextError::TooLong) => ErrorCode::LIMIT_REACHED,
            Self::NotUtf8
            | Self::Form(..)
            | Self::Address(..)
            | Self::Name(..)
            | Self::Text(..) => ErrorCode::SYNTAX,
        }
    }

    /// The reply to the line.
    #[must_use]
    pub fn reply(&self) -> Reply<'static> {
        Reply::Error(self.code(), self.to_string().into())
    }
}

impl fmt::Display for RequestError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotUtf8 => f.write_str("the line is not valid UTF-8"),
            Self::UnknownVerb(word) => {
                let word = shown(word);
                write!(f, "unknown command {word}; HELP lists the commands")
            }
            Self::Form(verb, None) => write!(f, "usage: {}", verb.usage()),
            Self::Form(verb, Some(why)) => write!(f, "usage: {}; {why}", verb.usage()),
            Self::Address(verb, why) => write!(f, "usage: {}; {why}", verb.usage()),
            Self::Name(verb, why) => write!(f, "usage: {}; {why}", verb.usage()),
            Self::Text(verb, why) => write!(f, "usage: {}; {why}", verb.usage()),
        }
    }
}

/// Why a server does not read on, or does not execute a request. Prints as the text
/// of the reply.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Rejection {
    /// The line is longer than the limit.
    LineTooLong,
    /// The input ended within the line.
    IncompleteLine,
    /// The rest of the line did not arrive in time.
    LineTimeout,
    /// The client has not read its messages in time.
    SlowReceiver,
    /// The server speaks TLS only.
    TlsRequired,
    /// The client may not use the server.
    Access(AccessRejection),
    /// The line belongs to another protocol.
    OtherProtocol(OtherProtocol),
    /// A relay does not execute this verb.
    OnlyNode,
    /// A node does not execute this verb.
    OnlyRelay,
    /// The verb is not available over UDP.
    OnlyTcp,
    /// The client is not trusted to see who is connected.
    NotTrusted,
    /// The node computes no digests by SHA-256.
    NoSha256,
    /// The client has no address that a node can have.
    Address(AddressError),
    /// The client may not register this address: it is not its own.
    NotYourAddress {
        /// The address at which the relay sees the client.
        seen: IpAddr,
        /// The port that it wants to register.
        port: Port,
    },
    /// No node is registered at the address.
    NotRegistered(NodeAddress),
    /// The node was registered from another address.
    NotYourNode(NodeAddress),
    /// The node has a key, and the client has not shown it.
    NotYourKey(NodeAddress),
    /// One address has too many nodes.
    TooManyNodesAtAddress,
    /// The connection acts for no node.
    RegisterFirst,
    /// A node has announced too many files, or too many bytes of names.
    TooManyFilesOfNode {
        /// The limit on files.
        files: u64,
        /// The limit on bytes of names.
        bytes: u64,
    },
    /// The nodes at the client's address have announced as much as is left for all others.
    TooManyFilesAtAddress,
    /// All nodes together have announced too many files, or too many bytes of names.
    TooManyFiles {
        /// The limit on files.
        files: u64,
        /// The limit on bytes of names.
        bytes: u64,
    },
    /// A newer connection listens at the address of this one.
    Replaced,
    /// A node listens at the address of this connection.
    NodeListens(NodeAddress),
    /// The client has no address to which others can reply.
    NoReplyAddress,
    /// No connection listens at the address.
    NoListener(NodeAddress),
    /// The client sends more messages per second than this.
    TooManyMessages(u32),
    /// The listener at this address does not read as fast as messages are sent to it.
    ReceiverBusy(NodeAddress),
    /// The listener is at another relay, which cannot be reached at the moment.
    RegistryUnavailable,
    /// The node has no permission to read the file.
    FileForbidden,
    /// The content of the file is not the one that the client wants.
    FileChanged,
    /// The offset is past the end of a file of this size.
    OffsetPastEnd(u64),
    /// The node does not have this part of the file yet.
    PartMissing,
    /// The node does not have the whole file yet.
    Incomplete,
    /// The hash of the file is not known yet.
    HashUnknown,
    /// Nodes have several contents under the name.
    SeveralContents,
    /// No node has announced the SHA-256 of the file, or they disagree.
    DigestUnknown,
    /// The node failed to read the file: the system's error.
    FileReadFailed(String),
    /// The server has too many connections.
    TooManyConnections,
    /// The server has too many connections from the client's address.
    TooManyConnectionsFromAddress,
    /// The relay has too many nodes.
    TooManyNodes,
    /// The node cannot open another file.
    TooManyOpenFiles,
}

impl Rejection {
    /// The class of the error.
    #[must_use]
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::IncompleteLine | Self::Address(_) => ErrorCode::SYNTAX,
            Self::NotYourAddress { .. }
            | Self::NotYourNode(_)
            | Self::NotYourKey(_)
            | Self::RegisterFirst
            | Self::NodeListens(_)
            | Self::NoReplyAddress
            | Self::NotTrusted
            | Self::FileForbidden => ErrorCode::NOT_ALLOWED,
            Self::Access(rejection) => rejection.code(),
            Self::NotRegistered(_) | Self::NoListener(_) => ErrorCode::NO_SUCH_NODE,
            Self::LineTimeout | Self::SlowReceiver => ErrorCode::TOO_SLOW,
            Self::Replaced | Self::FileChanged | Self::SeveralContents => ErrorCode::CHANGED,
            Self::OffsetPastEnd(_) | Self::PartMissing => ErrorCode::OUT_OF_RANGE,
            Self::TooManyNodesAtAddress
            | Self::TooManyFilesOfNode { .. }
            | Self::TooManyFilesAtAddress
            | Self::TooManyFiles { .. } => ErrorCode::LIMIT_REACHED,
            Self::TooManyMessages(_) | Self::ReceiverBusy(_) => ErrorCode::SLOW_DOWN,
            Self::TlsRequired => ErrorCode::TLS_REQUIRED,
            Self::LineTooLong => ErrorCode::LINE_TOO_LONG,
            Self::FileReadFailed(_) => ErrorCode::INTERNAL,
            Self::OtherProtocol(_)
            | Self::OnlyNode
            | Self::OnlyRelay
            | Self::OnlyTcp
            | Self::NoSha256 => ErrorCode::UNKNOWN_VERB,
            Self::TooManyConnections
            | Self::TooManyConnectionsFromAddress
            | Self::TooManyNodes
            | Self::TooManyOpenFiles
            | Self::RegistryUnavailable
            | Self::Incomplete
            | Self::HashUnknown
            | Self::DigestUnknown => ErrorCode::UNAVAILABLE,
        }
    }

    /// The reply to the request.
    #[must_use]
    pub fn reply(&self) -> Reply<'static> {
        Reply::Error(self.code(), self.to_string().into())
    }
}

impl From<AccessRejection> for Rejection {
    fn from(rejection: AccessRejection) -> Self {
        Self::Access(rejection)
    }
}

/// The text of [`Rejection::TooManyFilesAtAddress`].
const FAIR_SHARE: &str =
    "the nodes at your address share too many files; the rest of the room is for others";

/// The text of [`Rejection::TooManyConnectionsFromAddress`].
const FULL_FOR_ADDRESS: &str = "too many connections from your address; try again later";
/// The text of [`Rejection::OffsetPastEnd`], before the size.
const PAST_END: &str = "the offset is past the end; the file has";
/// The text of [`Rejection::ReceiverBusy`], after the address.
const IS_SLOW: &str = "is slow to read; try again later";
/// The text of [`Rejection::TooManyMessages`], before the rate.
const MESSAGE_LIMIT: &str = "too many messages; the limit is";
/// The text of [`Rejection::NotYourKey`], after the address.
const HELD_BY_KEY: &str = "is registered with a key that you have not shown; connect over TLS with \
                           its certificate, or wait until its lease ends";

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LineTooLong => "line too long",
            Self::IncompleteLine => "incomplete line; end every line with a newline",
            Self::LineTimeout => "line timeout; send each line in one piece",
            Self::SlowReceiver => "messages were not read in time",
            Self::TlsRequired => "TLS only; type openssl s_client -quiet -connect HOST:PORT",
            Self::Access(rejection) => return rejection.fmt(f),
            Self::OtherProtocol(protocol) => {
                return write!(f, "{protocol} is not supported; type HELP and press Enter");
            }
            Self::OnlyNode => "only a node answers this; LIST lists the nodes",
            Self::OnlyRelay => "only a relay answers this; you are connected to a node",
            Self::OnlyTcp => "not available over UDP; use TCP",
            Self::NotTrusted => "only trusted clients may see who is connected",
            Self::NoSha256 => "this node computes no SHA-256; PIECES and STAT show BLAKE3",
            Self::Address(why) => return why.fmt(f),
            Self::NotYourAddress { seen, port } => {
                return write!(f, "your address is {seen}; use REGISTER * {port}");
            }
            Self::NotRegistered(node) => return write!(f, "no node is registered at {node}"),
            Self::NotYourNode(at) => return write!(f, "{at} was registered from another address"),
            Self::NotYourKey(at) => return write!(f, "{at} {HELD_BY_KEY}"),
            Self::TooManyNodesAtAddress => "too many nodes at your address; UNREGISTER some",
            Self::RegisterFirst => "REGISTER first",
            Self::TooManyFilesOfNode { files, bytes } => {
                return too_many_files(f, "your node shares", *files, *bytes);
            }
            Self::TooManyFilesAtAddress => FAIR_SHARE,
            Self::TooManyFiles { files, bytes } => {
                return too_many_files(f, "all nodes together share", *files, *bytes);
            }
            Self::Replaced => "replaced by a newer listener",
            Self::NodeListens(node) => {
                return write!(f, "a node listens at {node}; REGISTER first if it is yours");
            }
            Self::NoReplyAddress => "your address cannot receive replies",
            Self::NoListener(at) => {
                return write!(f, "nobody listens at {at}; the receiver must LISTEN first");
            }
            Self::TooManyMessages(rate) => return write!(f, "{MESSAGE_LIMIT} {rate} per second"),
            Self::ReceiverBusy(at) => return write!(f, "the listener at {at} {IS_SLOW}"),
            Self::RegistryUnavailable => "the registry does not answer; try again later",
            Self::FileForbidden => "no permission to read the file",
            Self::FileChanged => "the file has another content now; STAT shows its hash",
            Self::OffsetPastEnd(size) => return write!(f, "{PAST_END} {size} bytes"),
            Self::PartMissing => "the node does not have this part yet; STAT shows its parts",
            Self::Incomplete => "the file is incomplete; STAT shows its parts, RANGE sends one",
            Self::HashUnknown => "the hash of the file is not known yet; try again later",
            Self::SeveralContents => "nodes have several contents of this name; FIND lists them",
            Self::DigestUnknown => "no node has announced the SHA-256, or they do not agree",
            Self::FileReadFailed(why) => return write!(f, "the file cannot be read: {why}"),
            Self::TooManyConnections => "too many connections; try again later",
            Self::TooManyConnectionsFromAddress => FULL_FOR_ADDRESS,
            Self::TooManyNodes => "the directory is full; try again later",
            Self::TooManyOpenFiles => "too many open files; try again later",
        })
    }
}

fn too_many_files(f: &mut fmt::Formatter<'_>, who: &str, files: u64, bytes: u64) -> fmt::Result {
    write!(
        f,
        "{who} too many files (limit {files}) or bytes of file names (limit {bytes})"
    )
}
