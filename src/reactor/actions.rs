//! Carries out the actions that the role requests.

use std::os::fd::AsFd;

use crate::close_reason::CloseReason;
use crate::reactor::Reactor;
use crate::reactor::connection::{Connection, IdlePolicy, Phase, RoleWait};
use crate::reactor::shutdown::{LoopOutcome, Stopping};
use crate::role::{Action, ConnId, Context, Role};

impl<R: Role> Reactor<R>
where
    R::File: AsFd,
{
    pub(super) fn call_role(&mut self, call: impl FnOnce(&mut R, &mut Context<'_, R>)) {
        let mut context = Context {
            now: self.now,
            traffic: &self.traffic,
            out: &mut self.out,
        };
        call(&mut self.role, &mut context);
        self.apply();
    }

    /// Carries out the requested actions, in order.
    pub(super) fn apply(&mut self) {
        if self.out.is_empty() {
            return;
        }
        let (text, mut actions) = self.out.take();
        let mut rest = actions.drain(..).peekable();
        let mut sent = 0;
        let mut stops = false;
        while let Some(action) = rest.next() {
            let result = match action {
                Action::Text {
                    to,
                    end,
                    unsolicited,
                } => {
                    let bytes = &text[sent..end];
                    sent = end;
                    let more = rest.peek().is_some_and(|next| next.to() == Some(to));
                    if unsolicited {
                        self.send_unsolicited(to, bytes)
                    } else {
                        self.with_connection(to, |conn| conn.send(bytes, more))
                    }
                }
                Action::Datagram { to, end } => {
                    let bytes = &text[sent..end];
                    sent = end;
                    self.send_datagram(to, bytes);
                    None
                }
                Action::AllowIdle { conn } => self.with_connection(conn, |conn| {
                    conn.allow_idle();
                    Ok(())
                }),
                Action::ExpectReply { conn } => {
                    let expecting = self.with_connection(conn, |conn| {
                        if conn.idle_policy == IdlePolicy::Unlimited {
                            conn.idle_policy = IdlePolicy::ReplyExpected;
                        }
                        Ok(())
                    });
                    // The connection's own turn sets its deadline.
                    self.enqueue(conn.slot as usize);
                    expecting
                }
                Action::Resume { conn } => {
                    let resumed = self.with_connection(conn, |conn| {
                        conn.role_wait = RoleWait::Over;
                        Ok(())
                    });
                    self.enqueue(conn.slot as usize);
                    resumed
                }
                Action::Close { conn, reason } => {
                    self.close_connection(conn, reason);
                    None
                }
                Action::Shared { to, bytes } => {
                    self.with_connection(to, |conn| conn.send_shared(bytes))
                }
                Action::File {
                    to,
                    file,
                    offset,
                    length,
                } => self.with_connection(to, |conn| conn.send_file(file, offset, length)),
                Action::Dial { address, session } => {
                    self.dial(address, session);
                    None
                }
                Action::ShutDown => {
                    stops = true;
                    None
                }
                Action::StopLoop => {
                    self.stopping = Stopping::Now(LoopOutcome::Finished);
                    None
                }
            };
            if let Some((slot, reason)) = result {
                self.mark_closed(slot, reason);
            }
        }
        drop(rest);
        self.out.recycle(text, actions);
        if stops {
            self.stop();
        }
    }

    /// Calls `act` with a connection, if it is still open. Returns the reason to close
    /// it, if there is one.
    pub(super) fn with_connection(
        &mut self,
        to: ConnId,
        act: impl FnOnce(&mut Connection<R::Session, R::File>) -> Result<(), CloseReason>,
    ) -> Option<(usize, CloseReason)> {
        let slot = to.slot as usize;
        let conn = self.connections.get_mut(slot)?;
        if conn.serial != to.serial || !matches!(conn.phase, Phase::Open | Phase::Closing) {
            return None;
        }
        let before = conn.bytes_out;
        let result = act(conn);
        self.traffic.bytes_out += conn.bytes_out - before;
        result.err().map(|reason| (slot, reason))
    }

    /// Sends text that answers no request. A peer that lets such text pile up is
    /// disconnected, so that it does not hold up the others.
    fn send_unsolicited(&mut self, to: ConnId, bytes: &[u8]) -> Option<(usize, CloseReason)> {
        let max_queue = self.settings.limits.max_queue as u64;
        let result = self.with_connection(to, |conn| conn.send_unsolicited(bytes, max_queue));
        // The connection's own turn sets its deadline.
        self.enqueue(to.slot as usize);
        result
    }

    /// Closes a connection whose input is not being handled.
    fn close_connection(&mut self, id: ConnId, reason: CloseReason) {
        let slot = id.slot as usize;
        if self
            .connections
            .get(slot)
            .is_some_and(|conn| conn.serial == id.serial)
        {
            self.close(slot, reason);
            self.enqueue(slot);
        }
    }
}
