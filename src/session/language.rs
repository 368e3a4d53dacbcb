//! Detects the language of a connection from the first bytes that it sends.
//!
//! TLS has no lines: its first byte decides. Everything else is decided by the
//! whole first line, because a `GET` of this protocol and one of HTTP begin alike.

use memchr::memchr;

use crate::protocol::{OtherProtocol, TLS_FIRST_BYTE};

/// The language of a connection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Language {
    /// Not decidable yet: the first line is not complete.
    Unknown,
    /// Lines of this protocol.
    Lines,
    /// A protocol that this server does not speak.
    Rejected(OtherProtocol),
}

/// Detects the language from all bytes received so far.
#[must_use]
pub fn detect(received: &[u8]) -> Language {
    let line = match (received.first(), memchr(b'\n', received)) {
        (Some(&TLS_FIRST_BYTE), _) => return Language::Rejected(OtherProtocol::Tls),
        (_, Some(end)) => &received[..end],
        (_, None) => return Language::Unknown,
    };
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    OtherProtocol::detect(line, true).map_or(Language::Lines, Language::Rejected)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_line_is_detected_when_it_is_complete() {
        let http = "GET /a HTTP/1.1\r\n";
        for end in 0..http.len() {
            assert_eq!(detect(&http.as_bytes()[..end]), Language::Unknown, "{end}");
        }
        let rejected = Language::Rejected(OtherProtocol::Http);
        assert_eq!(detect(http.as_bytes()), rejected);
        assert_eq!(detect(b"POST x\nPING\n"), rejected);
        for line in ["\n", "\r\n", "PING\nGET /a HTTP/1.1\n", "GET a\nHost: b\n"] {
            assert_eq!(detect(line.as_bytes()), Language::Lines, "{line:?}");
        }
    }

    #[test]
    fn tls_is_detected_from_its_first_byte() {
        assert_eq!(detect(b""), Language::Unknown);
        let rejected = Language::Rejected(OtherProtocol::Tls);
        assert_eq!(detect(b"\x16"), rejected);
        assert_eq!(detect(b"\x16\x03\x01\n"), rejected);
        assert_eq!(detect(b"P\x16\n"), Language::Lines);
    }
}
