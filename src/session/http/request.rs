//! Parses the head of a request in HTTP, strictly: a request that two programs could
//! understand in two ways is refused (RFC 9112, 11.2).

use std::borrow::Cow;
use std::mem::MaybeUninit;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use httparse::Header;
use percent_encoding::percent_decode_str;

use crate::session::http::conditions::Conditions;
use crate::session::http::context::{ErrorFormat, HttpContext};
use crate::session::http::error::HttpError;
use crate::session::http::settings::HttpSettings;

/// The most headers of a request.
const MAX_HEADERS: usize = 64;

/// A request that is allowed.
#[derive(Debug)]
pub(crate) struct HttpRequest<'h> {
    /// The path, which begins with `/`. Percent-encoding is decoded.
    pub(crate) path: Cow<'h, str>,
    /// The host that the client means, with its port.
    pub(crate) host: &'h str,
    /// The client has said which host it means.
    has_host: bool,
    /// Path and query, encoded.
    target: &'h str,
    /// What follows the `?`, encoded; empty without.
    pub(crate) query: &'h str,
    /// Which part of a file is to be sent, and when.
    pub(crate) conditions: Conditions<'h>,
    authorization: Option<&'h str>,
}

impl<'h> HttpRequest<'h> {
    /// Parses a whole head, and checks that the server may answer the request. The context
    /// is for the response, also to a request that is not answered.
    ///
    /// # Errors
    /// Why the request is not answered.
    pub(crate) fn parse(
        head: &'h [u8],
        settings: &HttpSettings,
        time: SystemTime,
    ) -> (HttpContext, Result<Self, HttpError>) {
        let mut context = HttpContext::failed(time);
        let request = Self::parse_into(&mut context, head, settings);
        (context, request)
    }

    fn parse_into(
        context: &mut HttpContext,
        head: &'h [u8],
        settings: &HttpSettings,
    ) -> Result<Self, HttpError> {
        // Most requests have few headers: the other places are never written.
        let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
        let mut parsed = httparse::Request::new(&mut []);
        let status = parsed.parse_with_uninit_headers(head, &mut headers)?;
        if status.is_partial() {
            return Err(HttpError::Malformed("malformed request"));
        }
        // A complete request has all of these.
        let (method, target) = (parsed.method.unwrap_or(""), parsed.path.unwrap_or(""));
        context.is_http_10 = parsed.version == Some(0);
        context.is_head = method == "HEAD";
        context.cors.clone_from(&settings.cors);
        let mut fields = Fields::default();
        for header in parsed.headers.iter() {
            fields.read(header)?;
        }
        let (authority, target) = split_target(target);
        // Most targets are a path as it is.
        let is_plain = !target.bytes().any(|byte| matches!(byte, b'?' | b'%'));
        let parts = (!is_plain).then(|| target.split_once('?')).flatten();
        let (path, query) = parts.unwrap_or((target, ""));
        context.accepts_gzip = fields.accepts_gzip;
        context.error_format = fields.error_format(path, query);
        context.keeps_alive = match context.is_http_10 {
            true => fields.wants_keep_alive && !fields.wants_close,
            false => !fields.wants_close,
        } && !fields.has_content;
        if fields.host.is_none() && !context.is_http_10 {
            return Err(HttpError::Malformed("the header Host is missing"));
        }
        if method != "GET" && method != "HEAD" {
            return Err(HttpError::Method);
        }
        // RFC 9112, 3.2.2: an absolute target counts, not the header.
        let host = authority.or(fields.host).unwrap_or("localhost");
        if !settings.allows_host(host) {
            context.cors = None;
            return Err(HttpError::OtherHost(host.to_owned()));
        }
        let path = decode_path(path, is_plain)?;
        if !query.is_empty() && percent_decode_str(query).decode_utf8().is_err() {
            return Err(HttpError::Malformed("the query is not UTF-8"));
        }
        Ok(Self {
            path,
            host,
            has_host: authority.or(fields.host).is_some(),
            target,
            query,
            conditions: fields.conditions,
            authorization: fields.authorization,
        })
    }

    /// The address of the same over TLS, if the host is known.
    pub(crate) fn encrypted_address(&self) -> Option<String> {
        let address = || format!("https://{}{}", self.host, self.target);
        self.has_host.then(address)
    }

    /// The password that the client shows (RFC 7617). The user name does not matter.
    pub(crate) fn password(&self) -> Option<String> {
        let (scheme, credentials) = self.authorization?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("Basic") {
            return None;
        }
        let credentials = STANDARD.decode(credentials.trim()).ok()?;
        let credentials = String::from_utf8(credentials).ok()?;
        Some(credentials.split_once(':')?.1.to_owned())
    }

    /// Whether the query has a parameter, with or without a value.
    pub(crate) fn has_parameter(&self, name: &str) -> bool {
        let mut parameters = self.query.split('&');
        parameters.any(|parameter| parameter.split('=').next() == Some(name))
    }

    /// The decoded value of a parameter of the query: empty for `?name`, none if the
    /// parameter is missing.
    pub(crate) fn parameter(&self, name: &str) -> Option<Cow<'h, str>> {
        let mut parameters = self.query.split('&');
        parameters.find_map(|parameter| {
            let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            if key != name {
                return None;
            }
            // A form writes a blank as a plus sign.
            let value = match value.contains('+') {
                true => Cow::Owned(value.replace('+', " ")),
                false => Cow::Borrowed(value),
            };
            match value {
                Cow::Borrowed(value) => percent_decode_str(value).decode_utf8().ok(),
                Cow::Owned(value) => {
                    let decoded = percent_decode_str(&value).decode_utf8().ok()?;
                    Some(Cow::Owned(decoded.into_owned()))
                }
            }
        })
    }
}

/// The path without its escapes; a plain one has none.
fn decode_path(path: &str, is_plain: bool) -> Result<Cow<'_, str>, HttpError> {
    if !path.starts_with('/') {
        return Err(HttpError::Malformed("the path does not begin with /"));
    }
    let path = match is_plain {
        true => Ok(Cow::Borrowed(path)),
        false => percent_decode_str(path).decode_utf8(),
    };
    path.map_err(|_| HttpError::Malformed("the path is not UTF-8"))
}

/// Splits a target in absolute form into the host and the rest.
fn split_target(target: &str) -> (Option<&str>, &str) {
    const SCHEME: &str = "http://";
    match target.get(..SCHEME.len()) {
        Some(scheme) if scheme.eq_ignore_ascii_case(SCHEME) => {
            let rest = &target[SCHEME.len()..];
            let end = rest.find(['/', '?']).unwrap_or(rest.len());
            let path = if end == rest.len() { "/" } else { &rest[end..] };
            (Some(&rest[..end]), path)
        }
        _ => (None, target),
    }
}

/// The headers that matter.
#[derive(Default)]
struct Fields<'h> {
    host: Option<&'h str>,
    content_length: Option<&'h str>,
    has_transfer_encoding: bool,
    /// The request announces content.
    has_content: bool,
    wants_close: bool,
    wants_keep_alive: bool,
    accepts_html: bool,
    accepts_json: bool,
    accepts_gzip: bool,
    authorization: Option<&'h str>,
    conditions: Conditions<'h>,
}

impl<'h> Fields<'h> {
    fn read(&mut self, header: &Header<'h>) -> Result<(), HttpError> {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        if is("Host") {
            set_once(&mut self.host, header)?;
        } else if is("Connection") {
            for option in text(header)?.split(',').map(str::trim) {
                self.wants_close |= option.eq_ignore_ascii_case("close");
                self.wants_keep_alive |= option.eq_ignore_ascii_case("keep-alive");
            }
        } else if is("Content-Length") {
            let length = set_once(&mut self.content_length, header)?;
            match !length.is_empty() && length.bytes().all(|byte| byte.is_ascii_digit()) {
                true => self.has_content |= length.bytes().any(|byte| byte != b'0'),
                false => return Err(HttpError::Malformed("Content-Length is not a number")),
            }
        } else if is("Transfer-Encoding") {
            (self.has_content, self.has_transfer_encoding) = (true, true);
        } else if is("Accept") {
            let accepted = text(header)?;
            self.accepts_html |= accepted.contains("text/html");
            self.accepts_json |= accepted.contains("application/json");
        } else if is("Accept-Encoding") {
            self.accepts_gzip |= text(header)?.split(',').any(is_gzip);
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
        if self.content_length.is_some() && self.has_transfer_encoding {
            return Err(HttpError::Malformed(
                "Content-Length with Transfer-Encoding",
            ));
        }
        Ok(())
    }

    fn error_format(&self, path: &str, query: &str) -> ErrorFormat {
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
fn set_once<'h>(value: &mut Option<&'h str>, header: &Header<'h>) -> Result<&'h str, HttpError> {
    let text = text(header)?;
    match value.replace(text) {
        None => Ok(text),
        Some(_) => Err(HttpError::Malformed("a header is repeated")),
    }
}

fn text<'h>(header: &Header<'h>) -> Result<&'h str, HttpError> {
    let value = std::str::from_utf8(header.value.trim_ascii());
    value.map_err(|_| HttpError::Malformed("a header is not text"))
}
