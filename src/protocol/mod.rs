//! The language of Peerline: every value that may stand on the wire, how it is
//! read and how it is printed. `protocol.md` is the contract in prose.
//!
//! A message is one line of UTF-8 text. [`Request`] is what a client may ask,
//! [`Reply`] the first line of every answer, [`Code`] the classes of errors.
//! Lines are parsed whole, into values that cannot be wrong: a [`FileName`] is
//! a name that may be looked up, a [`NodeAddress`] one that may be dialled.
//! Printing and parsing are inverse.
//!
//! This module never does I/O and knows no connection.

mod address;
mod code;
mod datagram;
mod fields;
mod hash;
mod item;
mod name;
mod ok_reply;
mod other_protocol;
mod rejection;
mod reply;
mod request;
mod text;

pub use address::{AddressError, ClaimedIp, NodeAddress, Port, address_group, canonical};
pub use code::Code;
pub use datagram::{
    Cookie, DatagramHeader, MAX_AMPLIFICATION, MAX_DATAGRAM, Requests, Tag, Word, WordError,
};
pub use hash::{ContentHash, HashError, MaybeHash};
pub use item::{FileItem, HelpItem, HolderItem, ItemError, StatsItem};
pub use name::{FileName, NameError};
pub use ok_reply::{Banner, Listening};
pub use other_protocol::{OtherProtocol, TLS_FIRST_BYTE};
pub use rejection::{Rejection, RequestError};
pub use reply::{Count, FileStat, Registered, Reply, ReplyError};
pub use request::{Request, Verb};
pub use text::{Delivery, Text, TextError};

/// The longest line with its end, in bytes, unless a program is told otherwise.
pub const MAX_LINE: usize = 4096;

/// The longest file name, in bytes.
pub const MAX_NAME: usize = 1024;

/// The longest message, in bytes.
pub const MAX_TEXT: usize = 1024;

/// The most lines in one list of files; `MORE` goes on after them.
pub const MAX_LISTED_FILES: usize = 1000;
