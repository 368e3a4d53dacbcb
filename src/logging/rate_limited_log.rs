//! What the log tells of nodes. Strangers make them come and go: they must
//! neither fill a disk nor keep the loop busy with it.

use std::fmt;
use std::time::Instant;

use log::info;

use crate::rate_limiter::RateLimiter;

pub(crate) struct RateLimitedLog {
    /// Lines in a second.
    rate: u32,
    pace: RateLimiter,
    /// Lines that were left out since the last one.
    left_out: u64,
}

impl RateLimitedLog {
    pub(crate) fn new(rate: u32, now: Instant) -> Self {
        Self {
            rate,
            pace: RateLimiter::new(rate, now),
            left_out: 0,
        }
    }

    /// Logs a line, unless there were too many lately: then only their number is
    /// told, before the next one.
    pub(crate) fn tell(&mut self, now: Instant, line: fmt::Arguments<'_>) {
        if !self.pace.allows(self.rate, now) {
            self.left_out += 1;
            return;
        }
        match std::mem::take(&mut self.left_out) {
            0 => {}
            lines => info!("lines about nodes left out: {lines}"),
        }
        info!("{line}");
    }
}
