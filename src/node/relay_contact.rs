//! What a node has for each of its relays. The relays are independent of each other: one that
//! is down costs the others nothing.

use std::net::SocketAddr;
use std::time::Instant;

use crate::counted::Counted;
use crate::node::announcer::Announcer;
use crate::node::message_listener::MessageListener;
use crate::node::registrar::Registrar;

/// One of the node's relays.
pub(super) struct RelayContact {
    pub(super) registrar: Registrar,
    pub(super) announcer: Announcer,
    /// Set if the node receives messages.
    pub(super) listener: Option<MessageListener>,
}

impl RelayContact {
    /// Without messages.
    pub(super) fn new(registrar: Registrar) -> Self {
        Self {
            registrar,
            announcer: Announcer::default(),
            listener: None,
        }
    }

    /// Receives the messages that are sent to the node's address.
    pub(super) fn receive_messages(&mut self, seed: u64) {
        let relay = self.registrar.relay().to_vec();
        let listener = MessageListener::new(relay, self.registrar.claim, seed);
        self.listener = Some(listener);
    }

    /// The relay has these addresses now.
    pub(super) fn set_addresses(&mut self, addresses: &[SocketAddr], now: Instant) {
        self.registrar.set_relay(addresses, now);
        if let Some(listener) = &mut self.listener {
            listener.set_relay(addresses);
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Instant> {
        let listener = self.listener.as_ref();
        let listener = listener.and_then(MessageListener::next_deadline);
        let deadlines = [self.registrar.next_deadline(), listener];
        deadlines.into_iter().flatten().min()
    }

    /// The state of the node at this relay, for people.
    pub(super) fn status(&self, now: Instant) -> String {
        let name = self.registrar.name();
        let Some((address, left)) = self.registrar.lease(now) else {
            let reason = self.registrar.failure().unwrap_or("no answer yet");
            return format!("{name}: not registered: {reason}");
        };
        let files = Counted(self.announcer.announced_files(), "file");
        let messages = match &self.listener {
            None => "",
            Some(listener) if listener.is_open() => ", receiving messages",
            Some(_) => ", receiving no messages",
        };
        let left = left.as_secs();
        format!("{name}: registered as {address}, lease {left} s, {files} announced{messages}")
    }
}
