//! Requests: one line, `VERB field field … last`.

use std::fmt;

use nom::bytes::complete::take_till1;
use nom::combinator::all_consuming;
use nom::{IResult, Parser};

use crate::protocol::address::{ClaimedIp, NodeAddress, Port, claim};
use crate::protocol::fields::{hash, is_blank, last, number, trim};
use crate::protocol::hash::MaybeHash;
use crate::protocol::name::FileName;
use crate::protocol::rejection::RequestError;
use crate::protocol::reply::Reply;
use crate::protocol::text::Text;

/// The first word of a request. Parsed without regard to case.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verb {
    /// Registers a node at the relay, or renews its lease.
    Register,
    /// Removes a node from the relay.
    Unregister,
    /// Lists the nodes of a relay, or the files of a node.
    List,
    /// Announces a file of a node.
    Share,
    /// Withdraws a file of a node.
    Unshare,
    /// Lists the nodes that have a file of this name.
    Find,
    /// Lists the files whose names contain a text.
    Search,
    /// Continues the last list of files.
    More,
    /// Downloads a file.
    Get,
    /// Downloads a part of a file.
    Range,
    /// Lists the values against which the pieces of a file are checked.
    Pieces,
    /// Describes a file.
    Stat,
    /// Makes the connection receive messages.
    Listen,
    /// Lists the addresses at which connections listen.
    Who,
    /// Sends a message to a connection that listens.
    Send,
    /// Tests whether the server responds.
    Ping,
    /// Shows statistics of the server.
    Stats,
    /// Lists the commands of the server.
    Help,
    /// Closes the connection.
    Quit,
}

impl Verb {
    /// All verbs, in the order of `HELP`.
    pub const ALL: [Self; 19] = [
        Self::Register,
        Self::Unregister,
        Self::Get,
        Self::Range,
        Self::Pieces,
        Self::Stat,
        Self::List,
        Self::Share,
        Self::Unshare,
        Self::Find,
        Self::Search,
        Self::More,
        Self::Listen,
        Self::Who,
        Self::Send,
        Self::Ping,
        Self::Stats,
        Self::Help,
        Self::Quit,
    ];

    /// The word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        self.row().0
    }

    /// The form of the whole line, for error texts and `HELP`.
    #[must_use]
    pub fn usage(self) -> &'static str {
        self.row().1
    }

    /// What a server does at this request, for `HELP`; nothing if it does not execute it.
    #[must_use]
    pub fn meaning(self, server: ServerKind) -> Option<&'static str> {
        let (_, _, relay, node) = self.row();
        let meaning = match server {
            ServerKind::Relay => relay,
            ServerKind::Node => node,
        };
        (!meaning.is_empty()).then_some(meaning)
    }

    /// The word, the form of the line, and what a relay and a node do.
    #[rustfmt::skip]
    fn row(self) -> (&'static str, &'static str, &'static str, &'static str) {
        match self {
            Self::Register => ("REGISTER", "REGISTER ip port", "registers a node; ip * is your address", ""),
            Self::Unregister => ("UNREGISTER", "UNREGISTER ip port", "removes a node", ""),
            Self::Get => ("GET", "GET name", "", "sends a file: FOUND size and its bytes"),
            Self::Range => ("RANGE", "RANGE offset length hash name", "", "sends a part of a file; hash - is any content"),
            Self::Pieces => ("PIECES", "PIECES name", "", "lists the hashes of the pieces of a file"),
            Self::Stat => ("STAT", "STAT name", "", "describes a file: STAT size hash mtime mode"),
            Self::List => ("LIST", "LIST", "lists the nodes: ip port", "lists the files: size hash 1 name"),
            Self::Share => ("SHARE", "SHARE size hash name", "announces a file of your node", ""),
            Self::Unshare => ("UNSHARE", "UNSHARE name", "withdraws a file of your node", ""),
            Self::Find => ("FIND", "FIND name", "lists who has a file: ip port size hash", ""),
            Self::Search => ("SEARCH", "SEARCH text", "lists all files, or those whose names contain text", ""),
            Self::More => ("MORE", "MORE", "lists the next files", "lists the next files"),
            Self::Listen => ("LISTEN", "LISTEN", "receives messages: FROM ip port text", ""),
            Self::Who => ("WHO", "WHO", "lists who receives messages: ip port", ""),
            Self::Send => ("SEND", "SEND ip port text", "sends a message to a listener", ""),
            Self::Ping => ("PING", "PING", "answers PONG", "answers PONG"),
            Self::Stats => ("STATS", "STATS", "lists figures about this relay", "lists figures about this node"),
            Self::Help => ("HELP", "HELP", "lists the commands", "lists the commands"),
            Self::Quit => ("QUIT", "QUIT", "closes the connection", "closes the connection"),
        }
    }

    /// Whether this may be the first line of the answer to a request of this verb.
    #[must_use]
    pub fn allows(self, reply: &Reply<'_>) -> bool {
        if let Reply::Error(..) = reply {
            return true;
        }
        match self {
            Self::Register
            | Self::Unregister
            | Self::Share
            | Self::Listen
            | Self::Send
            | Self::Quit => matches!(reply, Reply::Ok(_)),
            Self::Unshare => matches!(reply, Reply::Ok(_) | Reply::NotFound),
            Self::List => matches!(reply, Reply::Nodes(_) | Reply::Files { .. }),
            Self::Who => matches!(reply, Reply::Nodes(_)),
            Self::Search | Self::More => matches!(reply, Reply::Files { .. }),
            Self::Find => matches!(reply, Reply::Holders(_) | Reply::NotFound),
            Self::Get | Self::Range => matches!(reply, Reply::Found(_) | Reply::NotFound),
            Self::Pieces => matches!(reply, Reply::Pieces { .. } | Reply::NotFound),
            Self::Stat => matches!(reply, Reply::Stat(_) | Reply::NotFound),
            Self::Ping => matches!(reply, Reply::Pong),
            Self::Stats => matches!(reply, Reply::Stats(_)),
            Self::Help => matches!(reply, Reply::Help(_)),
        }
    }

    /// The verb of this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|verb| verb.word().eq_ignore_ascii_case(word))
    }
}

/// The two kinds of servers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ServerKind {
    /// The directory of the nodes.
    Relay,
    /// A node that shares files.
    Node,
}

/// A request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request<'a> {
    /// An empty line: asks for the banner.
    Banner,
    /// `REGISTER ip port`
    Register(ClaimedIp, Port),
    /// `UNREGISTER ip port`
    Unregister(ClaimedIp, Port),
    /// `LIST`
    List,
    /// `SHARE size hash name`
    Share(u64, MaybeHash, FileName<'a>),
    /// `UNSHARE name`
    Unshare(FileName<'a>),
    /// `FIND name`
    Find(FileName<'a>),
    /// `SEARCH text`; an empty text matches every file.
    Search(&'a str),
    /// `MORE`
    More,
    /// `GET name`
    Get(FileName<'a>),
    /// `RANGE offset length hash name`
    Range {
        /// The first byte.
        offset: u64,
        /// The number of bytes; those past the end of the file are left out.
        length: u64,
        /// The content that the client wants; none if it takes any.
        hash: MaybeHash,
        /// The last field, because a name may contain blanks.
        name: FileName<'a>,
    },
    /// `PIECES name`
    Pieces(FileName<'a>),
    /// `STAT name`
    Stat(FileName<'a>),
    /// `LISTEN`
    Listen,
    /// `WHO`
    Who,
    /// `SEND ip port text`
    Send(NodeAddress, Text<'a>),
    /// `PING`
    Ping,
    /// `STATS`
    Stats,
    /// `HELP`
    Help,
    /// `QUIT`
    Quit,
}

impl<'a> Request<'a> {
    /// Parses one line without its end.
    ///
    /// # Errors
    /// The rule that the line breaks.
    pub fn parse(line: &'a [u8]) -> Result<Self, RequestError<'a>> {
        let line = trim(std::str::from_utf8(line).map_err(|_| RequestError::NotUtf8)?);
        if line.is_empty() {
            return Ok(Self::Banner);
        }
        let (fields, word) = first_word(line).map_err(|_| RequestError::UnknownVerb(line))?;
        let verb = Verb::parse(word).ok_or(RequestError::UnknownVerb(word))?;
        Self::parse_fields(verb, fields)
    }

    /// The verb; an empty line has none.
    #[must_use]
    pub fn verb(&self) -> Option<Verb> {
        Some(match self {
            Self::Banner => return None,
            Self::Register(..) => Verb::Register,
            Self::Unregister(..) => Verb::Unregister,
            Self::List => Verb::List,
            Self::Share(..) => Verb::Share,
            Self::Unshare(_) => Verb::Unshare,
            Self::Find(_) => Verb::Find,
            Self::Search(_) => Verb::Search,
            Self::More => Verb::More,
            Self::Get(_) => Verb::Get,
            Self::Range { .. } => Verb::Range,
            Self::Pieces(_) => Verb::Pieces,
            Self::Stat(_) => Verb::Stat,
            Self::Listen => Verb::Listen,
            Self::Who => Verb::Who,
            Self::Send(..) => Verb::Send,
            Self::Ping => Verb::Ping,
            Self::Stats => Verb::Stats,
            Self::Help => Verb::Help,
            Self::Quit => Verb::Quit,
        })
    }

    /// The name of the file whose content or metadata is requested.
    #[must_use]
    pub fn file_name(&self) -> Option<&FileName<'a>> {
        match self {
            Self::Get(name) | Self::Range { name, .. } | Self::Pieces(name) | Self::Stat(name) => {
                Some(name)
            }
            _ => None,
        }
    }

    /// Parses the fields of a request whose verb is known.
    fn parse_fields(verb: Verb, fields: &'a str) -> Result<Self, RequestError<'a>> {
        let form = |_: nom::Err<nom::error::Error<&str>>| RequestError::Form(verb);
        let without_fields = |request: Self| match fields {
            "" => Ok(request),
            _ => Err(RequestError::Form(verb)),
        };
        let name = |text| FileName::parse(text).map_err(|why| RequestError::Name(verb, why));
        let only_name = || name(last(fields).map_err(form)?.1);
        match verb {
            Verb::Register | Verb::Unregister => {
                let (_, (ip, port)) = all_consuming(claim).parse(fields).map_err(form)?;
                if let ClaimedIp::Address(ip) = ip {
                    NodeAddress::new(ip, port).map_err(|why| RequestError::Address(verb, why))?;
                }
                Ok(match verb {
                    Verb::Register => Self::Register(ip, port),
                    _ => Self::Unregister(ip, port),
                })
            }
            Verb::Get => only_name().map(Self::Get),
            Verb::Stat => only_name().map(Self::Stat),
            Verb::Pieces => only_name().map(Self::Pieces),
            Verb::Find => only_name().map(Self::Find),
            Verb::Unshare => only_name().map(Self::Unshare),
            Verb::Share => {
                let (_, (size, hash, text)) = (number, hash, last).parse(fields).map_err(form)?;
                Ok(Self::Share(size, hash, name(text)?))
            }
            Verb::Range => {
                let (_, (offset, length, hash, text)) =
                    (number, number, hash, last).parse(fields).map_err(form)?;
                Ok(Self::Range {
                    offset,
                    length,
                    hash,
                    name: name(text)?,
                })
            }
            Verb::Search => Ok(Self::Search(trim(fields))),
            Verb::Send => {
                let (_, ((ip, port), text)) = (claim, last).parse(fields).map_err(form)?;
                let ClaimedIp::Address(ip) = ip else {
                    return Err(RequestError::Form(verb));
                };
                let address =
                    NodeAddress::new(ip, port).map_err(|why| RequestError::Address(verb, why))?;
                Text::parse(text)
                    .map(|text| Self::Send(address, text))
                    .map_err(|why| RequestError::Text(verb, why))
            }
            Verb::Listen => without_fields(Self::Listen),
            Verb::Who => without_fields(Self::Who),
            Verb::List => without_fields(Self::List),
            Verb::More => without_fields(Self::More),
            Verb::Ping => without_fields(Self::Ping),
            Verb::Stats => without_fields(Self::Stats),
            Verb::Help => without_fields(Self::Help),
            Verb::Quit => without_fields(Self::Quit),
        }
    }
}

/// The first field of a trimmed line.
fn first_word(line: &str) -> IResult<&str, &str> {
    take_till1(is_blank).parse(line)
}

/// As on the wire, without the end of the line.
impl fmt::Display for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(verb) = self.verb() else {
            return Ok(());
        };
        f.write_str(verb.word())?;
        match self {
            Self::Register(ip, port) | Self::Unregister(ip, port) => write!(f, " {ip} {port}"),
            Self::Get(name)
            | Self::Pieces(name)
            | Self::Stat(name)
            | Self::Find(name)
            | Self::Unshare(name) => write!(f, " {name}"),
            Self::Range {
                offset,
                length,
                hash,
                name,
            } => write!(f, " {offset} {length} {hash} {name}"),
            Self::Share(size, hash, name) => write!(f, " {size} {hash} {name}"),
            Self::Search("") => Ok(()),
            Self::Search(text) => write!(f, " {text}"),
            Self::Send(address, text) => write!(f, " {address} {text}"),
            Self::Banner
            | Self::List
            | Self::More
            | Self::Listen
            | Self::Who
            | Self::Ping
            | Self::Stats
            | Self::Help
            | Self::Quit => Ok(()),
        }
    }
}
