//! The page of the connections to a server.

use std::net::SocketAddr;

use askama::Template;

use crate::byte_size::ByteSize;
use crate::protocol::ConnectionItem;

/// Who is connected, for the operator.
#[derive(Template)]
#[template(path = "connections.html", config = "src/web/askama.toml")]
pub(crate) struct ConnectionsPage<'a> {
    pub(crate) host: &'a str,
    /// Where the page is.
    pub(crate) path: &'a str,
    pub(crate) count: String,
    pub(crate) rows: Vec<ConnectionRow<'a>>,
}

/// A connection.
pub(crate) struct ConnectionRow<'a> {
    pub(crate) client: SocketAddr,
    pub(crate) item: ConnectionItem<'a>,
}
