//! The status of a response.

use crate::protocol::ErrorCode;

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
