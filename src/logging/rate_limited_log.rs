//! A limit on log lines a second, for events that strangers cause: they must
//! neither fill the disk nor keep the loop busy.

use std::fmt;
use std::time::Instant;

use log::info;

use crate::rate_limiter::RateLimiter;

/// Logs lines at level info, at most `rate` a second.
pub(crate) struct RateLimitedLog {
    /// Lines a second.
    rate: u32,
    limiter: RateLimiter,
    /// Lines that were suppressed since the last logged line.
    suppressed: u64,
}

impl RateLimitedLog {
    pub(crate) fn new(rate: u32, now: Instant) -> Self {
        Self {
            rate,
            limiter: RateLimiter::new(rate, now),
            suppressed: 0,
        }
    }

    /// Logs a line, or suppresses it if the rate is exceeded. The number of
    /// suppressed lines is logged before the next line.
    pub(crate) fn log(&mut self, now: Instant, line: fmt::Arguments<'_>) {
        if !self.limiter.allows(self.rate, now) {
            self.suppressed += 1;
            return;
        }
        match std::mem::take(&mut self.suppressed) {
            0 => {}
            lines => info!("node log lines suppressed: {lines}"),
        }
        info!("{line}");
    }
}
