//! Reads the headers of a request in HTTP.
//!
//! A client sends the same headers with each request, and many clients send the same ones. So
//! what the last headers mean is kept: to compare them takes a fraction of the time.

use std::cell::RefCell;
use std::rc::Rc;

use httparse::{EMPTY_HEADER, Header, Status};

use crate::session::http::conditions::Conditions;
use crate::session::http::context::ErrorFormat;
use crate::session::http::error::HttpError;

/// The most headers of a request.
const MAX_HEADERS: usize = 64;

thread_local! {
    static LAST: RefCell<Option<LastFields>> = const { RefCell::new(None) };
}

/// The headers that matter.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(super) struct RequestFields<'h> {
    /// Shared with the next request, which most often has the same.
    pub(super) host: Option<Rc<str>>,
    pub(super) options: RequestOptions,
    pub(super) authorization: Option<&'h str>,
    pub(super) conditions: Conditions<'h>,
    content_length: Option<&'h str>,
}

/// What the headers say, apart from their texts.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub(super) struct RequestOptions {
    has_transfer_encoding: bool,
    /// The request announces content.
    has_content: bool,
    wants_close: bool,
    wants_keep_alive: bool,
    accepts_html: bool,
    accepts_json: bool,
    /// The client reads content that is compressed with gzip.
    pub(super) accepts_gzip: bool,
}

/// Headers whose only text that matters is the host.
struct LastFields {
    /// As they were sent.
    bytes: Vec<u8>,
    host: Option<Rc<str>>,
    options: RequestOptions,
}

impl LastFields {
    /// None if other texts matter.
    fn new(bytes: &[u8], fields: &RequestFields<'_>) -> Option<Self> {
        let last = Self {
            bytes: bytes.to_vec(),
            host: fields.host.clone(),
            options: fields.options,
        };
        (last.recall(bytes)? == *fields).then_some(last)
    }

    /// What these headers mean, if they are the last ones.
    fn recall<'h>(&self, bytes: &[u8]) -> Option<RequestFields<'h>> {
        let fields = || RequestFields {
            host: self.host.clone(),
            options: self.options,
            ..RequestFields::default()
        };
        (self.bytes == bytes).then(fields)
    }
}

impl<'h> RequestFields<'h> {
    /// Reads what follows the request line.
    ///
    /// # Errors
    /// Why the request is not answered.
    pub(super) fn parse(bytes: &'h [u8]) -> Result<Self, HttpError> {
        LAST.with_borrow_mut(|last| {
            if let Some(fields) = last.as_ref().and_then(|last| last.recall(bytes)) {
                return Ok(fields);
            }
            let fields = Self::parse_anew(bytes)?;
            *last = LastFields::new(bytes, &fields);
            Ok(fields)
        })
    }

    fn parse_anew(bytes: &'h [u8]) -> Result<Self, HttpError> {
        let mut headers = [EMPTY_HEADER; MAX_HEADERS];
        let Status::Complete((_, headers)) = httparse::parse_headers(bytes, &mut headers)? else {
            return Err(HttpError::Malformed("malformed request"));
        };
        let mut fields = Self::default();
        for header in headers {
            fields.read(header)?;
        }
        Ok(fields)
    }

    fn read(&mut self, header: &Header<'h>) -> Result<(), HttpError> {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        if is("Host") {
            set_once(&mut self.host, header)?;
        } else if is("Connection") {
            for option in text(header)?.split(',').map(str::trim) {
                self.options.wants_close |= option.eq_ignore_ascii_case("close");
                self.options.wants_keep_alive |= option.eq_ignore_ascii_case("keep-alive");
            }
        } else if is("Content-Length") {
            let length = set_once(&mut self.content_length, header)?;
            match !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit()) {
                true => self.options.has_content |= length.bytes().any(|byte| byte != b'0'),
                false => return Err(HttpError::Malformed("Content-Length is not a number")),
            }
        } else if is("Transfer-Encoding") {
            (self.options.has_content, self.options.has_transfer_encoding) = (true, true);
        } else if is("Accept") {
            let accepted = text(header)?;
            self.options.accepts_html |= accepted.contains("text/html");
            self.options.accepts_json |= accepted.contains("application/json");
        } else if is("Accept-Encoding") {
            self.options.accepts_gzip |= text(header)?.split(',').any(is_gzip);
        } else if is("Authorization") {
            set_once(&mut self.authorization, header)?;
        } else if is("Range") {
            set_once(&mut self.conditions.range, header)?;
        } else if is("If-Range") {
            set_once(&mut self.conditions.if_range, header)?;
        } else if is("If-None-Match") {
            set_once(&mut self.conditions.if_none_match, header)?;
        } else if is("If-Modified-Since") {
            set_once(&mut self.conditions.if_modified_since, header)?;
        } else if is("If-Match") {
            set_once(&mut self.conditions.if_match, header)?;
        } else if is("If-Unmodified-Since") {
            set_once(&mut self.conditions.if_unmodified_since, header)?;
        }
        if self.content_length.is_some() && self.options.has_transfer_encoding {
            return Err(HttpError::Malformed(
                "Content-Length with Transfer-Encoding",
            ));
        }
        Ok(())
    }
}

impl RequestOptions {
    /// Whether the connection stays open after the response.
    pub(super) fn keeps_alive(&self, is_http_10: bool) -> bool {
        let is_wanted = match is_http_10 {
            true => self.wants_keep_alive && !self.wants_close,
            false => !self.wants_close,
        };
        is_wanted && !self.has_content
    }

    /// In which form the client wants to be told of an error.
    pub(super) fn error_format(&self, path: &str, query: &str) -> ErrorFormat {
        let has_json = || query.split('&').any(|part| part == "json");
        let is_api = path.starts_with("/api/") || (!query.is_empty() && has_json());
        if self.accepts_html {
            ErrorFormat::Html
        } else if is_api || self.accepts_json {
            ErrorFormat::Json
        } else {
            ErrorFormat::Text
        }
    }
}

/// Whether an item of `Accept-Encoding` allows gzip (RFC 9110, 12.5.3).
fn is_gzip(item: &str) -> bool {
    let (coding, weight) = item.split_once(';').unwrap_or((item, ""));
    let weight = weight.trim().strip_prefix("q=");
    let is_zero = weight.is_some_and(|weight| weight.parse() == Ok(0.0));
    coding.trim().eq_ignore_ascii_case("gzip") && !is_zero
}

/// Stores the value of a header that a request has only once. A list of entity tags could be
/// divided, but no client does so.
fn set_once<'h, T: From<&'h str>>(
    value: &mut Option<T>,
    header: &Header<'h>,
) -> Result<&'h str, HttpError> {
    let text = text(header)?;
    match value.replace(text.into()) {
        None => Ok(text),
        Some(_) => Err(HttpError::Malformed("a header is repeated")),
    }
}

fn text<'h>(header: &Header<'h>) -> Result<&'h str, HttpError> {
    let value = std::str::from_utf8(header.value.trim_ascii());
    value.map_err(|_| HttpError::Malformed("a header is not text"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_mean_the_same_the_next_time() {
        let heads = [
            "Host: a\r\n\r\n",
            "Host: b\r\n\r\n",
            "Host:  a \r\nAccept-Encoding: gzip\r\nAccept: text/html\r\n\r\n",
            "Connection: close\r\nHost: a\r\n\r\n",
            "Connection: keep-alive\nHost: a\n\n",
            "Host: a\r\nAuthorization: Basic YTpi\r\n\r\n",
            "Host: a\r\nRange: bytes=0-1\r\n\r\n",
            "Host: a\r\nContent-Length: 0\r\n\r\n",
            "Host: a\r\nTransfer-Encoding: chunked\r\n\r\n",
            "Host:\r\n\r\n",
            "Host: a\r\nHost: a\r\n\r\n",
            "Host: a\r\n",
            "\r\n",
            "",
        ];
        for first in heads {
            for head in [first, first, "Host: a\r\n\r\n", first] {
                let bytes = head.as_bytes();
                let expected = RequestFields::parse_anew(bytes);
                assert_eq!(RequestFields::parse(bytes), expected, "{first:?}");
            }
        }
    }
}
