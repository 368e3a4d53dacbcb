//! A relay at which a chat receives messages.

use crate::client::{Client, ClientSession};
use crate::jobs::PeerSource;
use crate::relay_link::{Backoff, MessageSubscription};
use crate::role::Output;

/// A relay of a chat, and the connection that listens there.
pub(super) struct ChatRelay {
    pub(super) index: usize,
    pub(super) source: PeerSource,
    pub(super) subscription: MessageSubscription,
    addresses: Backoff,
}

impl ChatRelay {
    /// The relay of this index. Connects to the first of its addresses.
    pub(super) fn connect(out: &mut Output<Client>, index: usize, source: PeerSource) -> Self {
        let relay = Self {
            index,
            addresses: Backoff::new(source.addresses.clone(), 0),
            source,
            subscription: MessageSubscription::new(None),
        };
        relay.dial(out);
        relay
    }

    /// The connection has ended. Returns whether another address is tried.
    pub(super) fn try_next_address(&mut self, out: &mut Output<Client>) -> bool {
        let may_try = self.subscription.address.is_none() && self.addresses.on_failure().is_zero();
        if may_try {
            self.subscription = MessageSubscription::new(None);
            self.dial(out);
        }
        may_try
    }

    fn dial(&self, out: &mut Output<Client>) {
        if let Some(address) = self.addresses.address() {
            out.dial(address, ClientSession::MessageSubscription(self.index));
        }
    }
}
