//! What a client may ask: one line, `VERB field field … last`.

use std::fmt;

use nom::bytes::complete::take_till1;
use nom::combinator::all_consuming;
use nom::{IResult, Parser};

use crate::protocol::address::{ClaimedIp, NodeAddress, Port, claim};
use crate::protocol::fields::{hash, is_blank, last, number, trim};
use crate::protocol::hash::MaybeHash;
use crate::protocol::name::FileName;
use crate::protocol::rejection::RequestError;
use crate::protocol::text::Text;

/// The words that start a request. On input their case does not matter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verb {
    /// A node says where it is, and again before its lease ends.
    Register,
    /// A node leaves.
    Unregister,
    /// The relay lists its nodes, a node its files.
    List,
    /// A node has a file.
    Share,
    /// A node has it no longer.
    Unshare,
    /// Who has a file of exactly this name?
    Find,
    /// Which files have names with this in it?
    Search,
    /// The last list goes on.
    More,
    /// A node sends a file.
    Get,
    /// What a node knows of a file.
    Stat,
    /// This connection receives messages.
    Listen,
    /// A message to somebody who listens.
    Send,
    /// Is anybody there?
    Ping,
    /// Figures about the server.
    Stats,
    /// The commands of the server.
    Help,
    /// Goodbye.
    Quit,
}

impl Verb {
    /// All of them, in the order in which they are explained.
    pub const ALL: [Self; 16] = [
        Self::Register,
        Self::Unregister,
        Self::List,
        Self::Share,
        Self::Unshare,
        Self::Find,
        Self::Search,
        Self::More,
        Self::Get,
        Self::Stat,
        Self::Listen,
        Self::Send,
        Self::Ping,
        Self::Stats,
        Self::Help,
        Self::Quit,
    ];

    /// The word on the wire.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Register => "REGISTER",
            Self::Unregister => "UNREGISTER",
            Self::List => "LIST",
            Self::Share => "SHARE",
            Self::Unshare => "UNSHARE",
            Self::Find => "FIND",
            Self::Search => "SEARCH",
            Self::More => "MORE",
            Self::Get => "GET",
            Self::Stat => "STAT",
            Self::Listen => "LISTEN",
            Self::Send => "SEND",
            Self::Ping => "PING",
            Self::Stats => "STATS",
            Self::Help => "HELP",
            Self::Quit => "QUIT",
        }
    }

    /// The right form of the whole line.
    #[must_use]
    pub fn usage(self) -> &'static str {
        match self {
            Self::Register => "REGISTER ip port",
            Self::Unregister => "UNREGISTER ip port",
            Self::Share => "SHARE size hash name",
            Self::Unshare => "UNSHARE name",
            Self::Find => "FIND name",
            Self::Search => "SEARCH text",
            Self::Get => "GET name",
            Self::Stat => "STAT name",
            Self::Send => "SEND ip port text",
            Self::List
            | Self::More
            | Self::Listen
            | Self::Ping
            | Self::Stats
            | Self::Help
            | Self::Quit => self.word(),
        }
    }

    fn parse(word: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|verb| verb.word().eq_ignore_ascii_case(word))
    }
}

/// One request, parsed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request<'a> {
    /// An empty line: who is there?
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
    /// `SEARCH text`; without a text, everything.
    Search(&'a str),
    /// `MORE`
    More,
    /// `GET name`
    Get(FileName<'a>),
    /// `STAT name`
    Stat(FileName<'a>),
    /// `LISTEN`
    Listen,
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
    /// Reads one line without its end.
    ///
    /// # Errors
    /// What is wrong with it; [`RequestError`] prints as the answer to give.
    pub fn parse(line: &'a [u8]) -> Result<Self, RequestError<'a>> {
        let line = trim(std::str::from_utf8(line).map_err(|_| RequestError::NotUtf8)?);
        if line.is_empty() {
            return Ok(Self::Banner);
        }
        let (fields, word) = word(line).map_err(|_| RequestError::UnknownVerb(line))?;
        let verb = Verb::parse(word).ok_or(RequestError::UnknownVerb(word))?;
        Self::with_fields(verb, fields)
    }

    /// Its verb; an empty line has none.
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
            Self::Stat(_) => Verb::Stat,
            Self::Listen => Verb::Listen,
            Self::Send(..) => Verb::Send,
            Self::Ping => Verb::Ping,
            Self::Stats => Verb::Stats,
            Self::Help => Verb::Help,
            Self::Quit => Verb::Quit,
        })
    }

    /// The verb is known: from here on an error shows that verb's form.
    fn with_fields(verb: Verb, fields: &'a str) -> Result<Self, RequestError<'a>> {
        let form = |_: nom::Err<nom::error::Error<&str>>| RequestError::Form(verb);
        let alone = |request: Self| {
            if fields.is_empty() {
                Ok(request)
            } else {
                Err(RequestError::Form(verb))
            }
        };
        let name = |text| FileName::parse(text).map_err(|why| RequestError::Name(verb, why));
        match verb {
            Verb::Register | Verb::Unregister => {
                let (_, (ip, port)) = all_consuming(claim).parse(fields).map_err(form)?;
                if let ClaimedIp::Is(ip) = ip {
                    NodeAddress::new(ip, port).map_err(|why| RequestError::Address(verb, why))?;
                }
                Ok(if verb == Verb::Register {
                    Self::Register(ip, port)
                } else {
                    Self::Unregister(ip, port)
                })
            }
            Verb::Get | Verb::Stat | Verb::Find | Verb::Unshare => {
                let (_, text) = last(fields).map_err(form)?;
                let name = name(text)?;
                Ok(match verb {
                    Verb::Stat => Self::Stat(name),
                    Verb::Find => Self::Find(name),
                    Verb::Unshare => Self::Unshare(name),
                    _ => Self::Get(name),
                })
            }
            Verb::Share => {
                let (_, (size, hash, text)) = (number, hash, last).parse(fields).map_err(form)?;
                Ok(Self::Share(size, hash, name(text)?))
            }
            Verb::Search => Ok(Self::Search(trim(fields))),
            Verb::Send => {
                let (_, ((ip, port), text)) = (claim, last).parse(fields).map_err(form)?;
                let ClaimedIp::Is(ip) = ip else {
                    return Err(RequestError::Form(verb));
                };
                let address =
                    NodeAddress::new(ip, port).map_err(|why| RequestError::Address(verb, why))?;
                Text::parse(text)
                    .map(|text| Self::Send(address, text))
                    .map_err(|why| RequestError::Text(verb, why))
            }
            Verb::Listen => alone(Self::Listen),
            Verb::List => alone(Self::List),
            Verb::More => alone(Self::More),
            Verb::Ping => alone(Self::Ping),
            Verb::Stats => alone(Self::Stats),
            Verb::Help => alone(Self::Help),
            Verb::Quit => alone(Self::Quit),
        }
    }
}

/// The first field of a trimmed line.
fn word(line: &str) -> IResult<&str, &str> {
    take_till1(is_blank).parse(line)
}

/// As on the wire; parsing it again gives the same request.
impl fmt::Display for Request<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(verb) = self.verb() else {
            return Ok(());
        };
        f.write_str(verb.word())?;
        match self {
            Self::Register(ip, port) | Self::Unregister(ip, port) => write!(f, " {ip} {port}"),
            Self::Get(name) | Self::Stat(name) | Self::Find(name) | Self::Unshare(name) => {
                write!(f, " {name}")
            }
            Self::Share(size, hash, name) => write!(f, " {size} {hash} {name}"),
            Self::Search("") => Ok(()),
            Self::Search(text) => write!(f, " {text}"),
            Self::Send(address, text) => write!(f, " {address} {text}"),
            Self::Banner
            | Self::List
            | Self::More
            | Self::Listen
            | Self::Ping
            | Self::Stats
            | Self::Help
            | Self::Quit => Ok(()),
        }
    }
}
