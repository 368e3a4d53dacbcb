//! Codes of `ERROR` replies.

use std::fmt;

/// The class of an error, a status code of HTTP (RFC 9110, section 15). A later
/// version may send others than the named ones.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ErrorCode(pub u16);

impl ErrorCode {
    /// The line is malformed.
    pub const SYNTAX: Self = Self(400);
    /// The client has not shown the secret of the server, or not the right one.
    pub const NO_SECRET: Self = Self(401);
    /// The client is not allowed to do this.
    pub const NOT_ALLOWED: Self = Self(403);
    /// No node or listener has this address.
    pub const NO_SUCH_NODE: Self = Self(404);
    /// A line was not completed in time. The connection closes.
    pub const TOO_SLOW: Self = Self(408);
    /// The content of the file is another one now. Or a newer listener has replaced this
    /// connection, which closes.
    pub const CHANGED: Self = Self(409);
    /// The request exceeds a limit of the client.
    pub const LIMIT_REACHED: Self = Self(413);
    /// The offset is past the end of the file, or the node does not have this part yet.
    pub const OUT_OF_RANGE: Self = Self(416);
    /// The server speaks TLS only, and the connection closes. Or a secret is only taken over TLS.
    pub const TLS_REQUIRED: Self = Self(426);
    /// The client sends too fast.
    pub const SLOW_DOWN: Self = Self(429);
    /// The line is too long. The connection closes.
    pub const LINE_TOO_LONG: Self = Self(431);
    /// The server failed.
    pub const INTERNAL: Self = Self(500);
    /// The server does not execute this verb.
    pub const UNKNOWN_VERB: Self = Self(501);
    /// The server cannot do this yet; the client tries again later. If the server is
    /// full, the connection closes.
    pub const UNAVAILABLE: Self = Self(503);
}

impl ErrorCode {
    /// Whether the error refers to this request, which would fail again, and not to the
    /// connection, the registration or the moment. A server may fail at the same request
    /// each time, too.
    #[must_use]
    pub fn refers_to_request(self) -> bool {
        !matches!(
            self,
            Self::NO_SECRET
                | Self::NOT_ALLOWED
                | Self::TOO_SLOW
                | Self::TLS_REQUIRED
                | Self::SLOW_DOWN
                | Self::UNAVAILABLE
        )
    }

    /// The text of an error for the user of a program. The server's text tells a person who
    /// types what to do, after a semicolon. For a program it is another thing.
    #[must_use]
    pub fn text_for_program(self, text: &str) -> String {
        let advice = match self {
            Self::NO_SECRET => "write --secret-file FILE, with the secret",
            Self::TLS_REQUIRED => "write --tls required",
            _ => return text.to_owned(),
        };
        let (what, _) = text.split_once("; ").unwrap_or((text, ""));
        format!("{what}; {advice}")
    }
}

/// The number on the wire.
impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
