//! `/connections`: who is connected, for trusted clients.

use crate::relay::{Relay, RelayRequest};
use crate::role::{ConnectionInfo, ReadNext};
use crate::session::http::{ConnectionsView, HttpContext, HttpRequest};
use crate::session::server;

/// A response that waits for the list of connections.
pub(in crate::relay) struct PendingConnections {
    context: HttpContext,
    view: ConnectionsView,
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
            let view = match http.path.starts_with("/api/") {
                true => ConnectionsView::Object,
                false => ConnectionsView::Page {
                    host: http.host().to_owned(),
                    path: "/connections",
                },
            };
            let context = context.clone();
            let pending = Box::new(PendingConnections { context, view });
            request.session.extended().pending_connections = Some(pending);
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
        self.view.write_to(&self.context, total, connections, text);
    }

    /// Reads on after the response.
    pub(in crate::relay) fn finish(self, request: &mut RelayRequest<'_>) -> ReadNext {
        request.reply.speak_http(self.context);
        request.reply.next()
    }
}
