//! The changes that relays tell each other: one line of text each, as on the wire.
//!
//! ```text
//! NODE ip port                         the node of the lines that follow
//! KEY id                               the key with which it is registered; - is no key
//! ADD source epoch lease relay id      it is new, and has no files yet; no id is the same as -
//! STATE source epoch lease relay id    it is still there; its files stay
//! REMOVE                               it has left
//! SHARE, SHAREDIGEST, UNSHARE          as the node announced it
//! RENEW lease ip port                  the lease of a node
//! LISTEN ip port, UNLISTEN ip port
//! VIA relay                            the relay that delivers the message that follows
//! MESSAGE ip port ip port text         to, from
//! ```
//!
//! A relay of an older version does not write `VIA`, and skips it: then each such relay with a
//! listener at the address delivers the message.
//!
//! The word `held` follows the id of a node that other relays already know with this key;
//! `key_conflicts` says what for. `KEY` comes first, unless `ADD` or `STATE` says the same. A
//! relay of an older version writes neither.
//!
//! A relay skips lines that it does not understand: they may be of a later version.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use crate::protocol::{Delivery, NodeAddress, Request, Text, canonical};
use crate::relay::shared_directory::InstanceId;
use crate::tls::KeyId;

/// The longest lease that a relay believes.
const MAX_LEASE: u64 = 365 * 24 * 3600;

/// A change of the directory that all relays share, or a message for a listener.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum DirectoryChange<'a> {
    /// The node of the changes that follow.
    Node(NodeAddress),
    /// The key with which that node is registered.
    Key(Option<KeyId>),
    /// The node is new.
    Add(NodeHeader),
    /// The node is there.
    State(NodeHeader),
    /// The node has left.
    Remove,
    /// `SHARE`, `SHAREDIGEST` or `UNSHARE` of the node.
    File(Request<'a>),
    /// A node has renewed its lease.
    Renew(Duration, NodeAddress),
    /// A connection receives the messages to this address.
    Listen(NodeAddress),
    /// It receives them no longer.
    Unlisten(NodeAddress),
    /// The relay that delivers the message that follows.
    Via(InstanceId),
    /// A message to the listener at an address.
    Message(NodeAddress, Delivery<'a>),
}

/// What the directory says about a node, beside its files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NodeHeader {
    /// The address that registered the node.
    pub source: IpAddr,
    /// Identifies the entry; see [`Registered::epoch`](crate::protocol::Registered::epoch).
    pub epoch: u64,
    /// In whole seconds.
    pub lease: Duration,
    /// The relay at which the node is registered, as a number that differs for each start of
    /// a relay.
    pub relay: u64,
    /// The key of the node, if it has shown one.
    pub key: Option<KeyId>,
    /// Other relays already know the node with this key.
    pub is_held: bool,
}

impl<'a> DirectoryChange<'a> {
    /// Parses a line without its end. None if it is not a change.
    #[must_use]
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(line).ok()?;
        let (word, fields) = text.split_once(' ').unwrap_or((text, ""));
        Some(match word {
            "NODE" => Self::Node(NodeAddress::parse(fields).ok()?),
            "KEY" => Self::Key(parse_key(fields)?),
            "ADD" => Self::Add(NodeHeader::parse(fields)?),
            "STATE" => Self::State(NodeHeader::parse(fields)?),
            "REMOVE" => Self::Remove,
            "RENEW" => {
                let (lease, address) = fields.split_once(' ')?;
                Self::Renew(parse_lease(lease)?, NodeAddress::parse(address).ok()?)
            }
            "LISTEN" => Self::Listen(NodeAddress::parse(fields).ok()?),
            "UNLISTEN" => Self::Unlisten(NodeAddress::parse(fields).ok()?),
            "VIA" => Self::Via(fields.parse().ok()?),
            "MESSAGE" => {
                let mut words = fields.splitn(5, ' ');
                let mut address = || {
                    let ip: IpAddr = words.next()?.parse().ok()?;
                    NodeAddress::new(ip, words.next()?.parse().ok()?).ok()
                };
                let (to, from) = (address()?, address()?);
                let text = Text::parse(words.next()?).ok()?;
                Self::Message(to, Delivery { from, text })
            }
            _ => match Request::parse(line).ok()? {
                request @ (Request::Share(..) | Request::ShareDigest(..) | Request::Unshare(_)) => {
                    Self::File(request)
                }
                _ => return None,
            },
        })
    }
}

/// The line, without its end.
impl fmt::Display for DirectoryChange<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node(address) => write!(f, "NODE {address}"),
            Self::Key(Some(key)) => write!(f, "KEY {key}"),
            Self::Key(None) => f.write_str("KEY -"),
            Self::Add(header) => write!(f, "ADD {header}"),
            Self::State(header) => write!(f, "STATE {header}"),
            Self::Remove => f.write_str("REMOVE"),
            Self::File(request) => request.fmt(f),
            Self::Renew(lease, address) => write!(f, "RENEW {} {address}", lease.as_secs()),
            Self::Listen(address) => write!(f, "LISTEN {address}"),
            Self::Unlisten(address) => write!(f, "UNLISTEN {address}"),
            Self::Via(relay) => write!(f, "VIA {relay}"),
            Self::Message(to, Delivery { from, text }) => {
                write!(f, "MESSAGE {to} {from} {text}")
            }
        }
    }
}

impl NodeHeader {
    /// Parses `source epoch lease relay [id [held]]`. Ignores fields after them: a later version
    /// may write some.
    #[must_use]
    pub fn parse(fields: &str) -> Option<Self> {
        let mut words = fields.split(' ');
        let header = Self {
            source: canonical(words.next()?.parse().ok()?),
            epoch: words.next()?.parse().ok()?,
            lease: parse_lease(words.next()?)?,
            relay: words.next()?.parse().ok()?,
            key: parse_key(words.next().unwrap_or("-"))?,
            is_held: false,
        };
        let is_held = header.key.is_some() && words.next() == Some("held");
        Some(Self { is_held, ..header })
    }
}

impl fmt::Display for NodeHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (source, epoch, lease) = (self.source, self.epoch, self.lease.as_secs());
        write!(f, "{source} {epoch} {lease} {}", self.relay)?;
        match self.key {
            Some(key) if self.is_held => write!(f, " {key} held"),
            Some(key) => write!(f, " {key}"),
            None => Ok(()),
        }
    }
}

/// Parses the id of a key, or `-` for no key.
fn parse_key(text: &str) -> Option<Option<KeyId>> {
    match text {
        "-" => Some(None),
        id => Some(Some(id.parse().ok()?)),
    }
}

fn parse_lease(text: &str) -> Option<Duration> {
    let seconds = text.parse().ok()?;
    (1..=MAX_LEASE)
        .contains(&seconds)
        .then(|| Duration::from_secs(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_printed_change_parses_to_itself() {
        let hash = "a".repeat(64);
        for line in [
            "NODE 192.0.2.1 9001",
            "NODE 2001:db8::1 1",
            "ADD 192.0.2.1 1234567890123 60 7",
            "STATE ::1 18446744073709551615 1 18446744073709551615",
            "STATE ::1 5 60 7 sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
            "STATE ::1 5 60 7 sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= held",
            "KEY sha256//AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
            "KEY -",
            "REMOVE",
            "SHARE 18446744073709551615 - a b",
            &format!("SHAREDIGEST {hash} sha-256 {hash} a"),
            "UNSHARE c/é",
            "RENEW 60 192.0.2.1 9001",
            "LISTEN 192.0.2.1 9001",
            "UNLISTEN 192.0.2.1 9001",
            "VIA 00000000000000ff",
            "MESSAGE 192.0.2.1 9001 192.0.2.2 9002 hello  you",
        ] {
            let change = DirectoryChange::parse(line.as_bytes()).expect(line);
            assert_eq!(change.to_string(), line);
        }
    }

    #[test]
    fn fields_of_a_later_version_are_ignored() {
        let header = NodeHeader::parse("192.0.2.1 1 60 7").expect("a header");
        assert_eq!(NodeHeader::parse("192.0.2.1 1 60 7 - more"), Some(header));
    }

    #[test]
    fn other_lines_are_no_changes() {
        for line in [
            "",
            "NODE",
            "NODE 0.0.0.0 1",
            "NODE * 1",
            "KEY",
            "KEY key",
            "ADD 192.0.2.1 x 60 1",
            "ADD 192.0.2.1 1 60",
            "ADD 192.0.2.1 1 60 1 key",
            "ADD 192.0.2.1 1 0 1",
            "ADD 192.0.2.1 1 99999999999 1",
            "SHARE 1 - ../a",
            "SHARE -1 - a",
            "FIND a",
            "QUIT",
            "RENEW 60",
            "VIA",
            "VIA relay",
            "MESSAGE 192.0.2.1 9001 192.0.2.2 9002",
            "MESSAGE 192.0.2.1 0 192.0.2.2 9002 a",
        ] {
            assert_eq!(DirectoryChange::parse(line.as_bytes()), None, "{line}");
        }
        assert_eq!(DirectoryChange::parse(b"UNSHARE \xff"), None);
    }
}
