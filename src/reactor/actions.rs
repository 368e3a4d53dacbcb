//! Carries out the actions that the role requests.

use crate::close_reason::CloseReason;
use crate::reactor::Reactor;
use crate::reactor::connection::{Connection, Origin, Pacing};
use crate::reactor::shutdown::{LoopOutcome, Stopping};
use crate::reactor::transport::Transport;
use crate::role::{Action, ConnId, Context, Role, TextKind};
use crate::wall_clock;

impl<R: Role, T: Transport<R::File>> Reactor<R, T> {
    pub(super) fn call_role(&mut self, call: impl FnOnce(&mut R, &mut Context<'_, R>)) {
        let mut context = Context {
            now: self.now,
            wall_clock: wall_clock::now,
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
        let now = self.age;
        let (text, mut actions) = self.out.take();
        let mut rest = actions.drain(..).peekable();
        let mut start = 0;
        let (mut stops, mut reports) = (false, false);
        while let Some(action) = rest.next() {
            match action {
                Action::Text { to, end, kind } => {
                    let bytes = &text[std::mem::replace(&mut start, end)..end];
                    match kind {
                        TextKind::Reply => {
                            let more = rest.peek().is_some_and(|next| next.sends_to(to));
                            self.with_connection(to, |conn| conn.send(bytes, more));
                        }
                        TextKind::Continuation => self.send_continuation(to, bytes),
                        TextKind::Unsolicited => self.send_unsolicited(to, bytes),
                    }
                }
                Action::Datagram { to, end } => {
                    self.send_datagram(to, &text[std::mem::replace(&mut start, end)..end]);
                }
                Action::Shared(to, bytes) => {
                    self.memory.add_shared(&bytes);
                    self.with_connection(to, |conn| {
                        conn.outbox.push_shared(bytes);
                        conn.flush(now)
                    });
                }
                Action::File(to, file, range, request) => self.with_connection(to, |conn| {
                    conn.outbox.push_file(file, range, request, now);
                    conn.flush(now)
                }),
                Action::AllowIdle(to) => self.allow_idle(to),
                Action::ExpectReply(to) => self.update(to, Connection::expect_reply),
                Action::Resume(to) => self.resume(to),
                Action::ListConnections(to) => self.send_connections(to),
                Action::ReportConnections => reports = true,
                Action::Close(to, reason) => self.update(to, |conn| conn.start_closing(reason)),
                Action::Dial(address, session) => self.dial(address, session),
                Action::UseAddresses(ips) => self.use_addresses(ips),
                Action::StopGracefully => stops = true,
                Action::StopLoop => self.stopping = Stopping::Now(LoopOutcome::Finished),
            }
        }
        drop(rest);
        self.out.recycle(text, actions);
        if reports {
            self.report_connections();
        }
        if stops {
            self.stop();
        }
    }

    /// Calls `act` with a connection, if bytes may be sent to it, and closes the connection
    /// if that fails.
    pub(super) fn with_connection(
        &mut self,
        id: ConnId,
        act: impl FnOnce(&mut Connection<R::Session, R::File, T>) -> Result<(), CloseReason>,
    ) {
        let slot = id.slot as usize;
        let conn = self.connections.get_mut(slot);
        let Some(conn) = conn.filter(|conn| conn.serial == id.serial && conn.may_send()) else {
            return;
        };
        let (before, usage) = (conn.bytes_out, conn.usage());
        let was_flushed = !conn.has_output();
        let result = act(conn);
        self.traffic.bytes_out += conn.bytes_out - before;
        let (group, new_usage) = (conn.group, conn.usage());
        let is_paced = conn.pacing == Pacing::Sending;
        let is_request = conn.origin == Origin::Outbound && was_flushed && conn.has_output();
        self.count_memory(group, usage, new_usage);
        if is_request {
            // The connection's next turn sends, and the time for the reply starts anew.
            self.timers.clear(slot);
            self.enqueue(slot);
        }
        if is_paced {
            // Its own turn sends.
            self.enqueue(slot);
        }
        if let Err(reason) = result {
            self.close_now(slot, reason);
        }
    }

    /// Sends a request for more of an answer. It does not wait for the next turn: the connection
    /// would then wait for the peer to take it, and for the answer anew.
    fn send_continuation(&mut self, to: ConnId, bytes: &[u8]) {
        let now = self.age;
        if !bytes.is_empty() {
            self.with_connection(to, |conn| {
                conn.outbox.push_bytes(bytes);
                conn.flush(now)
            });
        }
    }

    /// Sends text that answers no request. The role sends no more to a peer that lets
    /// such text pile up.
    fn send_unsolicited(&mut self, to: ConnId, bytes: &[u8]) {
        let max_queue = self.settings.limits.max_queue;
        let mut is_full = false;
        self.with_connection(to, |conn| {
            let sent = conn.send_unsolicited(bytes);
            is_full = conn.is_full(max_queue);
            sent
        });
        if is_full {
            self.out.set_full(to, true);
        }
        // The connection's own turn sets the deadline.
        self.enqueue(to.slot as usize);
    }

    /// Waits for the next input without a deadline.
    fn allow_idle(&mut self, to: ConnId) {
        self.with_connection(to, |conn| {
            conn.allow_idle();
            Ok(())
        });
    }

    /// Reads on where the role has waited.
    pub(super) fn resume(&mut self, id: ConnId) {
        self.update(id, |conn| {
            if let Some(driver) = conn.driver() {
                driver.resume();
            }
        });
    }

    /// Changes what a connection waits for, and queues the turn that acts on that.
    fn update(&mut self, id: ConnId, change: impl FnOnce(&mut Connection<R::Session, R::File, T>)) {
        self.with_connection(id, |conn| {
            change(conn);
            Ok(())
        });
        self.enqueue(id.slot as usize);
    }
}
