//! `LISTEN` and `SEND`: messages from one connection to another.

use crate::protocol::{Delivery, Listening, NodeAddress, Rejection, Text};
use crate::relay::message_listeners::ListenResult;
use crate::relay::session::Registration;
use crate::relay::{Relay, RelaySession};
use crate::role::{ConnId, ReadNext};
use crate::session::responder::Responder;
use crate::session::server::RequestContext;

impl Relay {
    /// Makes the connection receive the messages to its address.
    pub(super) fn listen(
        &mut self,
        context: &RequestContext<'_>,
        session: &mut RelaySession,
        conn: ConnId,
        reply: &mut Responder<'_, Self>,
    ) -> ReadNext {
        let (address, is_registered) = match self.reply_address(context, session) {
            Ok(address) => address,
            Err(rejection) => return reply.reject(rejection),
        };
        if let Some((previous, conn)) = session.extended().listens_at.take() {
            self.listeners.remove(&previous, conn);
        }
        match self.listeners.insert(address, conn, is_registered) {
            ListenResult::Added => {}
            ListenResult::Replaced(previous) => reply.replaced(previous),
            ListenResult::Taken => {
                return reply.reject(Rejection::NodeListens(address));
            }
        }
        session.extended().listens_at = Some((address, conn));
        reply.listening(Listening(address))
    }

    pub(super) fn send(
        &mut self,
        context: &RequestContext<'_>,
        session: &mut RelaySession,
        to: &NodeAddress,
        text: Text<'_>,
        reply: &mut Responder<'_, Self>,
    ) -> ReadNext {
        let rate = self.settings.message_rate;
        let limiter = session.message_limiter(rate, context.now);
        if !limiter.allows(rate, context.now) {
            return reply.reject(Rejection::TooManyMessages(rate));
        }
        let from = match self.reply_address(context, session) {
            Ok((from, _)) => from,
            Err(rejection) => return reply.reject(rejection),
        };
        let Some(listener) = self.listeners.get(to) else {
            return reply.reject(Rejection::NoListener(*to));
        };
        self.counters.messages += 1;
        reply.message(listener, &Delivery { from, text });
        reply.ok()
    }

    /// The address to which others reply to messages of this connection, and whether
    /// it is that of a registered node.
    fn reply_address(
        &self,
        context: &RequestContext<'_>,
        session: &RelaySession,
    ) -> Result<(NodeAddress, bool), Rejection> {
        match session.registration() {
            Registration::Active(address, _) => {
                self.registered_slot(context, session)?;
                Ok((address, true))
            }
            Registration::Rejected => Err(Rejection::RegisterFirst),
            Registration::None => match context.peer_address() {
                Some(address) => Ok((address, false)),
                None => Err(Rejection::NoReplyAddress),
            },
        }
    }
}
