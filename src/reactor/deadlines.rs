//! What each connection waits for, and what happens when it waits in vain.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use crate::close_reason::CloseReason;
use crate::reactor::Reactor;
use crate::reactor::connection::{Origin, Phase, Silence, Spoke, Waiting};
use crate::role::{FramingError, Role};
use crate::timers::TimerKind;

/// What a connection can wait for; each has its deadline in a lane of its own.
pub(super) const DIAL: TimerKind = 0;
pub(super) const FIRST_LINE: TimerKind = 1;
pub(super) const IDLE: TimerKind = 2;
pub(super) const STALL: TimerKind = 3;
pub(super) const PROGRESS: TimerKind = 4;
pub(super) const LINGER: TimerKind = 5;
pub(super) const LANES: TimerKind = 6;

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
        let heard_line = conn.spoke == Spoke::Lately;
        if heard_line {
            conn.spoke = Spoke::Before;
        }
        let limits = &self.settings.limits;
        let (lane, time, progress) = match (conn.phase, conn.origin) {
            (Phase::Dialling | Phase::Ended, _) => return,
            (Phase::Lingering, _) => (LINGER, LINGER_TIME, false),
            (Phase::Open | Phase::Closing, _) if !conn.outbox.is_empty() => {
                (STALL, limits.stall, moved.1 > 0)
            }
            // Keepalive finds out whether the other side is still there.
            (_, _) if conn.silence == Silence::Kept => return self.timers.clear(slot),
            // Bytes of a line that never ends are no progress.
            (_, Origin::Dialled) => {
                let progress = conn.spoke != Spoke::Never && moved.0 > 0;
                (PROGRESS, self.settings.patience.timeout, progress)
            }
            (_, Origin::Accepted) if conn.spoke == Spoke::Never => {
                (FIRST_LINE, limits.first_line, false)
            }
            // It waits for us.
            (_, Origin::Accepted) if conn.waiting != Waiting::No => {
                return self.timers.clear(slot);
            }
            (_, Origin::Accepted) => (IDLE, limits.idle, heard_line),
        };
        if progress || self.timers.kind(slot) != Some(lane) {
            let since = match lane {
                // What was received may have taken long to put away: that is
                // not the other side's fault.
                PROGRESS => Instant::now(),
                FIRST_LINE => self.started + Duration::from_nanos(conn.since),
                _ => self.now,
            };
            self.timers.set(slot, lane, since + time);
        }
    }

    /// A connection's deadline has passed.
    pub(super) fn too_late(&mut self, slot: usize) {
        let Some(conn) = self.connections.get_mut(slot) else {
            return;
        };
        // The lane is gone with the deadline; the state tells what was waited for.
        let end = match (conn.phase, conn.origin) {
            (Phase::Ended, _) => return,
            (Phase::Dialling, _) => CloseReason::ConnectTimeout,
            (Phase::Lingering, _) => return self.end(slot, CloseReason::EndOfInput),
            (Phase::Open | Phase::Closing, _) if !conn.outbox.is_empty() => {
                CloseReason::WriteTimeout
            }
            (_, Origin::Dialled) => CloseReason::ReadTimeout,
            (_, Origin::Accepted) if !conn.inbox.is_empty() => {
                let before = conn.moved();
                self.break_input(slot, FramingError::LineTimeout);
                return self.after_turn(slot, before);
            }
            (_, Origin::Accepted) if conn.spoke == Spoke::Never => CloseReason::NoRequest,
            (_, Origin::Accepted) => CloseReason::IdleTimeout,
        };
        self.end(slot, end);
    }
}
