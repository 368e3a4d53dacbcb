//! A token bucket for bytes, kept as one time: when everything that was granted is paid for.
//!
//! Bytes are reserved, not polled for: each caller gets the time at which its bytes may
//! move, in the order of the calls. So connections that share a bucket take turns, and each
//! one is woken once.

use std::time::{Duration, Instant};

/// Unused time that can be made up for: a loop that was busy does not lose rate.
const MAX_CREDIT: Duration = Duration::from_millis(30);
/// The most bytes of one reservation, in parts of a second.
const QUANTA_PER_SECOND: u64 = 64;
/// The same in bytes: other connections have their turns in between.
const MAX_QUANTUM: u64 = 1024 * 1024;

/// A limit in bytes per second.
pub(super) struct TokenBucket {
    rate: u64,
    /// When all reserved bytes are paid for.
    paid_at: Instant,
}

/// The bytes of one reservation at this rate.
pub(super) fn quantum(rate: u64) -> u64 {
    (rate / QUANTA_PER_SECOND).clamp(1, MAX_QUANTUM)
}

impl TokenBucket {
    /// A bucket for `rate` bytes per second, above zero, without credit.
    pub(super) fn new(rate: u64, now: Instant) -> Self {
        Self { rate, paid_at: now }
    }

    /// Reserves bytes. Returns when they may move, which is `now` or later.
    pub(super) fn reserve(&mut self, bytes: u64, now: Instant) -> Instant {
        let earliest = now.checked_sub(MAX_CREDIT).unwrap_or(now);
        let start = self.paid_at.max(earliest);
        self.paid_at = start + self.time_for(bytes);
        start.max(now)
    }

    /// Returns reserved bytes that were not moved.
    pub(super) fn refund(&mut self, bytes: u64) {
        let time = self.time_for(bytes);
        self.paid_at = self.paid_at.checked_sub(time).unwrap_or(self.paid_at);
    }

    /// Whether a new bucket would be the same, except for the credit.
    pub(super) fn is_unused(&self, now: Instant) -> bool {
        self.paid_at <= now
    }

    /// Rounded up: the rate is never exceeded.
    fn time_for(&self, bytes: u64) -> Duration {
        let nanos = (u128::from(bytes) * 1_000_000_000).div_ceil(u128::from(self.rate));
        Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reservations_are_spread_evenly_and_idle_time_is_lost() {
        let start = Instant::now();
        let mut bucket = TokenBucket::new(1000, start);
        let due = |bucket: &mut TokenBucket, at| bucket.reserve(10, at) - start;
        assert_eq!(due(&mut bucket, start), Duration::ZERO);
        assert_eq!(due(&mut bucket, start), Duration::from_millis(10));
        bucket.refund(10);
        assert_eq!(due(&mut bucket, start), Duration::from_millis(10));
        let later = start + Duration::from_secs(9);
        let at_once = (0..9).filter(|_| bucket.reserve(10, later) == later);
        assert_eq!(at_once.count(), 4, "30 ms of credit, and one that is due");
    }
}
