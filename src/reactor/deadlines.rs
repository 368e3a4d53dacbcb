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
use crate::session::driver::{InputDriver, TurnReport};
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
pub(super) const TIMER_KINDS: TimerKind = PACED + 1;

/// A connection that carries content may move bytes again; see `throttle`. Nothing is awaited
/// of the peer meanwhile.
const PACED: TimerKind = Awaited::PeerShutdown as TimerKind + 1;

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
            Phase::Open(_) if self.has_output() => return Some(Awaited::Writable),
            Phase::Open(driver) => driver,
        };
        match (self.idle_policy, self.origin) {
            // TCP keepalive detects a vanished peer.
            (IdlePolicy::Unlimited, _) => None,
            (_, Origin::Outbound) => Some(Awaited::Reply),
            (_, Origin::Inbound) if !driver.has_received_line() => Some(Awaited::FirstLine),
            // The peer waits for us.
            (_, Origin::Inbound) if driver.state().has_open_answer() => None,
            (_, Origin::Inbound) => Some(Awaited::NextLine),
        }
    }

    /// How much of an awaited thing came.
    fn part_of(&self, awaited: Awaited, progress: &TurnProgress) -> AwaitedPart {
        match awaited {
            Awaited::Established | Awaited::FirstLine | Awaited::PeerShutdown => AwaitedPart::None,
            Awaited::NextLine if progress.has_line => AwaitedPart::All,
            Awaited::NextLine => AwaitedPart::None,
            Awaited::Writable => AwaitedPart::Bytes(progress.bytes_out),
            // Bytes of a line that never ends do not count.
            Awaited::Reply => match &self.phase {
                Phase::Open(driver) if driver.has_received_line() => {
                    AwaitedPart::Bytes(progress.bytes_in)
                }
                _ => AwaitedPart::None,
            },
        }
    }
}

/// How much of an awaited thing came in one turn.
enum AwaitedPart {
    /// Nothing: the deadline remains.
    None,
    /// So many bytes: the deadline moves by the time in which they must come, but not
    /// beyond the whole time from now. A few bytes now and then do not keep a connection.
    Bytes(u64),
    /// Everything: its time starts anew.
    All,
}

/// The longest time in which so many bytes may come at this least rate.
fn time_for(bytes: u64, per_second: u64) -> Duration {
    Duration::from_nanos(bytes.saturating_mul(1_000_000_000) / per_second)
}

impl<R: Role, T: Transport<R::File>> Reactor<R, T> {
    /// Sets the deadline of a connection after its turn.
    pub(super) fn set_deadline(&mut self, slot: usize, progress: &TurnProgress) {
        if let Some(due) = self.paced_until(slot) {
            return self.timers.set(slot, PACED, due);
        }
        let conn = &self.connections[slot];
        let Some(awaited) = conn.awaited() else {
            return self.timers.clear(slot);
        };
        let kind = awaited as TimerKind;
        let is_new = self.timers.kind(slot) != Some(kind);
        let part = match is_new {
            true => AwaitedPart::All,
            false => conn.part_of(awaited, progress),
        };
        if let AwaitedPart::None | AwaitedPart::Bytes(0) = part {
            return;
        }
        let (limits, timeouts) = (&self.settings.limits, &self.settings.timeouts);
        let now = match awaited {
            // Storing the received bytes may have taken long, which is not the peer's fault.
            Awaited::Reply => self.clock.now().max(self.now),
            _ => self.now,
        };
        let mut due = match awaited {
            Awaited::Established => now + timeouts.connect_timeout,
            Awaited::FirstLine => {
                self.started + Duration::from_nanos(conn.opened_at) + limits.first_line
            }
            Awaited::NextLine => now + limits.idle,
            Awaited::Reply => now + timeouts.timeout,
            Awaited::Writable => now + limits.stall,
            Awaited::PeerShutdown => now + LINGER_TIME,
        };
        if let (AwaitedPart::Bytes(bytes), Some(previous)) = (part, self.timers.due(slot)) {
            let rate = match awaited {
                Awaited::Reply => timeouts.min_rate,
                _ => limits.min_read_rate,
            };
            let busy = now.saturating_duration_since(self.now);
            due = due.min(previous + busy + time_for(bytes, rate));
        }
        self.timers.set(slot, kind, due);
    }

    /// A connection's deadline has passed.
    pub(super) fn on_deadline(&mut self, slot: usize) {
        if self.paced_until(slot).is_some() {
            return self.enqueue(slot);
        }
        let conn = self.connections.get_mut(slot);
        let Some((awaited, conn)) = conn.and_then(|conn| Some((conn.awaited()?, conn))) else {
            return;
        };
        let has_unfinished_line = conn.driver().is_some_and(|d| d.unhandled_bytes() > 0);
        let reason = match awaited {
            Awaited::FirstLine | Awaited::NextLine if has_unfinished_line => {
                return self.end_with_error(slot, FramingError::LineTimeout);
            }
            // A listener with nothing but messages in its outbox: it is told why.
            Awaited::Writable if conn.driver().is_some() && conn.outbox.has_only_unsolicited() => {
                let usage = conn.usage();
                conn.outbox.discard_unsent_lines();
                let (group, new_usage) = (conn.group, conn.usage());
                self.count_memory(group, usage, new_usage);
                return self.end_with_error(slot, FramingError::SlowReceiver);
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

    /// Lets the role tell the peer what is wrong, and closes the connection.
    fn end_with_error(&mut self, slot: usize, error: FramingError) {
        let before = self.connections[slot].bytes_moved();
        self.drive(slot, |conn| InputDriver::on_framing_error(conn, error));
        self.linger_if_flushed(slot);
        self.finish_turn(slot, before, TurnReport::default());
    }
}
