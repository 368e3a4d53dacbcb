//! Which field of a request is wrong, for the person who has typed it.

use std::fmt;
use std::net::IpAddr;

use crate::escaped::Escaped;
use crate::protocol::address::Port;
use crate::protocol::fields::{decimal, field};
use crate::protocol::hash::{ContentHash, MaybeHash, parse_hex};
use crate::protocol::verb::Verb;

/// The first field of a request that does not have its form. Prints as the reason.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FieldError<'a> {
    /// The line ends before this field.
    Missing(&'static str),
    /// This word follows the last field.
    Extra(&'a str),
    /// The field is not an IP address.
    Ip(&'a str, Verb),
    /// The field is not a port.
    Port(&'a str),
    /// The field of this name is not a number of bytes.
    Number(&'static str, &'a str),
    /// The field is not a hash, or is `-` where the hash has to be known. Zeros are no hash.
    Hash(&'a str, Verb),
    /// The field is not the name of an algorithm.
    Algorithm(&'a str),
    /// The field is not a proof. It may be a secret, which is never repeated.
    Proof,
}

impl<'a> FieldError<'a> {
    /// Compares the fields with the form of the verb, word by word. Only for lines that the
    /// parser of requests has refused: returns none if all fields before a name or a text are
    /// right.
    pub(super) fn find(verb: Verb, fields: &'a str) -> Option<Self> {
        let mut rest = fields;
        for name in verb.usage().split(' ').skip(1) {
            let Ok((after, text)) = field(rest) else {
                return Some(Self::Missing(name));
            };
            if let Some(error) = Self::of_field(verb, name, text) {
                return Some(error);
            }
            if ["name", "text", "secret"].contains(&name) {
                // It extends to the end of the line.
                return None;
            }
            rest = after;
        }
        field(rest).ok().map(|(_, extra)| Self::Extra(extra))
    }

    /// The error of the field that the form calls `name`.
    fn of_field(verb: Verb, name: &'static str, text: &'a str) -> Option<Self> {
        let (is_valid, error) = match name {
            "ip" => {
                let is_own = text == "*" && verb != Verb::Send;
                (
                    is_own || text.parse::<IpAddr>().is_ok(),
                    Self::Ip(text, verb),
                )
            }
            "port" => (decimal::<Port>(text, text).is_some(), Self::Port(text)),
            "size" | "offset" | "length" => {
                let is_number = decimal::<u64>(text, text).is_some();
                (is_number, Self::Number(name, text))
            }
            "hash" => {
                let is_valid = match verb {
                    Verb::ShareDigest => text.parse::<ContentHash>().is_ok(),
                    _ => text.parse::<MaybeHash>().is_ok(),
                };
                (is_valid, Self::Hash(text, verb))
            }
            "sha-256" => (text == name, Self::Algorithm(text)),
            "hex" => {
                let error = match verb {
                    Verb::Prove => Self::Proof,
                    _ => Self::Hash(text, verb),
                };
                (parse_hex(text).is_ok(), error)
            }
            _ => return None,
        };
        (!is_valid).then_some(error)
    }
}

/// The most characters of a field that are shown.
const MAX_SHOWN: usize = 32;

/// A field as the client sent it, shortened.
pub(super) fn shown(text: &str) -> impl fmt::Display {
    fmt::from_fn(move |f| {
        let start: String = text.chars().take(MAX_SHOWN).collect();
        let more = if start.len() < text.len() { "…" } else { "" };
        write!(f, "{}{more}", Escaped::text(&start))
    })
}

impl fmt::Display for FieldError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(name) => write!(f, "the {name} is missing"),
            Self::Extra(text) => write!(f, "{} is too much", shown(text)),
            Self::Ip(text, Verb::Send) => {
                let text = shown(text);
                write!(f, "{text} is no IP address; WHO lists the addresses")
            }
            Self::Ip(text, _) => {
                let text = shown(text);
                write!(f, "{text} is no IP address; * means your own")
            }
            Self::Port(text) => write!(f, "{} is no port (1 to 65535)", shown(text)),
            Self::Number(name, text) => {
                let text = shown(text);
                write!(f, "{text} is no {name} (a number of bytes, in digits)")
            }
            // It has the form of a hash: the parser refuses no other value.
            Self::Hash(text, _) if parse_hex(text).is_ok() => {
                f.write_str("64 zeros are the hash of no content")
            }
            Self::Hash(text, Verb::ShareDigest) => {
                write!(f, "{} is no hash (64 hexadecimal digits)", shown(text))
            }
            Self::Hash(text, _) => {
                write!(
                    f,
                    "{} is no hash (64 hexadecimal digits, or -)",
                    shown(text)
                )
            }
            Self::Algorithm(text) => write!(f, "{} is no known algorithm (sha-256)", shown(text)),
            Self::Proof => {
                f.write_str("a proof has 64 hexadecimal digits; people type AUTH secret")
            }
        }
    }
}
