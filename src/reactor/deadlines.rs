//! What each connection waits for, and what happens when it waits in vain.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use crate::close_reason::CloseReason;
use crate::reactor::Reactor;
use crate::reactor::connection::{IdlePolicy, LineSeen, Origin, Phase, RoleWait};
use crate::role::{FramingError, Role};
use crate::timers::TimerKind;

/// What a connection can wait for; each has its deadline in a kind of its own.
pub(super) const CONNECT: TimerKind = 0;
pub(super) const FIRST_LINE: TimerKind = 1;
pub(super) const IDLE: TimerKind = 2;
pub(super) const STALL: TimerKind = 3;
pub(super) const PROGRESS: TimerKind = 4;
pub(super) const LINGER: TimerKind = 5;
pub(super) const KINDS: TimerKind = 6;

/// How long to listen for the peer's end after our own goodbye.
const LINGER_TIME: Duration = Duration::from_secs(2);

impl<R: Role> Reactor<R>
where
    R::File: AsFd,
{
    /// Each connection waits for one thing at a time.
    pub(super) fn set_deadline(&mut self, slot: usize, moved: (u64, u64)) {
        let Some(conn) = self.connections.get_mut(slot) else {
            return;
        };
        let has_line = conn.line_seen == LineSeen::ThisTurn;
        if has_line {
            conn.line_seen = LineSeen::Earlier;
        }
        let limits = &self.settings.limits;
        let (kind, time, progress) = match (conn.phase, conn.origin) {
            (Phase::Connecting | Phase::Closed, _) => return,
            (Phase::Lingering, _) => (LINGER, LINGER_TIME, false),
            (Phase::Open | Phase::Closing, _) if !conn.outbox.is_empty() => {
                (STALL, limits.stall, moved.1 > 0)
            }
            // Keepalive finds out whether the other side is still there.
            (_, _) if conn.idle_policy == IdlePolicy::Unlimited => return self.timers.clear(slot),
            // Bytes of a line that never ends are no progress.
            (_, Origin::Outbound) => {
                let progress = conn.line_seen != LineSeen::Never && moved.0 > 0;
                (PROGRESS, self.settings.timeouts.timeout, progress)
            }
            (_, Origin::Inbound) if conn.line_seen == LineSeen::Never => {
                (FIRST_LINE, limits.first_line, false)
            }
            // It waits for us.
            (_, Origin::Inbound) if conn.role_wait != RoleWait::No => {
                return self.timers.clear(slot);
            }
            (_, Origin::Inbound) => (IDLE, limits.idle, has_line),
        };
        if progress || self.timers.kind(slot) != Some(kind) {
            let since = match kind {
                // What was received may have taken long to put away: that is
                // not the other side's fault.
                PROGRESS => Instant::now(),
                FIRST_LINE => self.started + Duration::from_nanos(conn.opened_at),
                _ => self.now,
            };
            self.timers.set(slot, kind, since + time);
        }
    }

    /// A connection's deadline has passed.
    pub(super) fn on_deadline(&mut self, slot: usize) {
        let Some(conn) = self.connections.get_mut(slot) else {
            return;
        };
        // The kind is gone with the deadline; the state tells what was waited for.
        let reason = match (conn.phase, conn.origin) {
            (Phase::Closed, _) => return,
            (Phase::Connecting, _) => CloseReason::ConnectTimeout,
            (Phase::Lingering, _) => return self.mark_closed(slot, CloseReason::EndOfInput),
            (Phase::Open | Phase::Closing, _) if !conn.outbox.is_empty() => {
                CloseReason::WriteTimeout
            }
            (_, Origin::Outbound) => CloseReason::ReadTimeout,
            (_, Origin::Inbound) if !conn.inbox.is_empty() => {
                let before = conn.moved();
                self.on_framing_error(slot, FramingError::LineTimeout);
                return self.finish_turn(slot, before);
            }
            (_, Origin::Inbound) if conn.line_seen == LineSeen::Never => CloseReason::NoRequest,
            (_, Origin::Inbound) => CloseReason::IdleTimeout,
        };
        self.mark_closed(slot, reason);
    }
}
