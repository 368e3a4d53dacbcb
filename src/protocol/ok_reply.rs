//! `OK` replies with values of their own.

use std::fmt;

use crate::counted::Counted;
use crate::protocol::address::NodeAddress;
use crate::protocol::reply::ReplyError;

/// The reply to `LISTEN`: `OK ip port`, the address whose messages the connection
/// receives.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Listening(pub NodeAddress);

impl Listening {
    /// Parses the text after `OK`.
    ///
    /// # Errors
    /// The fields are not those of this reply.
    pub fn parse(text: &str) -> Result<Self, ReplyError> {
        NodeAddress::parse(text).map(Self).map_err(|_| ReplyError)
    }
}

/// The whole line, without its end.
impl fmt::Display for Listening {
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
    },
    /// A node.
    Node {
        /// Files that the node shares.
        files: u64,
    },
}

const END: &str = "; HELP lists the commands";

impl Banner {
    /// Parses the text after `OK`.
    ///
    /// # Errors
    /// The text is not a banner of this version.
    pub fn parse(text: &str) -> Result<Self, ReplyError> {
        let text = text.strip_suffix(END).ok_or(ReplyError)?;
        let counts: Vec<&str> = text.split(", ").collect();
        let count = |text: &str, noun: &str| {
            let (count, rest) = text.split_once(' ').ok_or(ReplyError)?;
            let is_noun = rest.strip_suffix('s').unwrap_or(rest) == noun;
            count.parse().ok().filter(|_| is_noun).ok_or(ReplyError)
        };
        match counts[..] {
            ["peerline relay", nodes, files] => Ok(Self::Relay {
                nodes: count(nodes, "node")?,
                files: count(files, "file")?,
            }),
            ["peerline node", files] => Ok(Self::Node {
                files: count(files, "file")?,
            }),
            _ => Err(ReplyError),
        }
    }
}

/// The whole line, without its end.
impl fmt::Display for Banner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files = match *self {
            Self::Relay { nodes, files } => {
                write!(f, "OK peerline relay, {}", Counted(nodes, "node"))?;
                files
            }
            Self::Node { files } => {
                f.write_str("OK peerline node")?;
                files
            }
        };
        write!(f, ", {}{END}", Counted(files, "file"))
    }
}
