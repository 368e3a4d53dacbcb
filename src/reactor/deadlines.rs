//! What each connection waits for, and what happens when that does not come in time.
//!
//! A connection waits for one thing at a time. [`Connection::awaited`] alone decides
//! for which, from the state of the connection; setting a deadline and missing it both
//! start there.

use std::time::Duration;

use crate::close_reason::CloseReason;
use crate::reactor::Reactor;
use crate::reactor::connection::{Connection, IdlePolicy, Origin, Phase};
use crate::reactor::transport::Transport;
use crate::role::{FramingError, Role};
use crate::session::driver::{InputDriver, ReadState, TurnReport};
use crate::timers::TimerKind;

/// How long a lingering connection waits for the peer's end of input.
const LINGER_TIME: Duration = Duration::from_secs(2);

/// What a connection waits for; the timers of each kind have a list of their own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Awaited {
    /// The result of our connection attempt.
    Established,
    /// The first line of a peer that connected to us.
    FirstLine,
    /// The next line of a peer that connected to us.
    NextLine,
    /// Input of a peer that we connected to.
    Reply,
    /// The peer accepts bytes of the outbox.
    Writable,
    /// The peer's end of input after our own.
    PeerShutdown,
}

/// The number of kinds of timers.
pub(super) const TIMER_KINDS: TimerKind = Awaited::PeerShutdown as TimerKind + 1;

/// What a connection did in one turn.
#[derive(Clone, Copy, Default)]
pub(super) struct TurnProgress {
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    /// A complete line arrived.
    pub(super) has_line: bool,
}

impl<S, F, T> Connection<S, F, T> {
    /// What the connection waits for, if its time is limited.
    pub(super) fn awaited(&self) -> Option<Awaited> {
        let driver = match &self.phase {
            Phase::Connecting => return Some(Awaited::Established),
            Phase::Closing(_) => return Some(Awaited::Writable),
            Phase::Lingering(_) => return Some(Awaited::PeerShutdown),
            Phase::Closed(_) => return None,
            Phase::Open(_) if !self.outbox.is_empty() => return Some(Awaited::Writable),
            Phase::Open(driver) => driver,
        };
        match (self.idle_policy, self.origin) {
            // TCP keepalive detects a vanished peer.
            (IdlePolicy::Unlimited, _) => None,
            (_, Origin::Outbound) => Some(Awaited::Reply),
            (_, Origin::Inbound) if !driver.has_received_line() => Some(Awaited::FirstLine),
            (_, Origin::Inbound) => match driver.state() {
                // The peer waits for us.
                ReadState::AwaitingRole | ReadState::Resumable => None,
                ReadState::NeedsInput | ReadState::Backlogged | ReadState::AtEof => {
                    Some(Awaited::NextLine)
                }
            },
        }
    }

    /// Whether an awaited thing came in part, so that its time starts anew.
    fn is_progress(&self, awaited: Awaited, progress: &TurnProgress) -> bool {
        match awaited {
            Awaited::Established | Awaited::FirstLine | Awaited::PeerShutdown => false,
            Awaited::NextLine => progress.has_line,
            Awaited::Writable => progress.bytes_out > 0,
            // Bytes of a line that never ends are no progress.
            Awaited::Reply => {
                progress.bytes_in > 0
                    && matches!(&self.phase, Phase::Open(driver) if driver.has_received_line())
            }
        }
    }
}

impl<R: Role, T: Transport<R::File>> Reactor<R, T> {
    /// Sets the deadline of a connection after its turn.
    pub(super) fn set_deadline(&mut self, slot: usize, progress: &TurnProgress) {
        let conn = &self.connections[slot];
        let Some(awaited) = conn.awaited() else {
            return self.timers.clear(slot);
        };
        let kind = awaited as TimerKind;
        if self.timers.kind(slot) == Some(kind) && !conn.is_progress(awaited, progress) {
            return;
        }
        let (limits, timeouts) = (&self.settings.limits, &self.settings.timeouts);
        let due = match awaited {
            Awaited::Established => self.now + timeouts.connect_timeout,
            Awaited::FirstLine => {
                self.started + Duration::from_nanos(conn.opened_at) + limits.first_line
            }
            Awaited::NextLine => self.now + limits.idle,
            // Storing the received bytes may have taken long, which is not the peer's fault.
            Awaited::Reply => self.clock.now() + timeouts.timeout,
            Awaited::Writable => self.now + limits.stall,
            Awaited::PeerShutdown => self.now + LINGER_TIME,
        };
        self.timers.set(slot, kind, due);
    }

    /// A connection's deadline has passed.
    pub(super) fn on_deadline(&mut self, slot: usize) {
        let conn = self.connections.get_mut(slot);
        let Some((awaited, conn)) = conn.and_then(|conn| Some((conn.awaited()?, conn))) else {
            return;
        };
        let has_unfinished_line = conn.driver().is_some_and(|d| d.has_unhandled_bytes());
        let reason = match awaited {
            Awaited::FirstLine | Awaited::NextLine if has_unfinished_line => {
                let before = conn.bytes_moved();
                InputDriver::on_framing_error(&mut self.driven(slot), FramingError::LineTimeout);
                self.linger_if_flushed(slot);
                return self.finish_turn(slot, before, TurnReport::default());
            }
            Awaited::Established => CloseReason::ConnectTimeout,
            Awaited::FirstLine => CloseReason::NoRequest,
            Awaited::NextLine => CloseReason::IdleTimeout,
            Awaited::Reply => CloseReason::ReadTimeout,
            Awaited::Writable => CloseReason::WriteTimeout,
            // The reason for lingering remains.
            Awaited::PeerShutdown => CloseReason::EndOfInput,
        };
        self.close_now(slot, reason);
    }
}
