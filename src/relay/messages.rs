//! Messages from one connection to another.

use crate::close_reason::CloseReason;
use crate::protocol::{Code, Delivery, NodeAddress, Reply, Text};
use crate::relay::message_listeners::ListenResult;
use crate::relay::session::{Registration, RequestContext};
use crate::relay::{Rejection, Relay};
use crate::role::{ConnId, Context};
use crate::session::server::say;

impl Relay {
    /// Makes the connection the one that receives what is sent to its address.
    pub(super) fn listen(
        &mut self,
        context: &mut Context<'_, Self>,
        conn: ConnId,
        peer: &mut RequestContext<'_>,
    ) -> Result<NodeAddress, Rejection> {
        let (address, registered) = self.reply_address(peer)?;
        if let Some((earlier, conn)) = peer.session.extended().listens_at.take() {
            self.listeners.remove(&earlier, conn);
        }
        match self.listeners.insert(address, conn, registered) {
            ListenResult::Added => {}
            ListenResult::Replaced(earlier) => {
                let error = Reply::Error(Code::Changed, "replaced".into());
                say(context.out.unsolicited(earlier), error);
                context.out.close(earlier, CloseReason::Replaced);
            }
            ListenResult::Taken => {
                return Err((
                    Code::NotAllowed,
                    format!("the node {address} listens there; REGISTER first if it is you"),
                ));
            }
        }
        peer.session.extended().listens_at = Some((address, conn));
        Ok(address)
    }

    pub(super) fn send(
        &mut self,
        context: &mut Context<'_, Self>,
        peer: &mut RequestContext<'_>,
        to: &NodeAddress,
        text: Text<'_>,
    ) -> Result<(), Rejection> {
        let rate = self.settings.message_rate;
        if !peer
            .session
            .message_limiter(rate, context.now)
            .allows(rate, context.now)
        {
            return Err((
                Code::SlowDown,
                format!("at most {rate} messages a second; wait a little"),
            ));
        }
        let (from, _) = self.reply_address(peer)?;
        let listener = self.listeners.get(to).ok_or_else(|| {
            (
                Code::NoSuchNode,
                format!("nobody listens at {to}; whoever is there types LISTEN first"),
            )
        })?;
        self.messages += 1;
        say(context.out.unsolicited(listener), Delivery { from, text });
        Ok(())
    }

    /// The address at which others answer to what is said on this connection,
    /// and whether it is a registered one.
    pub(super) fn reply_address(
        &self,
        peer: &RequestContext<'_>,
    ) -> Result<(NodeAddress, bool), Rejection> {
        let refused = |why: &str| (Code::NotAllowed, why.to_owned());
        match peer.session.registration() {
            Registration::Active(address, _) => {
                self.registered_node(peer)?;
                Ok((address, true))
            }
            Registration::Rejected => Err(refused("REGISTER first")),
            Registration::None => peer
                .peer_address()
                .map(|own| (own, false))
                .ok_or_else(|| refused("your address cannot be answered to")),
        }
    }
}
