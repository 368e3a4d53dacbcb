//! The values of the wire protocol, their parsers and their printers: all text that
//! is sent. `protocol.md` specifies it in prose.
//!
//! A [`Request`] is one line. A [`Reply`] is the first line of the answer; a
//! [`FileItem`], [`HolderItem`], [`NodeItem`], [`PieceValue`], [`StatsItem`] or
//! [`HelpItem`] is a line of the list that may follow. A [`Delivery`] is a message that arrives
//! between replies. A [`RequestDatagram`] is a datagram of requests. [`RequestError`] and
//! [`Rejection`] are the errors with which a server replies.
//!
//! A line is parsed as a whole into values that are valid by construction: a
//! [`FileName`] may be looked up, a [`NodeAddress`] may be connected to. Parsing a
//! printed value gives the same value.
//!
//! This module does no I/O and knows no connections.

mod access_rejection;
mod address;
mod datagram;
mod digest;
mod error_code;
mod field_error;
mod fields;
mod file_parts;
mod fold;
mod hash;
mod item;
mod name;
mod ok_reply;
mod other_protocol;
mod piece_list;
mod pieces;
mod rejection;
mod reply;
mod request;
mod reverse_text;
mod secret;
mod text;
mod token;
mod verb;

pub use access_rejection::AccessRejection;
pub use address::{AddressError, ClaimedIp, NodeAddress, Port, address_group, canonical};
pub use datagram::{DatagramHeader, MAX_AMPLIFICATION, MAX_DATAGRAM, RequestDatagram};
pub use digest::Sha256Digest;
pub use error_code::ErrorCode;
pub use field_error::FieldError;
pub use fields::ParseError;
pub use file_parts::FileParts;
pub use fold::fold;
pub(crate) use fold::fold_work;
pub use hash::{ContentHash, HashError, HashPrefix, MaybeHash};
pub use item::{
    ConnectionItem, FileItem, HelpItem, HolderItem, Item, ItemKind, NodeItem, StatsItem,
};
pub use name::{FileName, NameError, hidden_parts, is_part_file};
pub use ok_reply::{Banner, Listening, Proven, Registered};
pub use other_protocol::OtherProtocol;
pub(crate) use other_protocol::{TLS_FIRST_BYTE, begins_http_request_line, is_http_request_line};
pub use piece_list::{ContentHasher, PieceList};
pub use pieces::{PieceHasher, PieceLayout, PieceValue};
pub use rejection::{Rejection, RequestError};
pub use reply::{Count, FileStat, Reply, ReplyContent};
pub use request::Request;
pub(crate) use reverse_text::append_number;
pub use secret::{Proof, Prover, SecretError, SharedSecret};
pub use text::{Delivery, Text, TextError};
pub use token::{Cookie, Tag, Token};
pub use verb::{ServerKind, Verb};

/// The default limit on the length of a line, with its end, in bytes.
pub const MAX_LINE: usize = 4096;

/// The limit on the length of a file name, in bytes.
pub const MAX_NAME: usize = 1024;

/// The limit on the length of a message, in bytes.
pub const MAX_TEXT: usize = 1024;

/// The limit on the lines of one list of files; `MORE` requests the next.
pub const MAX_LISTED_FILES: usize = 1000;

/// The limit on the lines of one list of connections.
pub const MAX_LISTED_CONNECTIONS: usize = 1000;

/// The limit on the bytes of one list of files of a relay.
pub const MAX_LIST_BYTES: usize = 256 * 1024;
