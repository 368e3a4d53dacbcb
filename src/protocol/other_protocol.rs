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
    /// A line is HTTP if it starts with `Host:`, `POST`, `PUT` or `OPTIONS`, or if it is the
    /// first and a request line of HTTP.
    #[must_use]
    pub fn detect(line: &[u8], is_first: bool) -> Option<Self> {
        if is_first && line.first() == Some(&TLS_FIRST_BYTE) {
            return Some(Self::Tls);
        }
        let first = fields(line).next()?;
        let is_verb = ["POST", "PUT", "OPTIONS"]
            .iter()
            .any(|verb| first.eq_ignore_ascii_case(verb.as_bytes()));
        let is_host = first
            .get(.."host:".len())
            .is_some_and(|start| start.eq_ignore_ascii_case(b"host:"));
        let is_http = is_verb || is_host || (is_first && is_http_request_line(line));
        is_http.then_some(Self::Http)
    }
}

/// Whether the first line of a connection is a request in HTTP: exactly three fields, the
/// third of them `HTTP/x.y`. The second begins with `/`, or is a whole address (RFC 9112,
/// 3.2): no valid file name begins so. A `*` belongs to `OPTIONS`, and to the `PRI` of HTTP/2.
#[must_use]
pub(crate) fn is_http_request_line(line: &[u8]) -> bool {
    let mut fields = fields(line.strip_suffix(b"\r").unwrap_or(line));
    let (Some(method), Some(target), Some(version), None) =
        (fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return false;
    };
    is_http_target(method, target) && is_http_version(version)
}

/// Whether a line that starts so can be a request in HTTP: the target has begun.
#[must_use]
pub(crate) fn begins_http_request_line(start: &[u8]) -> bool {
    let mut fields = fields(start);
    let (method, target) = (fields.next(), fields.next());
    method.is_some_and(|method| target.is_some_and(|target| is_http_target(method, target)))
}

fn is_http_target(method: &[u8], target: &[u8]) -> bool {
    target.starts_with(b"/")
        || target
            .get(..7)
            .is_some_and(|start| start.eq_ignore_ascii_case(b"http://"))
        || (target == b"*" && matches!(method, b"OPTIONS" | b"PRI"))
}

/// Bytes, not text: a line of HTTP need not be UTF-8.
fn fields(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let is_blank = |byte: &u8| is_blank(char::from(*byte));
    line.split(is_blank).filter(|field| !field.is_empty())
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
