//! Writes responses in HTTP.

use std::borrow::Cow;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::protocol::append_number;
use crate::session::http::context::HttpContext;
use crate::session::http::response_start::append_start;
use crate::session::http::status::Status;
use crate::web::{PAGE_TYPE, page_policy};

/// Shorter pages fit the first packets of a connection as they are.
const MIN_COMPRESSED: usize = 8 * 1024;

/// Bytes of a page, or of another text, that are as much work to make, or to compress, as a short
/// line is to answer.
const BYTES_PER_WORK: usize = 64;

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
            if self.is_compressed(context) {
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

    /// The work of making the response, in short lines. The bytes that are sent do not show it:
    /// few are left of a compressed page, and none of one whose head alone is wanted.
    pub(crate) fn work(&self, context: &HttpContext) -> usize {
        let is_made = matches!(self.content, Cow::Owned(_));
        let times = usize::from(is_made) + usize::from(self.is_compressed(context));
        times * self.content.len() / BYTES_PER_WORK
    }

    fn is_compressed(&self, context: &HttpContext) -> bool {
        let is_long_page = self.media_type == PAGE_TYPE && self.content.len() > MIN_COMPRESSED;
        is_long_page && context.accepts_gzip && self.status != Status::NOT_MODIFIED
    }
}

/// The content, compressed fast: the loop waits. A list of files becomes six times smaller.
fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing to a vector does not fail.
    let _ = encoder.write_all(content);
    encoder.finish().unwrap_or_default()
}
