//! `OK` replies with values of their own.

use std::fmt;
use std::time::Duration;

use nom::Parser;
use nom::combinator::opt;

use crate::counted::Counted;
use crate::protocol::address::{NodeAddress, node_address};
use crate::protocol::fields::{ParseError, number};
use crate::protocol::reverse_text::append_number;
use crate::protocol::secret::Proof;
use crate::protocol::verb::ServerKind;
use crate::tls::KeyId;

/// The reply to `REGISTER`: `OK lease ip port files epoch`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Registered {
    /// Time after which the entry expires unless it is renewed, in whole seconds.
    pub lease: Duration,
    /// The address under which the relay lists the node.
    pub address: NodeAddress,
    /// The number of files of this node in the relay's index.
    pub files: u64,
    /// Identifies the relay's record of the node: a new record has another epoch.
    /// Relays of older versions send none.
    pub epoch: Option<u64>,
}

impl Registered {
    /// Parses the text after `OK`.
    ///
    /// # Errors
    /// The fields are not those of this reply.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let (_, (lease, address, files, epoch)) =
            (number, node_address, number, opt(number)).parse(text)?;
        Ok(Self {
            lease: Duration::from_secs(lease),
            address,
            files,
            epoch,
        })
    }

    /// Appends the whole line, without its end. Faster than formatting.
    pub(crate) fn append_to(&self, text: &mut Vec<u8>) {
        text.extend_from_slice(b"OK ");
        append_number(text, self.lease.as_secs());
        text.push(b' ');
        self.address.append_to(text);
        for number in [Some(self.files), self.epoch].into_iter().flatten() {
            text.push(b' ');
            append_number(text, number);
        }
    }
}

/// The whole line, without its end.
impl fmt::Display for Registered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = Vec::new();
        self.append_to(&mut text);
        f.write_str(&String::from_utf8_lossy(&text))
    }
}

/// The reply to `LISTEN`: `OK ip port`, the address whose messages the connection
/// receives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Listening(pub NodeAddress);

impl Listening {
    /// Parses the text after `OK`.
    ///
    /// # Errors
    /// The fields are not those of this reply.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        Ok(Self(node_address(text)?.1))
    }
}

/// The whole line, without its end.
impl fmt::Display for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OK {}", self.0)
    }
}

/// The reply to `PROVE`: `OK hex`, the proof of the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Proven(pub Proof);

/// The whole line, without its end.
impl fmt::Display for Proven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OK {}", self.0)
    }
}

/// The reply to an empty line: what kind of server this is, and what it has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Banner {
    /// A relay.
    Relay {
        /// Nodes that the client may see.
        nodes: u64,
        /// Distinct file names in the index.
        files: u64,
        /// The id of its key, if it has one.
        id: Option<KeyId>,
    },
    /// A node.
    Node {
        /// Files that the node shares.
        files: u64,
        /// The id of its key, if it has one.
        id: Option<KeyId>,
    },
    /// A server that tells nothing about itself before the client has shown its secret.
    Locked(ServerKind),
}

const END: &str = "; HELP lists the commands";
const LOCKED: &str = "a secret is needed";

impl Banner {
    /// Parses the text after `OK`.
    ///
    /// # Errors
    /// The text is not a banner of this version.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let text = text.strip_suffix(END).ok_or(ParseError)?;
        // Servers of older versions send no id.
        let (text, id) = match text.split_once(", id ") {
            Some((text, id)) => (text, Some(id.parse().map_err(|_| ParseError)?)),
            None => (text, None),
        };
        let counts: Vec<&str> = text.split(", ").collect();
        let count = |text: &str, noun: &str| {
            let (count, rest) = text.split_once(' ').ok_or(ParseError)?;
            let is_noun = rest.strip_suffix('s').unwrap_or(rest) == noun;
            count.parse().ok().filter(|_| is_noun).ok_or(ParseError)
        };
        match counts[..] {
            ["peerline relay", nodes, files] => Ok(Self::Relay {
                nodes: count(nodes, "node")?,
                files: count(files, "file")?,
                id,
            }),
            ["peerline node", files] if files != LOCKED => Ok(Self::Node {
                files: count(files, "file")?,
                id,
            }),
            ["peerline relay", LOCKED] => Ok(Self::Locked(ServerKind::Relay)),
            ["peerline node", LOCKED] => Ok(Self::Locked(ServerKind::Node)),
            _ => Err(ParseError),
        }
    }
}

/// The whole line, without its end.
impl fmt::Display for Banner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (files, id) = match *self {
            Self::Relay { nodes, files, id } => {
                write!(f, "OK peerline relay, {}", Counted(nodes, "node"))?;
                (files, id)
            }
            Self::Node { files, id } => {
                f.write_str("OK peerline node")?;
                (files, id)
            }
            Self::Locked(ServerKind::Relay) => {
                return write!(f, "OK peerline relay, {LOCKED}{END}");
            }
            Self::Locked(ServerKind::Node) => return write!(f, "OK peerline node, {LOCKED}{END}"),
        };
        write!(f, ", {}", Counted(files, "file"))?;
        if let Some(id) = id {
            write!(f, ", id {id}")?;
        }
        f.write_str(END)
    }
}
