//! The log of requests: a line when a connection ends, and one when a file is sent or its
//! transfer breaks off. The name of a file comes last, so that nothing after it can be forged.

use std::net::SocketAddr;

use log::Level;

use crate::escaped::Escaped;
use crate::reactor::Reactor;
use crate::reactor::connection::{Connection, Origin, Phase};
use crate::reactor::file_transfer::NANOS_PER_MS;
use crate::reactor::transport::Transport;
use crate::role::Role;

impl<R: Role, T: Transport<R::File>> Reactor<R, T> {
    /// Logs the transfers that a closed connection breaks off.
    pub(super) fn log_unsent_files(&self, slot: usize) {
        let (conn, now) = (&self.connections[slot], self.age);
        if let Phase::Closed(reason) = &conn.phase {
            for (transfer, unsent) in conn.outbox.transfers() {
                transfer.log(conn.peer.into(), unsent, now, reason);
            }
        }
    }

    /// Logs the end of a connection.
    pub(super) fn log_end(&self, conn: &Connection<R::Session, R::File, T>) {
        let Phase::Closed(reason) = &conn.phase else {
            return;
        };
        // The role reports outgoing connections.
        let level = match conn.origin {
            Origin::Inbound => Level::Info,
            Origin::Outbound => Level::Debug,
        };
        let peer = SocketAddr::from(conn.peer);
        let Some(session) = &conn.session else {
            log::log!(level, peer:%, reason:%; "{peer}: {reason}");
            return;
        };
        let (bytes_in, bytes_out) = conn.bytes_moved();
        let ms = self.age.saturating_sub(conn.opened_at) / NANOS_PER_MS;
        let last = R::last_request(session);
        let (verb, name) = (last.map(|last| last.verb), last.and_then(|last| last.name));
        let colon = if name.is_some() { ": " } else { "" };
        let escaped = Escaped::text(name.unwrap_or_default());
        let tls = if conn.tls.is_some() { ", TLS" } else { "" };
        log::log!(
            level, peer:%, verb, name, bytes_in, bytes_out, ms, reason:%;
            "{peer}: {session}{tls}, {bytes_in} B in, {bytes_out} B out, {ms} ms, {reason}{colon}{escaped}"
        );
    }
}
