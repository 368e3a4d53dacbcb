//! The list of connections of a server, as a page and as an object. The loop has the list;
//! see [`Role::write_connections`](crate::role::Role::write_connections).

use serde_json::json;

use crate::counted::Counted;
use crate::protocol::ConnectionItem;
use crate::role::ConnectionInfo;
use crate::session::http::{Document, HttpContext, Status};
use crate::web::{ConnectionRow, ConnectionsPage};

/// In which form a client gets the list.
pub(crate) enum ConnectionsView {
    /// An object for programs.
    Object,
    /// A page for people.
    Page {
        /// The host that the browser has asked.
        host: String,
        /// Where the page is.
        path: &'static str,
    },
}

impl ConnectionsView {
    /// Appends the response.
    pub(crate) fn write_to(
        &self,
        context: &HttpContext,
        total: u64,
        connections: &[ConnectionInfo],
        text: &mut Vec<u8>,
    ) {
        let items = connections.iter().map(ConnectionInfo::item);
        let document = match self {
            Self::Page { host, path } => {
                let rows = items.map(|item| ConnectionRow {
                    client: (item.ip, item.port).into(),
                    item,
                });
                let page = ConnectionsPage {
                    host,
                    path,
                    count: Counted(total, "connection").to_string(),
                    rows: rows.collect(),
                };
                Document::page(Status::OK, &page)
            }
            Self::Object => {
                let listed: Vec<_> = items.map(|item| object(&item)).collect();
                let object = json!({ "total": total, "connections": listed });
                Document::json(Status::OK, &object)
            }
        };
        document.write_to(text, context);
    }
}

fn object(item: &ConnectionItem<'_>) -> serde_json::Value {
    let verb = Some(item.verb).filter(|verb| *verb != "-");
    json!({
        "ip": item.ip,
        "port": item.port,
        "seconds": item.seconds,
        "bytes_in": item.bytes_in,
        "bytes_out": item.bytes_out,
        "rate": item.rate,
        "verb": verb,
    })
}
