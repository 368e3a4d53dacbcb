//! Other languages that reach our port by mistake or by malice.
//!
//! A browser can be made to send us bytes by any web page. Such a request must
//! not become a command, so its first lines end the connection.

use std::fmt;

use crate::protocol::fields::is_blank;

/// The first byte of a TLS connection: a handshake record (RFC 8446, 5.1).
pub const TLS_FIRST_BYTE: u8 = 0x16;

/// A language that is not ours.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OtherProtocol {
    /// HTTP, of whatever version.
    Http,
    /// A TLS handshake.
    Tls,
}

impl OtherProtocol {
    /// Decides from one whole line, and whether it is the connection's first.
    ///
    /// A first line is HTTP's if it has exactly three fields, the second starts
    /// with `/` and the third is `HTTP/x.y`: no file name of ours starts with
    /// `/`. Any line is HTTP's if it starts with `Host:`, `POST`, `PUT` or
    /// `OPTIONS`.
    #[must_use]
    pub fn detect(line: &[u8], is_first: bool) -> Option<Self> {
        if is_first && line.first() == Some(&TLS_FIRST_BYTE) {
            return Some(Self::Tls);
        }
        // Bytes, not text: a line that is no UTF-8 can be HTTP's.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_first_line_decides() {
        let http = Some(OtherProtocol::Http);
        assert_eq!(OtherProtocol::detect(b"GET / HTTP/1.1", true), http);
        assert_eq!(OtherProtocol::detect(b"HEAD /a HTTP/1.0", true), http);
        assert_eq!(OtherProtocol::detect(b"GET / HTTP/1.1", false), None);
        assert_eq!(OtherProtocol::detect(b"GET HTTP/1.1", true), None);
        assert_eq!(OtherProtocol::detect(b"GET a /b HTTP/1.1", true), None);
        assert_eq!(OtherProtocol::detect(b"GET /b HTTP/11", true), None);
        assert_eq!(
            OtherProtocol::detect(b"\x16\x03\x01", true),
            Some(OtherProtocol::Tls)
        );
        assert_eq!(OtherProtocol::detect(b"\x16\x03\x01", false), None);
    }

    #[test]
    fn what_a_web_page_can_send_is_detected_on_any_line() {
        for line in [
            "POST x",
            "put x",
            "OPTIONS *",
            "Host: relay",
            "HOST:relay",
            "  Host: a",
        ] {
            assert_eq!(
                OtherProtocol::detect(line.as_bytes(), false),
                Some(OtherProtocol::Http),
                "{line}"
            );
        }
        let line = b"POST /\xff HTTP/1.1";
        assert_eq!(
            OtherProtocol::detect(line, false),
            Some(OtherProtocol::Http)
        );
        for line in ["GET Host: x", "hostel", "POSTER a", "é"] {
            assert_eq!(
                OtherProtocol::detect(line.as_bytes(), false),
                None,
                "{line}"
            );
        }
    }
}
