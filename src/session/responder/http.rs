//! The replies in HTTP.

use std::borrow::Cow;
use std::fmt;
use std::io::Write;
use std::ops::Range;

use crate::close_reason::CloseReason;
use crate::protocol::{AccessRejection, ErrorCode};
use crate::role::{ReadNext, Role};
use crate::session::http::conditions::{Conditions, SelectedPart};
use crate::session::http::error::{self, HttpError};
use crate::session::http::file_headers::{FileHeaders, disposition};
use crate::session::http::response::ResponseHead;
use crate::session::http::{Document, ErrorFormat, HttpContext, Status};
use crate::session::responder::{ReplyDestination, Responder};
use crate::web::{MissingFile, text};

/// The header of a refusal that may be over soon.
pub(super) const RETRY_SOON: (&str, Cow<'static, str>) = ("Retry-After", Cow::Borrowed("1"));

/// How a client shows the secret (RFC 7617).
const CHALLENGE: &str = "Basic realm=\"Peerline\", charset=\"UTF-8\"";

/// A document of more bytes ends the turn of its connection.
const LONG_DOCUMENT: usize = 4096;

impl<R: Role> Responder<'_, R> {
    /// Answers the current request in HTTP.
    pub(crate) fn speak_http(&mut self, context: HttpContext) {
        if let ReplyDestination::Connection(conn) | ReplyDestination::Http(conn, _) =
            self.destination
        {
            self.destination = ReplyDestination::Http(conn, context);
        }
    }

    /// The context to which the reply belongs. None if the client speaks lines.
    pub(crate) fn http_context(&self) -> Option<&HttpContext> {
        match &self.destination {
            ReplyDestination::Http(_, context) => Some(context),
            ReplyDestination::Connection(_) | ReplyDestination::Datagram(_) => None,
        }
    }

    fn error_format(&self) -> ErrorFormat {
        let context = self.http_context();
        context
            .map(|context| context.error_format)
            .unwrap_or_default()
    }

    /// A response whose content is in memory.
    pub(crate) fn document(&mut self, document: &Document<'_>) -> ReadNext {
        if let ReplyDestination::Http(conn, context) = &self.destination {
            document.write_to(self.out.append_reply(*conn), context);
            self.out.add_work(document.work(context));
        }
        match self.next() {
            // To make it was work, which a request for its head alone hides: others come first.
            ReadNext::Line if document.content.len() > LONG_DOCUMENT => ReadNext::Flush,
            next => next,
        }
    }

    /// An error, in the form in which the client wants it.
    pub(crate) fn error_document(
        &mut self,
        status: Status,
        text: &str,
        headers: Vec<(&'static str, Cow<'_, str>)>,
    ) -> ReadNext {
        self.error_about(status, text, None, headers)
    }

    /// What the client requests is not there.
    pub(crate) fn missing_file(&mut self, text: &str, missing: &MissingFile<'_>) -> ReadNext {
        self.error_about(Status::NOT_FOUND, text, Some(missing), Vec::new())
    }

    fn error_about(
        &mut self,
        status: Status,
        text: &str,
        missing: Option<&MissingFile<'_>>,
        mut headers: Vec<(&'static str, Cow<'_, str>)>,
    ) -> ReadNext {
        // The form is not the same for every client, and the next answer may be another one.
        headers.push(("Cache-Control", Cow::Borrowed("no-store")));
        let (media_type, content) = error::render(self.error_format(), status, text, missing);
        self.document(&Document {
            status,
            media_type,
            headers,
            content: Cow::Owned(content.into_bytes()),
        })
    }

    /// What the client requests is at another path, which has no leading slash.
    pub(crate) fn moved(&mut self, path: &str, query: &str) -> ReadNext {
        let mark = if query.is_empty() { "" } else { "?" };
        let address = format!("/{}{mark}{query}", text::path(path));
        let headers = vec![("Location", Cow::Borrowed(address.as_str()))];
        self.error_document(Status::MOVED, &format!("it is at {address}"), headers)
    }

    /// The client has not shown the secret of the server, or has guessed too often.
    pub(crate) fn reject_in_http(&mut self, rejection: &AccessRejection) -> ReadNext {
        let code = rejection.code();
        let headers = match code {
            ErrorCode::NO_SECRET => vec![("WWW-Authenticate", Cow::Borrowed(CHALLENGE))],
            ErrorCode::SLOW_DOWN => vec![RETRY_SOON],
            _ => Vec::new(),
        };
        let text = error::access_text(self.error_format(), rejection);
        self.error_document(code.into(), &text, headers)
    }

    pub(crate) fn http_error(&mut self, error: &HttpError) -> ReadNext {
        let close = error.close_reason();
        if close.is_some() {
            self.close_after_reply();
        }
        let headers = match error {
            HttpError::Method => vec![("Allow", Cow::Borrowed("GET, HEAD"))],
            HttpError::TlsRequired(Some(address)) => vec![("Location", Cow::Borrowed(&**address))],
            HttpError::TlsRequired(None) => vec![("Upgrade", Cow::Borrowed("TLS/1.3, HTTP/1.1"))],
            _ => Vec::new(),
        };
        let text = error.text(self.error_format());
        let next = self.error_document(error.status(), &text, headers);
        close.map_or(next, ReadNext::Close)
    }

    /// The bytes that must follow the head of the response for a file, if any.
    pub(crate) fn selected_bytes(
        &self,
        file: &FileHeaders,
        conditions: &Conditions<'_>,
    ) -> Option<Range<u64>> {
        let is_head = self.http_context()?.is_head;
        let bytes = match self.select_part(file, conditions)? {
            SelectedPart::All => 0..file.size(),
            SelectedPart::Part(range) => range,
            SelectedPart::NotModified
            | SelectedPart::PreconditionFailed
            | SelectedPart::NotSatisfiable => 0..0,
        };
        Some(bytes).filter(|bytes| !bytes.is_empty() && !is_head)
    }

    fn select_part(&self, file: &FileHeaders, conditions: &Conditions<'_>) -> Option<SelectedPart> {
        let context = self.http_context()?;
        let conditions = match context.is_head {
            // Only GET has ranges (RFC 9110, 14.2).
            true => &Conditions {
                range: None,
                ..*conditions
            },
            false => conditions,
        };
        Some(conditions.select(&file.representation(), context.time))
    }

    /// Sends the head of the response for a file. Returns the bytes of the file that must
    /// follow, if any: [`Responder::append_bytes`], [`Responder::append_file`].
    pub(crate) fn begin_file(
        &mut self,
        file: &FileHeaders,
        conditions: &Conditions<'_>,
    ) -> Option<Range<u64>> {
        let (selected, size) = (self.select_part(file, conditions)?, file.size());
        let ReplyDestination::Http(conn, context) = &self.destination else {
            return None;
        };
        let (status, range) = match selected {
            SelectedPart::All => (Status::OK, 0..size),
            SelectedPart::Part(range) => (Status::PARTIAL, range),
            SelectedPart::NotModified => (Status::NOT_MODIFIED, 0..0),
            SelectedPart::PreconditionFailed => {
                let text = "the file is not the one that you mean";
                self.error_document(Status::PRECONDITION_FAILED, text, Vec::new());
                return None;
            }
            SelectedPart::NotSatisfiable => {
                let text = format!("the file has {size} bytes");
                let headers = vec![("Content-Range", format!("bytes */{size}").into())];
                self.error_document(Status::NOT_SATISFIABLE, &text, headers);
                return None;
            }
        };
        let mut head = ResponseHead::begin(self.out.append_reply(*conn), context, status);
        match status {
            // It ends the head.
            Status::OK => head.lines(file.end_of_head()),
            Status::PARTIAL => {
                head.lines(file.lines());
                head.content_length(range.end - range.start);
                let part = format!("bytes {}-{}/{size}", range.start, range.end - 1);
                head.header("Content-Range", &part);
                head.end();
            }
            _ => {
                head.lines(file.lines());
                head.end();
            }
        }
        Some(range).filter(|range| !range.is_empty() && !context.is_head)
    }

    /// Sends the head of the response for a file that is made while it is sent, so that its
    /// length is not known. Returns whether its content must follow, in chunks: each is
    /// [`Responder::begin_chunk`], so many bytes, [`Responder::end_chunk`]; at the end
    /// [`Responder::end_stream`].
    pub(crate) fn begin_stream(&mut self, media_type: &'static str, name: &str) -> bool {
        let ReplyDestination::Http(conn, context) = &mut self.destination else {
            return false;
        };
        // HTTP/1.0 has no chunks: the end of the connection is the end of the content.
        context.keeps_alive &= !context.is_http_10;
        let mut head = ResponseHead::begin(self.out.append_reply(*conn), context, Status::OK);
        head.header("Content-Type", media_type);
        head.header("Content-Disposition", &disposition(name, media_type));
        head.header("Cache-Control", "no-cache");
        if !context.is_http_10 {
            head.header("Transfer-Encoding", "chunked");
        }
        head.end();
        !context.is_head
    }

    /// Announces a chunk of so many bytes, at least one (RFC 9112, 7.1).
    pub(crate) fn begin_chunk(&mut self, length: u64) {
        self.append_chunk_line(format_args!("{length:x}\r\n"));
    }

    /// Ends the chunk.
    pub(crate) fn end_chunk(&mut self) {
        self.append_chunk_line(format_args!("\r\n"));
    }

    /// Ends the content.
    pub(crate) fn end_stream(&mut self) {
        self.append_chunk_line(format_args!("0\r\n\r\n"));
    }

    fn append_chunk_line(&mut self, line: fmt::Arguments<'_>) {
        if let ReplyDestination::Http(conn, context) = &self.destination
            && !context.is_http_10
        {
            // Writing to a vector does not fail.
            let _ = self.out.append_reply(*conn).write_fmt(line);
        }
    }

    /// Appends content that is in memory.
    pub(crate) fn append_bytes(&mut self, bytes: &[u8]) {
        if let ReplyDestination::Http(conn, _) = self.destination {
            self.out.append_reply(conn).extend_from_slice(bytes);
        }
    }

    /// Appends a part of an open file.
    pub(crate) fn append_file(&mut self, file: R::File, range: Range<u64>) {
        if let ReplyDestination::Http(conn, _) = self.destination {
            let length = range.end - range.start;
            self.out.send_file(conn, file, range.start, length);
        }
    }

    /// Closes the connection after the reply.
    pub(crate) fn close_after_reply(&mut self) {
        if let ReplyDestination::Http(_, context) = &mut self.destination {
            context.keeps_alive = false;
        }
    }

    /// How to read on after a reply.
    pub(crate) fn next(&self) -> ReadNext {
        match self.http_context() {
            Some(context) if !context.keeps_alive => ReadNext::Close(CloseReason::Completed),
            _ => ReadNext::Line,
        }
    }
}
