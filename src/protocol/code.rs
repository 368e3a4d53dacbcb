//! Codes of `ERROR` replies.

/// The class of an error, a status code of HTTP (RFC 9110, section 15).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Code {
    /// 400: the line is malformed.
    Syntax,
    /// 403: the client is not allowed to do this.
    NotAllowed,
    /// 404: no node or listener has this address.
    NoSuchNode,
    /// 408: a line was not completed in time. The connection closes.
    TooSlow,
    /// 409: a newer listener has replaced this connection. It closes.
    Changed,
    /// 413: the request exceeds a limit of the client.
    LimitReached,
    /// 429: the client sends too fast.
    SlowDown,
    /// 431: the line is too long. The connection closes.
    LineTooLong,
    /// 500: the server failed.
    Internal,
    /// 501: the server does not execute this verb.
    UnknownVerb,
    /// 503: the server is full. The connection closes.
    Full,
    /// A code that this version does not know.
    Other(u16),
}

impl Code {
    /// The number on the wire.
    #[must_use]
    pub fn number(self) -> u16 {
        match self {
            Self::Syntax => 400,
            Self::NotAllowed => 403,
            Self::NoSuchNode => 404,
            Self::TooSlow => 408,
            Self::Changed => 409,
            Self::LimitReached => 413,
            Self::SlowDown => 429,
            Self::LineTooLong => 431,
            Self::Internal => 500,
            Self::UnknownVerb => 501,
            Self::Full => 503,
            Self::Other(number) => number,
        }
    }
}

impl From<u16> for Code {
    fn from(number: u16) -> Self {
        match number {
            400 => Self::Syntax,
            403 => Self::NotAllowed,
            404 => Self::NoSuchNode,
            408 => Self::TooSlow,
            409 => Self::Changed,
            413 => Self::LimitReached,
            429 => Self::SlowDown,
            431 => Self::LineTooLong,
            500 => Self::Internal,
            501 => Self::UnknownVerb,
            503 => Self::Full,
            other => Self::Other(other),
        }
    }
}
