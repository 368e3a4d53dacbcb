//! HTTP/1.1 on the port of the line protocol (RFC 9110, RFC 9112).
//!
//! The first line of a connection decides its language; see
//! [`crate::session::driver`]. `request` parses a request, `conditions` selects the
//! part of a file that it asks for, and `response` writes the response. `server/http.rs`
//! and `responder/http.rs` connect them with the rest. What the requests do is decided by the
//! roles, as for lines.
//!
//! Requests have no content: a request that announces some is answered, and the
//! connection closes.

pub(crate) mod conditions;
mod connections;
mod context;
mod documents;
pub(crate) mod error;
pub mod file_headers;
pub(crate) mod request;
mod request_fields;
pub(crate) mod response;
mod response_start;
pub mod settings;
mod status;

pub(crate) use connections::ConnectionsView;
pub(crate) use context::{ErrorFormat, HttpContext};
pub use file_headers::FileHeaders;
pub(crate) use request::HttpRequest;
pub(crate) use response::Document;
pub use settings::HttpSettings;
pub(crate) use status::Status;
