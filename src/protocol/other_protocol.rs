//! Detection of lines of other protocols.
//!
//! A web page can make a browser send bytes to any port. No part of such a request
//! may be executed, so a line of another protocol closes the connection.

use std::fmt;

use crate::protocol::fields::is_blank;

/// The first byte of a TLS connection, the type of a handshake record (RFC 8446, 5.1).
pub(crate) const TLS_FIRST_BYTE: u8 = 0x16;

/// A protocol that a server recognises and does not support.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OtherProtocol {
    /// HTTP of any version.
    Http,
    /// A TLS handshake.
    Tls,
}

impl OtherProtocol {
    /// The protocol to which a whole line belongs, if it is not this one. `is_first`
    /// says whether the line is the first of its connection.
    ///
    /// A first line is HTTP if it has exactly three fields, the second starts with
    /// `/` and the third is `HTTP/x.y`: no valid file name starts with `/`. Any line
    /// is HTTP if it starts with `Host:`, `POST`, `PUT` or `OPTIONS`.
    #[must_use]
    pub fn detect(line: &[u8], is_first: bool) -> Option<Self> {
        if is_first && line.first() == Some(&TLS_FIRST_BYTE) {
            return Some(Self::Tls);
        }
        // Bytes, not text: a line of HTTP need not be UTF-8.
        let is_blank = |byte: &u8| is_blank(char::from(*byte));
        let mut fields = line.split(is_blank).filter(|field| !field.is_empty());
        let first = fields.next()?;
        let is_verb = ["POST", "PUT", "OPTIONS"]
            .iter()
            .any(|verb| first.eq_ignore_ascii_case(verb.as_bytes()));
        let is_host = first
            .get(.."host:".len())
            .is_some_and(|start| start.eq_ignore_ascii_case(b"host:"));
        let is_request_line = is_first
            && fields.next().is_some_and(|path| path.starts_with(b"/"))
            && fields.next().is_some_and(is_http_version)
            && fields.next().is_none();
        (is_verb || is_host || is_request_line).then_some(Self::Http)
    }
}

fn is_http_version(field: &[u8]) -> bool {
    match field.strip_prefix(b"HTTP/") {
        Some([major, b'.', minor]) => major.is_ascii_digit() && minor.is_ascii_digit(),
        _ => false,
    }
}

impl fmt::Display for OtherProtocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "HTTP",
            Self::Tls => "TLS",
        })
    }
}
