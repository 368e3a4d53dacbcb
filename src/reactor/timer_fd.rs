//! Wakes the loop at a deadline.
//!
//! A poll with a timeout sets a timer and takes it back each time, although most
//! deadlines only move away while there is traffic. This timer stays set: it is
//! moved when a deadline is nearer, and one that rings too early is set anew.

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

/// A timer that a poll can wait for.
pub(super) struct TimerFd {
    timer: OwnedFd,
    /// When it will ring, if it is set.
    at: Option<Instant>,
}

impl TimerFd {
    /// One that is heard under `token`.
    ///
    /// # Errors
    /// The system gives no timer.
    pub(super) fn new(registry: &Registry, token: Token) -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        SourceFd(&timer.as_raw_fd()).register(registry, token, Interest::READABLE)?;
        Ok(Self { timer, at: None })
    }

    /// Makes sure that it rings at `due` or earlier. Returns how long a poll may
    /// wait at most.
    pub(super) fn set(&mut self, due: Instant) -> Option<Duration> {
        if self.at.is_some_and(|at| at <= due) {
            return None;
        }
        let wait = due.saturating_duration_since(Instant::now());
        if wait.is_zero() {
            return Some(wait);
        }
        let Ok(it_value) = Timespec::try_from(wait) else {
            // In thousands of millions of years.
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

    /// It has rung.
    pub(super) fn rang(&mut self) {
        self.at = None;
    }
}
