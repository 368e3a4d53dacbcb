//! A timer that wakes the loop at a deadline.
//!
//! A poll with a timeout sets and cancels a kernel timer each time, although most
//! deadlines only move away while there is traffic. This timer stays set: it is
//! moved when a deadline is nearer, and set again when it fired too early.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use mio::event::Source;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

use crate::reactor::Clock;

/// A timer file descriptor (timerfd_create(2)) in a poll.
pub(super) struct TimerFd {
    timer: OwnedFd,
    /// When the timer fires, if it is set.
    at: Option<Instant>,
}

impl TimerFd {
    /// Creates a timer whose events have `token`.
    ///
    /// # Errors
    /// The system provides no timer.
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Boottime, flags)?;
        SourceFd(&timer.as_raw_fd()).register(registry, token, Interest::READABLE)?;
        Ok(Self { timer, at: None })
    }

    /// Makes sure that the timer fires at `due` or earlier, or at once after a suspend
    /// during which that time has passed. Returns the timeout for the
    /// poll: `None` if the timer suffices. Reads the time from `clock` only to move the timer.
    pub(super) fn set(&mut self, due: Instant, clock: &Clock) -> Option<Duration> {
        if self.at.is_some_and(|at| at <= due) {
            return None;
        }
        let wait = due.saturating_duration_since(clock.now());
        if wait.is_zero() {
            return Some(wait);
        }
        let Ok(it_value) = Timespec::try_from(wait) else {
            // The deadline is billions of years away.
            return None;
        };
        let once = Itimerspec {
            it_interval: Timespec::default(),
            it_value,
        };
        match timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once) {
            Ok(_) => {
                self.at = Some(due);
                None
            }
            Err(_) => Some(wait),
        }
    }

    /// The timer has fired.
    pub(super) fn on_fired(&mut self) {
        self.at = None;
    }
}
