//! Messages from one connection to another.

use crate::close_reason::End;
use crate::protocol::{Code, Delivery, NodeAddress, Reply, Text};
use crate::relay::message_listeners::Listening;
use crate::relay::session::{Caller, Subject};
use crate::relay::{Refused, Relay};
use crate::role::{ConnId, Turn};
use crate::session::server::say;

impl Relay {
    /// Makes the connection the one that receives what is sent to its address.
    pub(super) fn listen(
        &mut self,
        turn: &mut Turn<'_, Self>,
        conn: ConnId,
        caller: &mut Caller<'_>,
    ) -> Result<NodeAddress, Refused> {
        let (address, registered) = self.speaker(caller)?;
        if let Some((earlier, conn)) = caller.session.rare().listens.take() {
            self.listeners.leave(&earlier, conn);
        }
        match self.listeners.listen(address, conn, registered) {
            Listening::Now => {}
            Listening::Instead(earlier) => {
                let error = Reply::Error(Code::Changed, "replaced".into());
                say(turn.out.unasked(earlier), error);
                turn.out.close(earlier, End::Replaced);
            }
            Listening::Taken => {
                return Err((
                    Code::NotAllowed,
                    format!("the node {address} listens there; REGISTER first if it is you"),
                ));
            }
        }
        caller.session.rare().listens = Some((address, conn));
        Ok(address)
    }

    pub(super) fn send(
        &mut self,
        turn: &mut Turn<'_, Self>,
        caller: &mut Caller<'_>,
        to: &NodeAddress,
        text: Text<'_>,
    ) -> Result<(), Refused> {
        let rate = self.settings.message_rate;
        if !caller.session.pace(rate, turn.now).allows(rate, turn.now) {
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
        say(turn.out.unasked(listener), Delivery { from, text });
        Ok(())
    }

    /// The address at which others answer to what is said on this connection,
    /// and whether it is a registered one.
    pub(super) fn speaker(&self, caller: &Caller<'_>) -> Result<(NodeAddress, bool), Refused> {
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
