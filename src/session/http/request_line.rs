//! Parses the first line of a request in HTTP, by the rules of `httparse`. That takes longer: it
//! reads lines that are not complete, and searches the target once more for its parts.

use crate::session::http::error::HttpError;

/// The first line of a request (RFC 9112, 3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct RequestLine<'h> {
    pub(super) method: Method,
    /// It is not empty, and has no control characters and no blanks.
    pub(super) target: &'h str,
    /// The target has neither a query nor an escape.
    pub(super) is_plain: bool,
    /// The client speaks HTTP/1.0.
    pub(super) is_http_10: bool,
}

/// What a client wants to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Method {
    Get,
    Head,
    Other,
}

/// What no target has: control characters and blanks.
const INVALID: u8 = 1;
/// What begins a query or an escape.
const SPECIAL: u8 = 2;

/// What each byte of a target is.
static TARGET_BYTES: [u8; 256] = {
    let mut kinds = [0; 256];
    let mut byte = 0;
    while byte < kinds.len() {
        kinds[byte] = match byte as u8 {
            0..=b' ' | 0x7f => INVALID,
            b'?' | b'%' => SPECIAL,
            _ => 0,
        };
        byte += 1;
    }
    kinds
};

impl<'h> RequestLine<'h> {
    /// Parses the line at the start of a complete head. Returns the rest of the head as well.
    ///
    /// # Errors
    /// The rule that the line breaks.
    pub(super) fn parse(head: &'h [u8]) -> Result<(Self, &'h [u8]), HttpError> {
        let malformed = || HttpError::Malformed("malformed request");
        let blank = head.iter().position(|byte| *byte == b' ');
        let (method, rest) = head.split_at(blank.ok_or_else(malformed)?);
        let method = Method::parse(method).ok_or_else(malformed)?;
        let rest = &rest[1..];
        let blank = memchr::memchr(b' ', rest).ok_or_else(malformed)?;
        let (target, rest) = (&rest[..blank], &rest[blank + 1..]);
        let kinds = |kinds: u8, byte: &u8| kinds | TARGET_BYTES[usize::from(*byte)];
        let kinds = target.iter().fold(0, kinds);
        if target.is_empty() || kinds & INVALID != 0 {
            return Err(malformed());
        }
        let target = std::str::from_utf8(target).map_err(|_| malformed())?;
        let (is_http_10, rest) = match rest {
            [
                b'H',
                b'T',
                b'T',
                b'P',
                b'/',
                b'1',
                b'.',
                minor @ (b'0' | b'1'),
                rest @ ..,
            ] => (*minor == b'0', rest),
            _ => return Err(HttpError::Version),
        };
        let ([b'\n', rest @ ..] | [b'\r', b'\n', rest @ ..]) = rest else {
            return Err(malformed());
        };
        let line = Self {
            method,
            target,
            is_plain: kinds & SPECIAL == 0,
            is_http_10,
        };
        Ok((line, rest))
    }
}

impl Method {
    /// None if the text is no token (RFC 9110, 5.6.2).
    fn parse(text: &[u8]) -> Option<Self> {
        let is_token =
            |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
        match text {
            b"GET" => Some(Self::Get),
            b"HEAD" => Some(Self::Head),
            [_, ..] if text.iter().all(is_token) => Some(Self::Other),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(head: &str) -> Result<(RequestLine<'_>, &[u8]), HttpError> {
        RequestLine::parse(head.as_bytes())
    }

    #[test]
    fn a_line_has_a_method_a_target_and_a_version() {
        let line = RequestLine {
            method: Method::Get,
            target: "/a",
            is_plain: true,
            is_http_10: false,
        };
        let rest = b"Host: a\r\n\r\n".as_slice();
        assert_eq!(
            parse("GET /a HTTP/1.1\r\nHost: a\r\n\r\n"),
            Ok((line, rest))
        );
        for target in ["/a?b", "/%41"] {
            let head = format!("HEAD {target} HTTP/1.0\n\n");
            let line = RequestLine {
                method: Method::Head,
                target,
                is_plain: false,
                is_http_10: true,
            };
            assert_eq!(parse(&head), Ok((line, b"\n".as_slice())));
        }
        let (line, _) = parse("get /ö HTTP/1.1\n\n").expect("a request");
        assert_eq!((line.method, line.target), (Method::Other, "/ö"));
    }

    #[test]
    fn another_version_is_not_a_malformed_line() {
        for version in ["HTTP/2.0", "HTTP/1.2", "http/1.1", "HTTP/", ""] {
            let head = format!("GET / {version}\r\n\r\n");
            assert_eq!(parse(&head), Err(HttpError::Version), "{version:?}");
        }
        for line in [
            "",
            "GET",
            "GET /",
            "GET  / HTTP/1.1",
            " / HTTP/1.1",
            "G@T / HTTP/1.1",
            "GET /\t HTTP/1.1",
            "GET /\x7f HTTP/1.1",
            "GET / HTTP/1.1 ",
            "GET / HTTP/1.11",
            "GET / HTTP/1.1\r",
        ] {
            let head = format!("{line}\r\nHost: a\r\n\r\n");
            let error = Err(HttpError::Malformed("malformed request"));
            assert_eq!(parse(&head), error, "{line:?}");
        }
    }

    proptest! {
        #[test]
        fn a_line_means_what_httparse_says(
            method in "GET|HEAD|[A-Z]{0,3}|\\PC{0,2}|[!-~]{1,3}",
            blank in " |  |\t|",
            target in "(/|http://|\\*)?[!-~é%?]{0,9}|[\0-\x7f]{0,3}",
            version in " HTTP/1\\.[01]| HTTP/[0-9.]{0,4}|[ HTP/1.]{0,9}",
            end in "\n|\r\n|\r\r\n| \n",
        ) {
            let head = format!("{method}{blank}{target}{version}{end}Host: a\r\n\r\n");
            // It skips empty lines; the inbox has done so before.
            prop_assume!(!head.starts_with(['\r', '\n']));
            let mut headers = [httparse::EMPTY_HEADER; 1];
            let mut request = httparse::Request::new(&mut headers);
            let expected = match request.parse(head.as_bytes()) {
                Ok(_) => Ok((request.method, request.path, request.version)),
                Err(error) => Err(HttpError::from(error)),
            };
            let parsed = parse(&head);
            let is_known = |text: &str| matches!(text, "GET" | "HEAD");
            match (parsed, expected) {
                (Ok((line, rest)), Ok((Some(method), Some(target), Some(version)))) => {
                    prop_assert_eq!(line.method != Method::Other, is_known(method));
                    prop_assert_eq!(line.target, target);
                    prop_assert_eq!(line.is_http_10, version == 0);
                    prop_assert_eq!(rest, b"Host: a\r\n\r\n");
                }
                (Err(error), Err(expected)) => prop_assert_eq!(error, expected),
                (parsed, expected) => prop_assert!(false, "{parsed:?} {expected:?}"),
            }
        }
    }
}
