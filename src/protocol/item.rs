//! The lines of lists.

use std::fmt;
use std::net::IpAddr;

use nom::Parser;

use crate::protocol::address::{NodeAddress, node_address};
use crate::protocol::fields::{ParseError, field, hash, last, number, trim};
use crate::protocol::hash::MaybeHash;
use crate::protocol::name::FileName;
use crate::protocol::pieces::PieceValue;
use crate::tls::KeyId;

/// The items of a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ItemKind {
    /// [`NodeItem`]
    Node,
    /// [`HolderItem`]
    Holder,
    /// [`FileItem`]
    File,
    /// [`PieceValue`]
    Piece,
    /// A line for people, a name and a figure, or a connection.
    Text,
}

/// An item of a list that a client reads.
#[derive(PartialEq, Eq, Debug)]
pub enum Item<'a> {
    /// An item of `NODES`.
    Node(NodeItem),
    /// An item of `HOLDERS`.
    Holder(HolderItem),
    /// An item of `FILES`.
    File(FileItem<'a>),
    /// An item of `PIECES`.
    Piece(PieceValue),
    /// A line of `STATS`, `CONNECTIONS` or `HELP`; no program reads it.
    Text,
    /// A line in a form that this version does not know.
    Unknown(&'a [u8]),
}

impl ItemKind {
    /// Reads a line of a list of this kind.
    #[must_use]
    pub fn parse(self, line: &[u8]) -> Item<'_> {
        let text = std::str::from_utf8(line).ok();
        let item = text.and_then(|text| match self {
            Self::Node => NodeItem::parse(text).ok().map(Item::Node),
            Self::Holder => HolderItem::parse(text).ok().map(Item::Holder),
            Self::File => FileItem::parse(text).ok().map(Item::File),
            Self::Piece => piece(text).map(Item::Piece),
            Self::Text => Some(Item::Text),
        });
        item.unwrap_or(Item::Unknown(line))
    }
}

/// One line of a list of pieces. Ignores fields after the known one.
fn piece(line: &str) -> Option<PieceValue> {
    let (_, value) = field(line).ok()?;
    value.parse().ok()
}

/// One line of a list of files: `size hash holders name`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FileItem<'a> {
    /// In bytes.
    pub size: u64,
    /// The hash of the content.
    pub hash: MaybeHash,
    /// Nodes that have this content under this name.
    pub holders: u64,
    /// The last field, because a name may contain blanks.
    pub name: FileName<'a>,
}

impl<'a> FileItem<'a> {
    /// Parses one line without its end.
    ///
    /// # Errors
    /// The line does not have this form, or the name is not valid.
    pub fn parse(line: &'a str) -> Result<Self, ParseError> {
        let (_, (size, hash, holders, name)) = (number, hash, number, last).parse(trim(line))?;
        Ok(Self {
            size,
            hash,
            holders,
            name: FileName::parse(name).map_err(|_| ParseError)?,
        })
    }
}

/// As on the wire.
impl fmt::Display for FileItem<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} {} {} {}",
            self.size, self.hash, self.holders, self.name
        )
    }
}

/// One line of a list of nodes: `ip port`, and the id of the node if the relay knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NodeItem {
    /// Where the node is.
    pub address: NodeAddress,
    /// The key with which the node has registered, if it has shown one.
    pub id: Option<KeyId>,
}

impl NodeItem {
    /// Parses one line without its end. Ignores fields after the known ones.
    ///
    /// # Errors
    /// The line does not have this form.
    pub fn parse(line: &str) -> Result<Self, ParseError> {
        let (rest, address) = node_address(trim(line))?;
        let id = optional_id(rest);
        Ok(Self { address, id })
    }

    /// Appends the item as on the wire. Faster than formatting: a list may have a million of
    /// them.
    pub(crate) fn append_to(&self, text: &mut Vec<u8>) {
        self.address.append_to(text);
        if let Some(id) = self.id {
            text.extend_from_slice(format!(" {id}").as_bytes());
        }
    }
}

/// A node of which no id is known.
impl From<NodeAddress> for NodeItem {
    fn from(address: NodeAddress) -> Self {
        Self { address, id: None }
    }
}

/// As on the wire.
impl fmt::Display for NodeItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.address.fmt(f)?;
        write_id(f, self.id)
    }
}

/// The next field, if it is an id. Another field is one of a later version.
fn optional_id(input: &str) -> Option<KeyId> {
    field(input).ok()?.1.parse().ok()
}

fn write_id(f: &mut fmt::Formatter<'_>, id: Option<KeyId>) -> fmt::Result {
    match id {
        Some(id) => write!(f, " {id}"),
        None => Ok(()),
    }
}

/// One line of a list of holders: `ip port size hash`, and the id of the node if the relay
/// knows it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HolderItem {
    /// The node that has the file.
    pub node: NodeAddress,
    /// In bytes.
    pub size: u64,
    /// The hash of the content.
    pub hash: MaybeHash,
    /// The key with which the node has registered, if it has shown one.
    pub id: Option<KeyId>,
}

impl HolderItem {
    /// Parses one line without its end. Ignores fields after the known ones.
    ///
    /// # Errors
    /// The line does not have this form.
    pub fn parse(line: &str) -> Result<Self, ParseError> {
        let (rest, (node, size, hash)) = (node_address, number, hash).parse(trim(line))?;
        Ok(Self {
            node,
            size,
            hash,
            id: optional_id(rest),
        })
    }
}

/// As on the wire.
impl fmt::Display for HolderItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.node, self.size, self.hash)?;
        write_id(f, self.id)
    }
}

/// One line of the reply to `STATS`: `name value`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StatsItem<'a> {
    /// One word.
    pub name: &'a str,
    /// A count, or an amount in the unit that the name says.
    pub value: u64,
}

impl<'a> StatsItem<'a> {
    /// Parses one line without its end. Ignores fields after the known ones.
    ///
    /// # Errors
    /// The line does not have this form.
    pub fn parse(line: &'a str) -> Result<Self, ParseError> {
        let (_, (name, value)) = (field, number).parse(line)?;
        Ok(Self { name, value })
    }
}

/// As on the wire.
impl fmt::Display for StatsItem<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.value)
    }
}

/// One line of the reply to `CONNECTIONS`: `ip port seconds in out rate verb`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ConnectionItem<'a> {
    /// The client's address as the server sees it.
    pub ip: IpAddr,
    /// Its port.
    pub port: u16,
    /// How long the connection is open.
    pub seconds: u64,
    /// Bytes that the server has received.
    pub bytes_in: u64,
    /// Bytes that it has sent.
    pub bytes_out: u64,
    /// Bytes per second, in both directions, since the list before this one or, in the first
    /// list with this connection, since it was opened.
    pub rate: u64,
    /// The last request; `-` if there was none.
    pub verb: &'a str,
}

impl<'a> ConnectionItem<'a> {
    /// Parses one line without its end. Ignores fields after the known ones.
    ///
    /// # Errors
    /// The line does not have this form.
    pub fn parse(line: &'a str) -> Result<Self, ParseError> {
        let (rest, ip) = field(trim(line))?;
        let mut numbers = (number, number, number, number, number, field);
        let (_, (port, seconds, bytes_in, bytes_out, rate, verb)) = numbers.parse(rest)?;
        Ok(Self {
            ip: ip.parse().map_err(|_| ParseError)?,
            port,
            seconds,
            bytes_in,
            bytes_out,
            rate,
            verb,
        })
    }
}

/// As on the wire.
impl fmt::Display for ConnectionItem<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ip, port, .. } = self;
        write!(
            f,
            "{ip} {port} {} {} {} {} {}",
            self.seconds, self.bytes_in, self.bytes_out, self.rate, self.verb
        )
    }
}

/// One line of the reply to `HELP`: the form of a request, two or more blanks,
/// and its meaning.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HelpItem<'a> {
    /// See [`Verb::usage`](super::Verb::usage).
    pub usage: &'a str,
    /// For people.
    pub meaning: &'a str,
}

impl<'a> HelpItem<'a> {
    /// The length of the longest usage, in characters.
    pub const USAGE_WIDTH: usize = "SHAREDIGEST hash sha-256 hex name".len();

    /// Parses one line without its end.
    ///
    /// # Errors
    /// The line does not have this form.
    pub fn parse(line: &'a str) -> Result<Self, ParseError> {
        let (usage, meaning) = trim(line).split_once("  ").ok_or(ParseError)?;
        let meaning = trim(meaning);
        Ok(Self { usage, meaning })
    }
}

/// As on the wire, in two columns.
impl fmt::Display for HelpItem<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = Self::USAGE_WIDTH;
        write!(f, "{:<width$}  {}", self.usage, self.meaning)
    }
}
