//! The clock of a loop. It runs on while the machine is suspended: after that, everything
//! that is late by then is done at once.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Tells the time since boot as [`Instant`], which alone would stand still during a suspend.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
    start_since_boot: Duration,
    since_boot: fn() -> Duration,
}

impl Clock {
    /// A clock that shows `start` now. `since_boot` is the time since any fixed moment.
    #[must_use]
    pub fn new(start: Instant, since_boot: fn() -> Duration) -> Self {
        Self {
            start,
            start_since_boot: since_boot(),
            since_boot,
        }
    }

    /// The system's clock, which shows `start` now.
    #[must_use]
    pub fn system(start: Instant) -> Self {
        Self::new(start, || {
            let time = clock_gettime(ClockId::Boottime);
            time.try_into().unwrap_or_default()
        })
    }

    /// The current time.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.start + (self.since_boot)().saturating_sub(self.start_since_boot)
    }
}
