//! Writes responses in HTTP.

use std::borrow::Cow;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::protocol::{ErrorCode, append_number};
use crate::session::http::request::HttpContext;
use crate::session::http::response_start::append_start;
use crate::web::{PAGE_TYPE, page_policy};

/// Shorter pages fit the first packets of a connection as they are.
const MIN_COMPRESSED: usize = 8 * 1024;

/// The status of a response (RFC 9110, 15).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Status(u16, &'static str);

impl Status {
    pub(crate) const OK: Self = Self(200, "OK");
    pub(crate) const PARTIAL: Self = Self(206, "Partial Content");
    pub(crate) const MULTIPLE_CHOICES: Self = Self(300, "Multiple Choices");
    pub(crate) const MOVED: Self = Self(301, "Moved Permanently");
    pub(crate) const NOT_MODIFIED: Self = Self(304, "Not Modified");
    pub(crate) const TEMPORARY_REDIRECT: Self = Self(307, "Temporary Redirect");
    pub(crate) const BAD_REQUEST: Self = Self(400, "Bad Request");
    pub(crate) const FORBIDDEN: Self = Self(403, "Forbidden");
    pub(crate) const NOT_FOUND: Self = Self(404, "Not Found");
    pub(crate) const METHOD_NOT_ALLOWED: Self = Self(405, "Method Not Allowed");
    pub(crate) const TIMEOUT: Self = Self(408, "Request Timeout");
    pub(crate) const CONFLICT: Self = Self(409, "Conflict");
    pub(crate) const PRECONDITION_FAILED: Self = Self(412, "Precondition Failed");
    pub(crate) const NOT_SATISFIABLE: Self = Self(416, "Range Not Satisfiable");
    pub(crate) const MISDIRECTED: Self = Self(421, "Misdirected Request");
    pub(crate) const UPGRADE_REQUIRED: Self = Self(426, "Upgrade Required");
    pub(crate) const HEAD_TOO_LONG: Self = Self(431, "Request Header Fields Too Large");
    pub(crate) const VERSION_NOT_SUPPORTED: Self = Self(505, "HTTP Version Not Supported");

    /// The number.
    pub(crate) fn code(self) -> u16 {
        self.0
    }

    /// The number in words.
    pub(crate) fn phrase(self) -> &'static str {
        self.1
    }
}

/// Errors have the same numbers in both languages.
impl From<ErrorCode> for Status {
    fn from(code: ErrorCode) -> Self {
        let phrase = match code {
            ErrorCode::SYNTAX => "Bad Request",
            ErrorCode::NO_SECRET => "Unauthorized",
            ErrorCode::NOT_ALLOWED => "Forbidden",
            ErrorCode::NO_SUCH_NODE => "Not Found",
            ErrorCode::TOO_SLOW => "Request Timeout",
            ErrorCode::CHANGED => "Conflict",
            ErrorCode::LIMIT_REACHED => "Content Too Large",
            ErrorCode::OUT_OF_RANGE => "Range Not Satisfiable",
            ErrorCode::TLS_REQUIRED => "Upgrade Required",
            ErrorCode::SLOW_DOWN => "Too Many Requests",
            ErrorCode::LINE_TOO_LONG => "Request Header Fields Too Large",
            ErrorCode::UNKNOWN_VERB => "Not Implemented",
            ErrorCode::UNAVAILABLE => "Service Unavailable",
            _ => "Internal Server Error",
        };
        Self(code.0, phrase)
    }
}

/// A response whose content is in memory.
#[derive(Debug)]
pub(crate) struct Document<'d> {
    pub(crate) status: Status,
    pub(crate) media_type: &'static str,
    /// Further headers.
    pub(crate) headers: Vec<(&'static str, Cow<'d, str>)>,
    pub(crate) content: Cow<'d, [u8]>,
}

/// The status line and the headers of a response, which are appended to a buffer. Call
/// [`ResponseHead::end`].
pub(crate) struct ResponseHead<'t> {
    text: &'t mut Vec<u8>,
}

impl<'t> ResponseHead<'t> {
    /// Writes what every response has.
    pub(crate) fn begin(text: &'t mut Vec<u8>, context: &HttpContext, status: Status) -> Self {
        append_start(text, context, status);
        Self { text }
    }

    /// Writes a header. The value must have no line break: it comes from us, or is encoded.
    pub(crate) fn header(&mut self, name: &str, value: &str) {
        self.begin_header(name);
        self.text.extend_from_slice(value.as_bytes());
        self.text.extend_from_slice(b"\r\n");
    }

    /// Writes the header with the length of the content.
    pub(crate) fn content_length(&mut self, length: u64) {
        self.begin_header("Content-Length");
        append_number(self.text, length);
        self.text.extend_from_slice(b"\r\n");
    }

    /// Appends whole lines, each with its end.
    pub(crate) fn lines(&mut self, lines: &str) {
        self.text.extend_from_slice(lines.as_bytes());
    }

    /// Ends the head. Returns the buffer for the content.
    pub(crate) fn end(self) -> &'t mut Vec<u8> {
        self.text.extend_from_slice(b"\r\n");
        self.text
    }

    fn begin_header(&mut self, name: &str) {
        self.text.extend_from_slice(name.as_bytes());
        self.text.extend_from_slice(b": ");
    }
}

impl Document<'_> {
    /// Appends the response to the buffer.
    pub(crate) fn write_to(&self, text: &mut Vec<u8>, context: &HttpContext) {
        let mut head = ResponseHead::begin(text, context, self.status);
        for (name, value) in &self.headers {
            head.header(name, value);
        }
        if self.status == Status::NOT_MODIFIED {
            head.end();
            return;
        }
        let mut content = Cow::Borrowed(&*self.content);
        if self.media_type == PAGE_TYPE {
            head.header("Content-Security-Policy", page_policy());
            head.header("Vary", "Accept-Encoding");
            if context.accepts_gzip && content.len() > MIN_COMPRESSED {
                head.header("Content-Encoding", "gzip");
                content = gzip(&content).into();
            }
        }
        head.header("Content-Type", self.media_type);
        head.content_length(content.len() as u64);
        let text = head.end();
        if !context.is_head {
            text.extend_from_slice(&content);
        }
    }
}

/// The content, compressed fast: the loop waits. A list of files becomes six times smaller.
fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing to a vector does not fail.
    let _ = encoder.write_all(content);
    encoder.finish().unwrap_or_default()
}
