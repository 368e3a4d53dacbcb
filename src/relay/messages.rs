//! `LISTEN`, `WHO` and `SEND`: messages from one connection to another.

use std::time::Instant;

use crate::protocol::{Delivery, Listening, NodeAddress, Rejection, Text, address_group};
use crate::relay::message_listeners::ListenResult;
use crate::relay::session::Registration;
use crate::relay::{Relay, RelayRequest, RelaySession};
use crate::role::{ConnId, ReadNext};
use crate::tls::KeyId;

impl Relay {
    /// Makes the connection receive the messages to its address.
    pub(super) fn listen(&mut self, request: &mut RelayRequest<'_>, conn: ConnId) -> ReadNext {
        let (address, is_registered) = match self.reply_address(request) {
            Ok(address) => address,
            Err(rejection) => return request.reply.reject(rejection),
        };
        self.stop_listening(request.session, request.now);
        let shown = request.session.credentials();
        match (self.message_listeners).insert(address, conn, is_registered, shown) {
            ListenResult::Added => {}
            ListenResult::Replaced(previous) => request.reply.replaced(previous),
            ListenResult::Taken => {
                return request.reply.reject(Rejection::NodeListens(address));
            }
        }
        request.session.extended().listens_at = Some((address, conn));
        self.record_listener(address, true, request.now);
        request.reply.listening(Listening(address))
    }

    /// Lists the listeners that the client may see.
    pub(super) fn who(&mut self, request: &mut RelayRequest<'_>) -> ReadNext {
        let on_loopback = request.is_loopback();
        let list = self.message_listeners.rendered_list(on_loopback);
        request.reply.rendered(&list)
    }

    /// Delivers no further message to the connection.
    pub(super) fn stop_listening(&mut self, session: &mut RelaySession, now: Instant) {
        if let Some((address, conn)) = session.take_listener() {
            self.remove_listener(address, conn, now);
        }
    }

    /// Delivers the messages to this address no longer to the connection.
    pub(super) fn remove_listener(&mut self, address: NodeAddress, conn: ConnId, now: Instant) {
        if self.message_listeners.remove(&address, conn) {
            self.record_listener(address, false, now);
        }
    }

    /// The node at an address has shown this key: whoever receives messages there without
    /// it is not the node. Returns the connection that receives them no longer.
    pub(super) fn take_other_listener(
        &mut self,
        address: NodeAddress,
        key: Option<KeyId>,
        now: Instant,
    ) -> Option<ConnId> {
        let listener = self.message_listeners.remove_other_key(&address, key?)?;
        self.record_listener(address, false, now);
        Some(listener)
    }

    /// The connection that receives the messages to this address. The lists of ids or the
    /// secret may have changed since it began to listen; if it may not any longer, it is removed.
    pub(super) fn receiver(&mut self, to: &NodeAddress, now: Instant) -> Option<ConnId> {
        let (conn, shown) = self.message_listeners.get_with_credentials(to)?;
        if self.access.may_listen(shown.key, shown.secret_version) {
            return Some(conn);
        }
        self.remove_listener(*to, conn, now);
        None
    }

    pub(super) fn send(
        &mut self,
        request: &mut RelayRequest<'_>,
        to: &NodeAddress,
        text: Text<'_>,
    ) -> ReadNext {
        let rate = self.settings.message_rate;
        let limiter = request.session.message_limiter(rate, request.now);
        if !limiter.allows(rate, request.now) {
            return request.reply.reject(Rejection::TooManyMessages(rate));
        }
        let rate = self.settings.message_rate_per_address;
        let group = address_group(request.ip);
        if !self.settings.trust.contains(request.ip)
            && !self.message_limiter.allows(group, 1, rate, request.now)
        {
            return request.reply.reject(Rejection::TooManyMessages(rate));
        }
        let from = match self.reply_address(request) {
            Ok((from, _)) => from,
            Err(rejection) => return request.reply.reject(rejection),
        };
        let listener = self.receiver(to, request.now);
        let is_visible = request.is_loopback() || !to.is_loopback();
        let message = Delivery { from, text };
        let result = match listener {
            _ if !is_visible => Err(Rejection::NoListener(*to)),
            Some(listener) if request.reply.message(listener, &message) => Ok(()),
            Some(_) => Err(Rejection::ReceiverBusy(*to)),
            None => self.forward_message(*to, message, request.now),
        };
        self.counters.messages += u64::from(result.is_ok());
        request.reply.ok_or_error(result)
    }

    /// The address to which others reply to messages of this connection, and whether
    /// it is that of a registered node.
    fn reply_address(&self, request: &RelayRequest<'_>) -> Result<(NodeAddress, bool), Rejection> {
        match request.session.registration() {
            Registration::Active(address, _) => {
                self.registered_slot(request)?;
                Ok((address, true))
            }
            Registration::Rejected => Err(Rejection::RegisterFirst),
            Registration::None => match request.peer_address() {
                Some(address) => match self.directory.id_at(&address) {
                    Some(id) if request.session.key() != Some(id) => {
                        Err(Rejection::NotYourKey(address))
                    }
                    Some(_) | None => Ok((address, false)),
                },
                None => Err(Rejection::NoReplyAddress),
            },
        }
    }
}
