//! Which connection receives the messages of an address.

use std::collections::BTreeMap;

use crate::protocol::NodeAddress;
use crate::role::ConnId;
use crate::tls::KeyId;

/// The listeners, at most one per address.
#[derive(Default)]
pub(super) struct MessageListeners {
    by_address: BTreeMap<NodeAddress, RegisteredListener>,
    /// Listeners at addresses on loopback.
    on_loopback: usize,
}

struct RegisteredListener {
    conn: ConnId,
    /// The address is that of a registered node, not only the connection's own.
    is_registered: bool,
    /// The key that the connection has shown. Boxed, because few have.
    key: Option<Box<KeyId>>,
    /// The version of the relay's secret that it has shown.
    secret_version: u32,
}

/// What the client of a connection has shown of itself.
#[derive(Clone, Copy)]
pub(super) struct Credentials {
    pub(super) key: Option<KeyId>,
    /// The version of the relay's secret; 0 for none.
    pub(super) secret_version: u32,
}

/// The result of [`MessageListeners::insert`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ListenResult {
    /// The connection listens in place of this one.
    Replaced(ConnId),
    /// The connection listens.
    Added,
    /// The node that registered the address listens; the connection does not.
    Taken,
}

impl MessageListeners {
    /// Makes `conn` receive the messages to `address`. A connection whose node
    /// registered the address has precedence over one whose own address it is.
    pub(super) fn insert(
        &mut self,
        address: NodeAddress,
        conn: ConnId,
        is_registered: bool,
        shown: Credentials,
    ) -> ListenResult {
        let listener = RegisteredListener {
            conn,
            is_registered,
            key: shown.key.map(Box::new),
            secret_version: shown.secret_version,
        };
        match self.by_address.get(&address) {
            Some(earlier) if earlier.is_registered && !is_registered => ListenResult::Taken,
            _ => {
                let earlier = self.by_address.insert(address, listener);
                self.on_loopback += usize::from(earlier.is_none() && address.is_loopback());
                earlier
                    .map(|earlier| earlier.conn)
                    .filter(|earlier| *earlier != conn)
                    .map_or(ListenResult::Added, ListenResult::Replaced)
            }
        }
    }

    fn get(&self, address: &NodeAddress) -> Option<ConnId> {
        self.by_address.get(address).map(|listener| listener.conn)
    }

    /// The connection that receives the messages to `address`, and what it has shown.
    pub(super) fn get_with_credentials(
        &self,
        address: &NodeAddress,
    ) -> Option<(ConnId, Credentials)> {
        let listener = self.by_address.get(address)?;
        let shown = Credentials {
            key: listener.key.as_deref().copied(),
            secret_version: listener.secret_version,
        };
        Some((listener.conn, shown))
    }

    /// Removes the connection at `address` if it has shown another key, or none.
    pub(super) fn remove_other_key(&mut self, address: &NodeAddress, key: KeyId) -> Option<ConnId> {
        let listener = self.by_address.get(address)?;
        let conn = listener.conn;
        if listener.key.as_deref() == Some(&key) {
            return None;
        }
        self.remove(address, conn);
        Some(conn)
    }

    /// Removes `conn`. A connection that listens in its place is not affected: then this
    /// returns false.
    pub(super) fn remove(&mut self, address: &NodeAddress, conn: ConnId) -> bool {
        let listens = self.get(address) == Some(conn);
        if listens {
            self.by_address.remove(address);
            self.on_loopback -= usize::from(address.is_loopback());
        }
        listens
    }

    /// Their addresses, in order.
    pub(super) fn addresses(&self, on_loopback: bool) -> impl Iterator<Item = NodeAddress> {
        let addresses = self.by_address.keys().copied();
        addresses.filter(move |address| on_loopback || !address.is_loopback())
    }

    /// Number of listeners that requesters on loopback see, or that others see.
    pub(super) fn len(&self, on_loopback: bool) -> usize {
        match on_loopback {
            true => self.by_address.len(),
            false => self.by_address.len() - self.on_loopback,
        }
    }
}
