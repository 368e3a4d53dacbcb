//! Listeners at other relays, and messages to them.
//!
//! Several relays may have a listener at the same address: a node that uses several relays of one
//! registry listens at each. A message is delivered once: by the sender's own relay if somebody
//! listens there, or else by the relay that the message names.

use std::time::Instant;

use crate::protocol::{Delivery, NodeAddress, Rejection};
use crate::relay::Relay;
use crate::relay::shared_directory::{DirectoryChange, InstanceId, SharedDirectory};
use crate::role::Output;
use crate::session::responder::Responder;

impl Relay {
    /// A connection receives the messages to an address, or receives them no longer.
    pub(in crate::relay) fn record_listener(
        &mut self,
        address: NodeAddress,
        listens: bool,
        now: Instant,
    ) {
        if let Some(shared) = &mut self.shared
            && shared.is_connected()
        {
            let change = match listens {
                true => DirectoryChange::Listen(address),
                false => DirectoryChange::Unlisten(address),
            };
            shared.publish(None, &change, now);
        }
    }

    /// Adds a listener of another relay. A connection here that never registered may not
    /// receive the messages of a node: it is replaced, as by a later `LISTEN` at one relay. Returns
    /// false if there is no room.
    pub(super) fn add_remote_listener(
        &mut self,
        address: NodeAddress,
        relay: InstanceId,
        out: &mut Output<Self>,
        now: Instant,
    ) -> bool {
        if self
            .shared
            .as_ref()
            .is_some_and(|shared| shared.is_self(relay))
        {
            return true;
        }
        if let Some(listener) = self.message_listeners.remove_unregistered(&address) {
            self.record_listener(address, false, now);
            Responder::close_replaced(out, listener);
        }
        self.message_listeners.insert_remote(address, relay)
    }

    /// Sends a message to a listener at another relay: of several, to the latest one at a relay
    /// that is alive.
    ///
    /// # Errors
    /// [`Rejection::NoListener`], [`Rejection::RegistryUnavailable`].
    pub(in crate::relay) fn forward_message(
        &mut self,
        to: NodeAddress,
        message: Delivery<'_>,
        now: Instant,
    ) -> Result<(), Rejection> {
        let shared = self.shared.as_mut().ok_or(Rejection::NoListener(to))?;
        let is_alive = |relay| shared.relays.is_alive(relay, now);
        let relay = self.message_listeners.latest_remote(&to, is_alive);
        let relay = relay.ok_or(Rejection::NoListener(to))?;
        if !shared.is_responsive(now) {
            return Err(Rejection::RegistryUnavailable);
        }
        shared.publish_message(relay, to, message, now);
        Ok(())
    }

    /// A message of another relay has arrived.
    pub(super) fn deliver_message(
        &mut self,
        to: NodeAddress,
        message: &Delivery<'_>,
        out: &mut Output<Self>,
        now: Instant,
    ) {
        let is_here = self.shared.as_mut().is_some_and(|shared| {
            let receiver = shared.incoming.message_relay.take();
            // A relay of an older version names none.
            receiver.is_none_or(|relay| shared.is_self(relay))
        });
        if is_here && let Some(listener) = self.receiver(&to, now) {
            let is_delivered = Responder::deliver(out, listener, message);
            self.counters.messages += u64::from(is_delivered);
        }
    }
}

impl SharedDirectory {
    /// Whether this is one of the last connections of this relay to the engine.
    fn is_self(&self, relay: InstanceId) -> bool {
        self.instances.contains(&relay)
    }

    fn publish_message(
        &mut self,
        relay: InstanceId,
        to: NodeAddress,
        message: Delivery<'_>,
        now: Instant,
    ) {
        // In the same batch as the message.
        self.outgoing
            .append(None, &DirectoryChange::Via(relay), now);
        self.publish(None, &DirectoryChange::Message(to, message), now);
    }
}
