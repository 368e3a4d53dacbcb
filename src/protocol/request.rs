//! Requests: one line, `VERB field field … last`.

use std::fmt;

use nom::bytes::complete::take_till1;
use nom::combinator::all_consuming;
use nom::{IResult, Parser};

use crate::protocol::address::{ClaimedIp, NodeAddress, Port, claim};
use crate::protocol::digest::{Sha256Digest, sha256};
use crate::protocol::field_error::FieldError;
use crate::protocol::fields::{hash, is_blank, known_hash, last, number, trim};
use crate::protocol::hash::{ContentHash, MaybeHash};
use crate::protocol::name::FileName;
use crate::protocol::rejection::RequestError;
use crate::protocol::secret::{Proof, proof};
use crate::protocol::text::Text;
use crate::protocol::verb::Verb;

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
    /// `SHAREDIGEST hash sha-256 hex name`: the hash tells which content has the digest.
    ShareDigest(ContentHash, Sha256Digest, FileName<'a>),
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
    /// `DIGEST name`
    Digest(FileName<'a>),
    /// `STAT name`
    Stat(FileName<'a>),
    /// `LISTEN`
    Listen,
    /// `WHO`
    Who,
    /// `SEND ip port text`
    Send(NodeAddress, Text<'a>),
    /// `AUTH secret`. Never log it.
    Auth(&'a str),
    /// `PROVE hex`
    Prove(Proof),
    /// `PING`
    Ping,
    /// `STATS`
    Stats,
    /// `CONNECTIONS`
    Connections,
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
            Self::ShareDigest(..) => Verb::ShareDigest,
            Self::Unshare(_) => Verb::Unshare,
            Self::Find(_) => Verb::Find,
            Self::Search(_) => Verb::Search,
            Self::More => Verb::More,
            Self::Get(_) => Verb::Get,
            Self::Range { .. } => Verb::Range,
            Self::Pieces(_) => Verb::Pieces,
            Self::Digest(_) => Verb::Digest,
            Self::Stat(_) => Verb::Stat,
            Self::Listen => Verb::Listen,
            Self::Who => Verb::Who,
            Self::Send(..) => Verb::Send,
            Self::Auth(_) => Verb::Auth,
            Self::Prove(_) => Verb::Prove,
            Self::Ping => Verb::Ping,
            Self::Stats => Verb::Stats,
            Self::Connections => Verb::Connections,
            Self::Help => Verb::Help,
            Self::Quit => Verb::Quit,
        })
    }

    /// The name of the file whose content or metadata is requested.
    #[must_use]
    pub fn file_name(&self) -> Option<&FileName<'a>> {
        match self {
            Self::Get(name)
            | Self::Range { name, .. }
            | Self::Pieces(name)
            | Self::Digest(name)
            | Self::Stat(name) => Some(name),
            _ => None,
        }
    }

    /// Parses the fields of a request whose verb is known.
    fn parse_fields(verb: Verb, fields: &'a str) -> Result<Self, RequestError<'a>> {
        let form = |_: nom::Err<nom::error::Error<&str>>| malformed(verb, fields);
        let without_fields = |request: Self| match fields {
            "" => Ok(request),
            _ => Err(malformed(verb, fields)),
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
            Verb::Digest => only_name().map(Self::Digest),
            Verb::Stat => only_name().map(Self::Stat),
            Verb::Pieces => only_name().map(Self::Pieces),
            Verb::Find => only_name().map(Self::Find),
            Verb::Unshare => only_name().map(Self::Unshare),
            Verb::Share => {
                let (_, (size, hash, text)) = (number, hash, last).parse(fields).map_err(form)?;
                Ok(Self::Share(size, hash, name(text)?))
            }
            Verb::ShareDigest => {
                let (_, (hash, digest, text)) =
                    (known_hash, sha256, last).parse(fields).map_err(form)?;
                Ok(Self::ShareDigest(hash, digest, name(text)?))
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
            Verb::Send => Self::parse_message(fields),
            Verb::Auth => Ok(Self::Auth(last(fields).map_err(form)?.1)),
            Verb::Prove => Self::parse_proof(fields),
            Verb::Listen => without_fields(Self::Listen),
            Verb::Who => without_fields(Self::Who),
            Verb::List => without_fields(Self::List),
            Verb::More => without_fields(Self::More),
            Verb::Ping => without_fields(Self::Ping),
            Verb::Stats => without_fields(Self::Stats),
            Verb::Connections => without_fields(Self::Connections),
            Verb::Help => without_fields(Self::Help),
            Verb::Quit => without_fields(Self::Quit),
        }
    }

    /// Parses the field of `PROVE`.
    fn parse_proof(fields: &'a str) -> Result<Self, RequestError<'a>> {
        let parsed = all_consuming(proof).parse(fields);
        parsed
            .map(|(_, proof)| Self::Prove(proof))
            .map_err(|_| malformed(Verb::Prove, fields))
    }

    /// Parses the fields of `SEND`.
    fn parse_message(fields: &'a str) -> Result<Self, RequestError<'a>> {
        let verb = Verb::Send;
        let parsed = (claim, last).parse(fields);
        let (_, ((ip, port), text)) = parsed.map_err(|_| malformed(verb, fields))?;
        let ClaimedIp::Address(ip) = ip else {
            return Err(malformed(verb, fields));
        };
        let address = NodeAddress::new(ip, port).map_err(|why| RequestError::Address(verb, why))?;
        Text::parse(text)
            .map(|text| Self::Send(address, text))
            .map_err(|why| RequestError::Text(verb, why))
    }
}

/// The error of fields that do not have the form of the verb.
fn malformed(verb: Verb, fields: &str) -> RequestError<'_> {
    RequestError::Form(verb, FieldError::find(verb, fields))
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
            | Self::Digest(name)
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
            Self::ShareDigest(hash, digest, name) => write!(f, " {hash} {digest} {name}"),
            Self::Search("") => Ok(()),
            Self::Search(text) => write!(f, " {text}"),
            Self::Send(address, text) => write!(f, " {address} {text}"),
            Self::Auth(secret) => write!(f, " {secret}"),
            Self::Prove(proof) => write!(f, " {proof}"),
            Self::Banner
            | Self::List
            | Self::More
            | Self::Listen
            | Self::Who
            | Self::Ping
            | Self::Stats
            | Self::Connections
            | Self::Help
            | Self::Quit => Ok(()),
        }
    }
}
