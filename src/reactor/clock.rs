//! The clock of a loop. That of a node runs on while the machine is suspended: after that,
//! everything that is late by then is done at once. That of a relay stands still: nodes could
//! not renew their leases during that time.

use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

/// Tells the time of one of the system's clocks as [`Instant`].
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

    /// A clock that shows `start` now, and runs during a suspend.
    #[must_use]
    pub fn with_suspends(start: Instant) -> Self {
        Self::new(start, || since_boot(ClockId::Boottime))
    }

    /// A clock that shows `start` now, and stands still during a suspend.
    #[must_use]
    pub fn without_suspends(start: Instant) -> Self {
        Self::new(start, || since_boot(ClockId::Monotonic))
    }

    /// The current time.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.start + (self.since_boot)().saturating_sub(self.start_since_boot)
    }
}

fn since_boot(clock: ClockId) -> Duration {
    clock_gettime(clock).try_into().unwrap_or_default()
}
