//! Why a request in HTTP is not answered, and the page that says so.

use std::borrow::Cow;
use std::fmt;

use askama::Template;

use crate::close_reason::CloseReason;
use crate::escaped::Escaped;
use crate::protocol::AccessRejection;
use crate::session::http::context::ErrorFormat;
use crate::session::http::status::Status;
use crate::web::{ErrorPage, MissingFile, PAGE_TYPE};

/// Why a server does not execute a request in HTTP. Prints as a sentence for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum HttpError {
    /// The request breaks this rule.
    Malformed(&'static str),
    /// The head is longer than the limit, or has too many headers.
    HeadTooLong,
    /// The rest of the head did not arrive in time.
    Timeout,
    /// The version of HTTP is not 1.0 or 1.1.
    Version,
    /// Only GET and HEAD are answered.
    Method,
    /// The request has to be encrypted; the address where it can be repeated, if that is known.
    TlsRequired(Option<String>),
    /// The request is for this host, which is none of the server's.
    OtherHost(String),
}

impl HttpError {
    pub(crate) fn status(&self) -> Status {
        match self {
            Self::Malformed(_) => Status::BAD_REQUEST,
            Self::HeadTooLong => Status::HEAD_TOO_LONG,
            Self::Timeout => Status::TIMEOUT,
            Self::Version => Status::VERSION_NOT_SUPPORTED,
            Self::Method => Status::METHOD_NOT_ALLOWED,
            Self::TlsRequired(Some(_)) => Status::TEMPORARY_REDIRECT,
            Self::TlsRequired(None) => Status::UPGRADE_REQUIRED,
            Self::OtherHost(_) => Status::MISDIRECTED,
        }
    }

    /// The reason for closing the connection, if the next request cannot be found or must not
    /// be trusted.
    pub(crate) fn close_reason(&self) -> Option<CloseReason> {
        match self {
            Self::Malformed(_) | Self::Version => Some(CloseReason::MalformedRequest),
            Self::HeadTooLong => Some(CloseReason::LineTooLong),
            Self::Timeout => Some(CloseReason::LineTimeout),
            Self::TlsRequired(_) => Some(CloseReason::TlsRequired),
            Self::Method | Self::OtherHost(_) => None,
        }
    }
}

impl From<httparse::Error> for HttpError {
    fn from(error: httparse::Error) -> Self {
        match error {
            httparse::Error::TooManyHeaders => Self::HeadTooLong,
            httparse::Error::Version => Self::Version,
            _ => Self::Malformed("malformed request"),
        }
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(rule) => f.write_str(rule),
            Self::HeadTooLong => f.write_str("the request is too long; see --max-head"),
            Self::Timeout => f.write_str("the request was not complete in time"),
            Self::Version => f.write_str("this server speaks HTTP/1.1 and HTTP/1.0"),
            Self::Method => f.write_str("this server answers GET and HEAD only"),
            Self::TlsRequired(_) => f.write_str("only https is answered here"),
            Self::OtherHost(host) => write!(
                f,
                "this server is not {}; if it should be, start it with --http-host NAME",
                Escaped::text(host)
            ),
        }
    }
}

impl HttpError {
    /// The text for the user of a browser, or of a program such as curl.
    pub(in crate::session) fn text(&self, format: ErrorFormat) -> String {
        let Self::TlsRequired(address) = self else {
            return self.to_string();
        };
        let address = address.as_deref().unwrap_or("https://HOST:PORT");
        let address = Escaped::text(address);
        match format {
            ErrorFormat::Html => format!("{self}: open {address}"),
            ErrorFormat::Text | ErrorFormat::Json => format!(
                "{self}: curl --insecure --pinnedpubkey ID {address}, with the id that the server prints"
            ),
        }
    }
}

/// The same for a client that is not let in.
pub(in crate::session) fn access_text(format: ErrorFormat, rejection: &AccessRejection) -> String {
    let is_browser = format == ErrorFormat::Html;
    let text = match (rejection, is_browser) {
        (AccessRejection::SecretRequired { .. }, true) => {
            "a secret is needed: write it as the password, with any user name"
        }
        (AccessRejection::SecretRequired { .. }, false) => {
            "a secret is needed: curl --user :SECRET"
        }
        (AccessRejection::IdRequired, true) => {
            "only listed ids may do this: the browser shows yours as a client certificate, over https"
        }
        (AccessRejection::IdRequired, false) => {
            "only listed ids may do this: curl --cert FILE --key FILE shows yours, over https"
        }
        (rejection, _) => return rejection.to_string(),
    };
    text.to_owned()
}

/// The media type and the content of the response to an error.
pub(in crate::session) fn render(
    format: ErrorFormat,
    status: Status,
    text: &str,
    missing: Option<&MissingFile<'_>>,
) -> (&'static str, String) {
    let (code, phrase) = (status.code(), status.phrase());
    let whole_text = match missing {
        Some(missing) => format!("{text}: {}", Escaped::text(missing.name)).into(),
        None => Cow::Borrowed(text),
    };
    match format {
        ErrorFormat::Text => (
            "text/plain; charset=utf-8",
            format!("{code} {whole_text}\n"),
        ),
        ErrorFormat::Json => {
            let object = serde_json::json!({ "code": code, "error": whole_text });
            ("application/json", format!("{object}\n"))
        }
        ErrorFormat::Html => {
            let page = ErrorPage {
                code,
                phrase,
                text,
                missing,
            };
            // Writing to a string does not fail.
            (PAGE_TYPE, page.render().unwrap_or_default())
        }
    }
}
