//! What a response depends on beside its content.

use std::sync::Arc;
use std::time::SystemTime;

/// What the response depends on, apart from its content. It outlives the request if the
/// response takes time.
#[derive(Clone, Debug)]
pub(crate) struct HttpContext {
    /// The response has no content.
    pub(crate) is_head: bool,
    /// The connection stays open after the response.
    pub(crate) keeps_alive: bool,
    /// The client speaks HTTP/1.0.
    pub(crate) is_http_10: bool,
    /// The client reads content that is compressed with gzip.
    pub(crate) accepts_gzip: bool,
    pub(crate) error_format: ErrorFormat,
    /// Pages of this origin may read the response.
    pub(crate) cors: Option<Arc<str>>,
    /// When the response is sent.
    pub(crate) time: SystemTime,
}

impl HttpContext {
    /// For a request that was not understood: the connection closes.
    pub(crate) fn failed(time: SystemTime) -> Self {
        Self {
            is_head: false,
            keeps_alive: false,
            is_http_10: false,
            accepts_gzip: false,
            error_format: ErrorFormat::default(),
            cors: None,
            time,
        }
    }
}

/// In which form a client wants to be told of an error.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) enum ErrorFormat {
    /// One line, for a terminal.
    #[default]
    Text,
    /// A page, for a browser.
    Html,
    /// An object, for a program.
    Json,
}
