//! The list of accepted connections, for `CONNECTIONS`.

use std::collections::HashMap;
use std::time::Duration;

use crate::reactor::Reactor;
use crate::reactor::connection::{Connection, Origin};
use crate::reactor::transport::Transport;
use crate::role::{ConnId, ConnectionInfo, Role};

/// The most connections in a list. Walking over all places of a full table takes far less
/// time than printing so many lines.
const MAX_LISTED: usize = crate::protocol::MAX_LISTED_CONNECTIONS;

/// The least time over which a rate is measured, in nanoseconds.
const MIN_INTERVAL: u64 = NANOS;
const NANOS: u64 = 1_000_000_000;

/// What each connection had moved when it was listed. Rates need no state of connections that
/// nobody lists.
#[derive(Default)]
pub(super) struct ListedBytes {
    /// In nanoseconds since the start of the loop.
    time: u64,
    /// By the serial of the connection.
    bytes: HashMap<u32, u64>,
}

impl<R: Role, T: Transport<R::File>> Reactor<R, T> {
    /// Sends the list of accepted connections to one that waits for it.
    pub(super) fn send_connections(&mut self, to: ConnId) {
        let (total, connections) = self.list_connections();
        let mut text = Vec::new();
        let waiting = self.connections.get(to.slot as usize);
        let waiting = waiting.filter(|conn| conn.serial == to.serial);
        if let Some(session) = waiting.and_then(|conn| conn.session.as_ref()) {
            let role = &self.role;
            role.write_connections(session, total, &connections, &mut text);
        }
        self.with_connection(to, |conn| conn.send(&text, false));
        self.resume(to);
    }

    /// Passes the list of accepted connections to the role.
    pub(super) fn report_connections(&mut self) {
        let (total, connections) = self.list_connections();
        self.call_role(|role, context| role.on_connections(context, total, &connections));
    }

    /// The number of accepted connections, and some of them.
    fn list_connections(&mut self) -> (u64, Vec<ConnectionInfo>) {
        let (now, last) = (self.age, &self.last_listed);
        let accepted = self.connections.iter().map(|(_, conn)| conn);
        let accepted = accepted.filter(|conn| conn.origin == Origin::Inbound);
        let mut listed = ListedBytes {
            time: now,
            bytes: HashMap::new(),
        };
        let info = |conn: &Connection<R::Session, R::File, T>| {
            let session = conn.session.as_ref()?;
            let (bytes_in, bytes_out) = conn.bytes_moved();
            let moved = bytes_in + bytes_out;
            listed.bytes.insert(conn.serial, moved);
            let before = last.bytes.get(&conn.serial);
            let since = before.map_or(conn.opened_at, |_| last.time);
            let added = moved - before.copied().unwrap_or_default();
            let interval = now.saturating_sub(since).max(MIN_INTERVAL);
            let rate = u128::from(added) * u128::from(NANOS) / u128::from(interval);
            let transfer = conn.outbox.transfers().next();
            Some(ConnectionInfo {
                peer: conn.peer.into(),
                age: Duration::from_nanos(now.saturating_sub(conn.opened_at)),
                bytes_in,
                bytes_out,
                rate: u64::try_from(rate).unwrap_or(u64::MAX),
                verb: R::last_request(session).map(|last| last.verb),
                file: transfer.map(|(transfer, unsent)| transfer.progress(unsent)),
            })
        };
        let connections: Vec<_> = accepted.filter_map(info).take(MAX_LISTED).collect();
        if now - last.time >= MIN_INTERVAL {
            self.last_listed = listed;
        }
        (self.traffic.open, connections)
    }
}
