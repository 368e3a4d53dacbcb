//! Which connection receives the messages of an address, and at which other relays somebody
//! receives them.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::protocol::NodeAddress;
use crate::relay::listener_list::ListenerList;
use crate::relay::remote_listeners::RemoteListeners;
use crate::relay::shared_directory::InstanceId;
use crate::role::ConnId;
use crate::session::line_codec::RenderedList;
use crate::tls::KeyId;

/// The listeners: at most one per address and relay.
#[derive(Default)]
pub(super) struct MessageListeners {
    /// Those of this relay.
    by_address: BTreeMap<NodeAddress, RegisteredListener>,
    /// Those of other relays.
    remote: RemoteListeners,
    /// The addresses of both.
    list: ListenerList,
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
    /// registered the address has precedence over one whose own address it is. One at another
    /// relay may be such a connection.
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
            _ if !is_registered && self.remote.contains(&address) => ListenResult::Taken,
            _ => {
                self.list.insert(address);
                let earlier = self.by_address.insert(address, listener);
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

    /// Removes the connection at `address` if its node has not registered the address.
    pub(super) fn remove_unregistered(&mut self, address: &NodeAddress) -> Option<ConnId> {
        let listener = self.by_address.get(address);
        let conn = listener.filter(|listener| !listener.is_registered)?.conn;
        self.remove(address, conn);
        Some(conn)
    }

    /// Removes `conn`. A connection that listens in its place is not affected: then this
    /// returns false.
    pub(super) fn remove(&mut self, address: &NodeAddress, conn: ConnId) -> bool {
        let listens = self.get(address) == Some(conn);
        if listens {
            self.by_address.remove(address);
            self.update_list(address);
        }
        listens
    }

    /// The addresses of the listeners of this relay after this one, in order.
    pub(super) fn own_addresses(
        &self,
        after: Bound<NodeAddress>,
    ) -> impl Iterator<Item = NodeAddress> {
        let listeners = self.by_address.range((after, Bound::Unbounded));
        listeners.map(|(address, _)| *address)
    }

    /// Adds a listener of another relay. Returns false if there is no room.
    pub(super) fn insert_remote(&mut self, address: NodeAddress, relay: InstanceId) -> bool {
        let has_room = self.remote.insert(address, relay);
        if has_room {
            self.list.insert(address);
        }
        has_room
    }

    /// Removes a listener of another relay.
    pub(super) fn remove_remote(&mut self, address: &NodeAddress, relay: InstanceId) {
        self.remote.remove(address, relay);
        self.update_list(address);
    }

    /// The listeners of all other relays end.
    pub(super) fn end_remote(&mut self) {
        self.remote.end_all();
    }

    /// Other relays are gone, and their listeners with them.
    pub(super) fn check_relays(&mut self) {
        self.remote.check_relays();
    }

    /// Whether there is work for [`MessageListeners::remove_ended`].
    pub(super) fn have_ended(&self) -> bool {
        self.remote.have_ended()
    }

    /// Removes a bounded part of what has ended.
    pub(super) fn remove_ended(&mut self, max: usize, is_there: impl Fn(InstanceId) -> bool) {
        for address in self.remote.remove_ended(max, is_there) {
            self.update_list(&address);
        }
    }

    /// The relay of the latest listener at this address, of those at other relays; see
    /// [`RemoteListeners::latest`].
    pub(super) fn latest_remote(
        &self,
        address: &NodeAddress,
        is_alive: impl Fn(InstanceId) -> bool,
    ) -> Option<InstanceId> {
        self.remote.latest(address, is_alive)
    }

    /// A listener at this address was removed; there may be others.
    fn update_list(&mut self, address: &NodeAddress) {
        if !self.by_address.contains_key(address) && !self.remote.contains(address) {
            self.list.remove(address);
        }
    }

    /// Number of addresses with listeners that requesters on loopback see, or that others
    /// see.
    pub(super) fn len(&self, on_loopback: bool) -> usize {
        self.list.len(on_loopback)
    }

    /// The reply to `WHO`.
    pub(super) fn rendered_list(&mut self, on_loopback: bool) -> RenderedList {
        self.list.reply(on_loopback)
    }
}
