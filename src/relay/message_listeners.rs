//! Who receives messages.

use std::collections::HashMap;

use crate::protocol::NodeAddress;
use crate::role::ConnId;

/// Which connection receives what is sent to an address. One listener an address.
#[derive(Default)]
pub(super) struct MessageListeners {
    by_address: HashMap<NodeAddress, RegisteredListener>,
}

#[derive(Clone, Copy)]
struct RegisteredListener {
    conn: ConnId,
    /// The address is a registered node's, not just the connection's own.
    registered: bool,
}

/// What became of a wish to listen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ListenResult {
    /// It listens now; the connection that did before does no longer.
    Instead(ConnId),
    /// It listens now.
    Now,
    /// The address is a registered node's, and its node listens.
    Taken,
}

impl MessageListeners {
    /// `conn` receives from now on what is sent to `address`. A registered
    /// address wins over a connection's own.
    pub(super) fn listen(
        &mut self,
        address: NodeAddress,
        conn: ConnId,
        registered: bool,
    ) -> ListenResult {
        let listener = RegisteredListener { conn, registered };
        match self.by_address.get(&address) {
            Some(earlier) if earlier.registered && !registered => ListenResult::Taken,
            earlier => {
                let earlier = earlier.map(|earlier| earlier.conn);
                self.by_address.insert(address, listener);
                earlier
                    .filter(|earlier| *earlier != conn)
                    .map_or(ListenResult::Now, ListenResult::Instead)
            }
        }
    }

    /// The connection that receives what is sent to `address`.
    pub(super) fn at(&self, address: &NodeAddress) -> Option<ConnId> {
        self.by_address.get(address).map(|listener| listener.conn)
    }

    /// `conn` is gone. Somebody who listens in its place goes on.
    pub(super) fn leave(&mut self, address: &NodeAddress, conn: ConnId) {
        if self.at(address) == Some(conn) {
            self.by_address.remove(address);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.by_address.len()
    }
}
