//! Does what the role wants.

use std::os::fd::AsFd;

use crate::close_reason::CloseReason;
use crate::reactor::Reactor;
use crate::reactor::connection::{Connection, Phase, Silence, Waiting};
use crate::reactor::shutdown::{LoopOutcome, Stopping};
use crate::role::{Action, ConnId, Context, Role};

impl<R: Role> Reactor<R>
where
    R::File: AsFd,
{
    pub(super) fn call_role(&mut self, call: impl FnOnce(&mut R, &mut Context<'_, R>)) {
        let mut turn = Context {
            now: self.now,
            traffic: &self.traffic,
            out: &mut self.out,
        };
        call(&mut self.role, &mut turn);
        self.apply();
    }

    /// Does what the role wants.
    pub(super) fn apply(&mut self) {
        if self.out.is_empty() {
            return;
        }
        let (text, mut steps) = self.out.take();
        let mut rest = steps.drain(..).peekable();
        let mut sent = 0;
        let mut stops = false;
        while let Some(step) = rest.next() {
            let result = match step {
                Action::Text {
                    to,
                    end,
                    unsolicited,
                } => {
                    let bytes = &text[sent..end];
                    sent = end;
                    let more = rest.peek().is_some_and(|next| next.to() == Some(to));
                    if unsolicited {
                        self.tell(to, bytes)
                    } else {
                        self.recipient(to, |conn| conn.send(bytes, more))
                    }
                }
                Action::Datagram { to, end } => {
                    let bytes = &text[sent..end];
                    sent = end;
                    self.send_datagram(to, bytes);
                    None
                }
                Action::AllowIdle { conn } => self.recipient(conn, |conn| {
                    conn.keep();
                    Ok(())
                }),
                Action::ExpectReply { conn } => {
                    let expecting = self.recipient(conn, |conn| {
                        if conn.silence == Silence::Kept {
                            conn.silence = Silence::Owing;
                        }
                        Ok(())
                    });
                    // Its own turn sets its deadline.
                    self.enqueue(conn.slot as usize);
                    expecting
                }
                Action::Resume { conn } => {
                    let resumed = self.recipient(conn, |conn| {
                        conn.waiting = Waiting::Over;
                        Ok(())
                    });
                    self.enqueue(conn.slot as usize);
                    resumed
                }
                Action::Close { conn, end } => {
                    self.dismiss(conn, end);
                    None
                }
                Action::Shared { to, bytes } => self.recipient(to, |conn| conn.send_shared(bytes)),
                Action::File {
                    to,
                    file,
                    offset,
                    length,
                } => self.recipient(to, |conn| conn.send_file(file, offset, length)),
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
            if let Some((slot, end)) = result {
                self.end(slot, end);
            }
        }
        drop(rest);
        self.out.recycle(text, steps);
        if stops {
            self.stop();
        }
    }

    /// Sends something to a connection, if it is still there. Returns how it
    /// ended, if it did.
    pub(super) fn recipient(
        &mut self,
        to: ConnId,
        send: impl FnOnce(&mut Connection<R::Session, R::File>) -> Result<(), CloseReason>,
    ) -> Option<(usize, CloseReason)> {
        let slot = to.slot as usize;
        let conn = self.connections.get_mut(slot)?;
        if conn.serial != to.serial || !matches!(conn.phase, Phase::Open | Phase::Closing) {
            return None;
        }
        let before = conn.bytes_out;
        let result = send(conn);
        self.traffic.bytes_out += conn.bytes_out - before;
        result.err().map(|end| (slot, end))
    }

    /// Sends something that was not asked for. Whoever lets it pile up is cut
    /// off, so that nobody else notices.
    fn tell(&mut self, to: ConnId, bytes: &[u8]) -> Option<(usize, CloseReason)> {
        let max_queue = self.settings.limits.max_queue as u64;
        let result = self.recipient(to, |conn| conn.tell(bytes, max_queue));
        // Its own turn sets its deadline.
        self.enqueue(to.slot as usize);
        result
    }

    /// Closes a connection that is not being heard just now.
    fn dismiss(&mut self, id: ConnId, end: CloseReason) {
        let slot = id.slot as usize;
        if self
            .connections
            .get(slot)
            .is_some_and(|conn| conn.serial == id.serial)
        {
            self.close(slot, end);
            self.enqueue(slot);
        }
    }
}
