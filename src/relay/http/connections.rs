//! `/connections`: who is connected, for trusted clients. The loop has the list; see
//! [`Role::write_connections`](crate::role::Role::write_connections).

use serde_json::json;

use crate::counted::Counted;
use crate::protocol::ConnectionItem;
use crate::relay::{Relay, RelayRequest};
use crate::role::{ConnectionInfo, ReadNext};
use crate::session::http::{Document, HttpContext, HttpRequest, Status};
use crate::session::server;
use crate::web::{ConnectionRow, ConnectionsPage};

/// A page that waits for the list of connections.
pub(in crate::relay) struct PendingConnections {
    context: HttpContext,
    /// The host that the browser has asked; none if the page is for a program.
    host: Option<String>,
}

impl Relay {
    /// Asks the loop for the list.
    pub(super) fn http_connections(
        &self,
        request: &mut RelayRequest<'_>,
        http: &HttpRequest<'_>,
    ) -> ReadNext {
        let is_trusted = self.settings.trust.contains(request.ip);
        if let Some(context) = request.reply.http_context().filter(|_| is_trusted) {
            let is_page = !http.path.starts_with("/api/");
            let pending = PendingConnections {
                context: context.clone(),
                host: is_page.then(|| http.host.to_owned()),
            };
            request.session.extended().pending_connections = Some(Box::new(pending));
        }
        server::list_connections(request, is_trusted)
    }
}

impl PendingConnections {
    /// Appends the response.
    pub(in crate::relay) fn write_to(
        &self,
        total: u64,
        connections: &[ConnectionInfo],
        text: &mut Vec<u8>,
    ) {
        let items = connections.iter().map(server::connection_item);
        let document = match &self.host {
            Some(host) => Document::page(Status::OK, &page(host, total, items)),
            None => {
                let listed: Vec<_> = items.map(|item| object(&item)).collect();
                let object = json!({ "total": total, "connections": listed });
                Document::json(Status::OK, &object)
            }
        };
        document.write_to(text, &self.context);
    }

    /// Reads on after the response.
    pub(in crate::relay) fn finish(self, request: &mut RelayRequest<'_>) -> ReadNext {
        request.reply.speak_http(self.context);
        request.reply.next()
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

fn page<'a>(
    host: &'a str,
    total: u64,
    items: impl Iterator<Item = ConnectionItem<'a>>,
) -> ConnectionsPage<'a> {
    let rows = items.map(|item| ConnectionRow {
        client: (item.ip, item.port).into(),
        item,
    });
    ConnectionsPage {
        host,
        count: Counted(total, "connection").to_string(),
        rows: rows.collect(),
    }
}
