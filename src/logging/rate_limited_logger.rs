//! Limits the log to so many lines a second of each level. Strangers cause most lines,
//! and must neither fill the disk nor keep the loop busy. A long line counts as several.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use log::{Level, Log, Metadata, Record};

use crate::rate_limiter::RateLimiter;

/// The log target of lines that no stranger can cause, such as those about the own disk and
/// the own share: no limit applies to them.
pub(crate) const OPERATOR: &str = "operator";

/// A line counts as one more for each so many bytes.
const BYTES_PER_LINE: usize = 256;

/// How often the number of dropped lines is logged at most.
const COUNT_INTERVAL: Duration = Duration::from_secs(1);

/// A logger that passes on at most `rate` lines a second of each level. The number of the
/// others is logged before a later line of their level, once a second.
pub struct RateLimitedLogger {
    inner: Box<dyn Log>,
    rate: u32,
    levels: Mutex<Vec<LevelLimit>>,
}

struct LevelLimit {
    level: Level,
    limiter: RateLimiter,
    /// Lines that were dropped and not counted in the log yet.
    dropped: u64,
    /// When their number may be logged.
    next_count: Instant,
}

impl RateLimitedLogger {
    /// Limits the lines that go to `inner`.
    #[must_use]
    pub fn new(inner: Box<dyn Log>, rate: u32) -> Self {
        let now = Instant::now();
        let limit = |level| LevelLimit {
            level,
            limiter: RateLimiter::new(rate, now),
            dropped: 0,
            next_count: now,
        };
        let levels = Mutex::new(Level::iter().map(limit).collect());
        Self {
            inner,
            rate,
            levels,
        }
    }

    /// Returns the number of dropped lines to log before a line of this level, or none if
    /// this line is dropped as well.
    fn admit(&self, level: Level) -> Option<u64> {
        let (mut levels, now) = (self.lock(), Instant::now());
        let limit = levels.iter_mut().find(|limit| limit.level == level)?;
        if !limit.limiter.allows(self.rate, now) {
            limit.dropped += 1;
            return None;
        }
        if limit.dropped == 0 || now < limit.next_count {
            return Some(0);
        }
        limit.next_count = now + COUNT_INTERVAL;
        Some(std::mem::take(&mut limit.dropped))
    }

    fn log_dropped(&self, level: Level, dropped: u64) {
        if dropped > 0 {
            let line = format_args!("log lines dropped (rate limit): {dropped}");
            let record = Record::builder().level(level).args(line).build();
            self.inner.log(&record);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Vec<LevelLimit>> {
        // The limits are valid after each step.
        self.levels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Log for RateLimitedLogger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // The line editor logs each key, and would log the output that it draws.
        !metadata.target().starts_with("rustyline") && self.inner.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        if record.target() == OPERATOR {
            return self.inner.log(record);
        }
        let level = record.level();
        let Some(dropped) = self.admit(level) else {
            return;
        };
        self.log_dropped(level, dropped);
        // Lines that are dropped need not be formatted.
        let text = record.args().to_string();
        if let Some(limit) = self.lock().iter_mut().find(|limit| limit.level == level) {
            limit.limiter.charge(text.len() / BYTES_PER_LINE, self.rate);
        }
        let mut line = record.to_builder();
        self.inner.log(&line.args(format_args!("{text}")).build());
    }

    /// Logs the numbers of the dropped lines.
    fn flush(&self) {
        for level in Level::iter() {
            let mut levels = self.lock();
            let limit = levels.iter_mut().find(|limit| limit.level == level);
            let dropped = limit.map_or(0, |limit| std::mem::take(&mut limit.dropped));
            drop(levels);
            self.log_dropped(level, dropped);
        }
        self.inner.flush();
    }
}
