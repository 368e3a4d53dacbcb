//! Parses the head of a request in HTTP, strictly: a request that two programs could
//! understand in two ways is refused (RFC 9112, 11.2).

use std::borrow::Cow;
use std::rc::Rc;
use std::time::SystemTime;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::percent_decode_str;

use crate::session::http::conditions::Conditions;
use crate::session::http::context::HttpContext;
use crate::session::http::error::HttpError;
use crate::session::http::request_fields::RequestFields;
use crate::session::http::settings::HttpSettings;

/// A request that is allowed.
#[derive(Debug)]
pub(crate) struct HttpRequest<'h> {
    /// The path, which begins with `/`. Percent-encoding is decoded.
    pub(crate) path: Cow<'h, str>,
    /// The host that the client means, with its port; none if the client does not say.
    host: Option<Rc<str>>,
    /// Path and query, encoded.
    target: &'h str,
    /// What follows the `?`, encoded; empty without.
    pub(crate) query: &'h str,
    /// The time of day when the head was read, which is the date of the response.
    pub(crate) time: SystemTime,
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
        context: &mut HttpContext,
    ) -> Result<Self, HttpError> {
        let line_end = memchr::memchr(b'\n', head).map_or(head.len(), |end| end + 1);
        let (line, fields) = head.split_at(line_end);
        let mut parsed = httparse::Request::new(&mut []);
        parsed.parse(line)?;
        let (Some(method), Some(target), Some(version)) =
            (parsed.method, parsed.path, parsed.version)
        else {
            return Err(HttpError::Malformed("malformed request"));
        };
        context.is_http_10 = version == 0;
        context.is_head = method == "HEAD";
        context.cors.clone_from(&settings.cors);
        let fields = RequestFields::parse(fields)?;
        let (authority, target) = split_target(target);
        // Most targets are a path as it is.
        let is_plain = memchr::memchr2(b'?', b'%', target.as_bytes()).is_none();
        let parts = (!is_plain).then(|| target.split_once('?')).flatten();
        let (path, query) = parts.unwrap_or((target, ""));
        context.accepts_gzip = fields.options.accepts_gzip;
        context.error_format = fields.options.error_format(path, query);
        context.keeps_alive = fields.options.keeps_alive(context.is_http_10);
        if fields.host.is_none() && !context.is_http_10 {
            return Err(HttpError::Malformed("the header Host is missing"));
        }
        if method != "GET" && method != "HEAD" {
            return Err(HttpError::Method);
        }
        // RFC 9112, 3.2.2: an absolute target counts, not the header.
        let host = authority.map(Rc::from).or(fields.host);
        if let Some(host) = host.as_deref().filter(|host| !settings.allows_host(host)) {
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
            target,
            query,
            time: context.time,
            conditions: fields.conditions,
            authorization: fields.authorization,
        })
    }

    /// The address of the same over TLS, if the host is known.
    pub(crate) fn encrypted_address(&self) -> Option<String> {
        let host = self.host.as_deref()?;
        Some(format!("https://{host}{}", self.target))
    }

    /// The host that the client means, with its port.
    pub(crate) fn host(&self) -> &str {
        self.host.as_deref().unwrap_or("localhost")
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
    // Most targets have no host.
    if target.starts_with('/') {
        return (None, target);
    }
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
