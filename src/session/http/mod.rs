//! HTTP/1.1 on the port of the line protocol (RFC 9110, RFC 9112).
//!
//! The first line of a connection decides its language; see
//! [`crate::session::driver`]. `request` parses a request, `conditions` selects the
//! part of a file that it asks for, and `response` writes the response. What the
//! requests do is decided by the roles, as for lines.
//!
//! Requests have no content: a request that announces some is answered, and the
//! connection closes.

mod asset;
pub(crate) mod conditions;
mod connections;
mod documents;
pub(crate) mod error;
pub mod file_headers;
pub(crate) mod reply;
pub(crate) mod request;
pub(crate) mod response;
mod response_start;
pub mod settings;

pub(crate) use connections::ConnectionsView;
pub use file_headers::FileHeaders;
pub(crate) use request::{HttpContext, HttpRequest};
pub(crate) use response::{Document, Status};
pub use settings::HttpSettings;
