//! Messages from one connection to another.

use crate::close_reason::CloseReason;
use crate::protocol::{Code, Delivery, NodeAddress, Reply, Text};
use crate::relay::message_listeners::ListenResult;
use crate::relay::session::{RequestContext, Subject};
use crate::relay::{Rejection, Relay};
use crate::role::{ConnId, Context};
use crate::session::server::say;

impl Relay {
    /// Makes the connection the one that receives what is sent to its address.
    pub(super) fn listen(
        &mut self,
        context: &mut Context<'_, Self>,
        conn: ConnId,
        caller: &mut RequestContext<'_>,
    ) -> Result<NodeAddress, Rejection> {
        let (address, registered) = self.speaker(caller)?;
        if let Some((earlier, conn)) = caller.session.extended().listens.take() {
            self.listeners.leave(&earlier, conn);
        }
        match self.listeners.listen(address, conn, registered) {
            ListenResult::Now => {}
            ListenResult::Instead(earlier) => {
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
        caller.session.extended().listens = Some((address, conn));
        Ok(address)
    }

    pub(super) fn send(
        &mut self,
        context: &mut Context<'_, Self>,
        caller: &mut RequestContext<'_>,
        to: &NodeAddress,
        text: Text<'_>,
    ) -> Result<(), Rejection> {
        let rate = self.settings.message_rate;
        if !caller
            .session
            .pace(rate, context.now)
            .allows(rate, context.now)
        {
            return Err((
                Code::SlowDown,
                format!("at most {rate} messages a second; wait a little"),
            ));
        }
        let (from, _) = self.speaker(caller)?;
        let listener = self.listeners.at(to).ok_or_else(|| {
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
    pub(super) fn speaker(
        &self,
        caller: &RequestContext<'_>,
    ) -> Result<(NodeAddress, bool), Rejection> {
        let refused = |why: &str| (Code::NotAllowed, why.to_owned());
        match caller.session.subject() {
            Subject::Node(address, _) => {
                self.subject(caller)?;
                Ok((address, true))
            }
            Subject::Refused => Err(refused("REGISTER first")),
            Subject::Never => caller
                .own()
                .map(|own| (own, false))
                .ok_or_else(|| refused("your address cannot be answered to")),
        }
    }
}
