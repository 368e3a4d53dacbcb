//! How fast bytes arrive: the average of the last seconds.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Older bytes say nothing about the rate.
const WINDOW: Duration = Duration::from_secs(3);

/// The least time between two samples.
const INTERVAL: Duration = Duration::from_millis(100);

/// No rate is known before: a rate limit holds within a few percent of a second.
const MIN_TIME: Duration = Duration::from_secs(1);

/// The rate of one transfer.
pub(super) struct TransferRate {
    /// When how many bytes had arrived in all. The first one is as old as the window, or the
    /// start of the transfer.
    samples: VecDeque<(Instant, u64)>,
}

impl TransferRate {
    pub(super) fn new() -> Self {
        Self {
            samples: VecDeque::new(),
        }
    }

    /// So many bytes have arrived in all. Returns the bytes per second if it is time for a new
    /// figure; zero as long as they say little.
    pub(super) fn advance(&mut self, arrived: u64, now: Instant) -> Option<f64> {
        let age = |at: Instant| now.saturating_duration_since(at);
        if let Some((last, _)) = self.samples.back()
            && age(*last) < INTERVAL
        {
            return None;
        }
        self.samples.push_back((now, arrived));
        while let Some((second, _)) = self.samples.get(1)
            && age(*second) >= WINDOW
        {
            self.samples.pop_front();
        }
        let (start, before) = *self.samples.front()?;
        let time = age(start);
        Some(match time < MIN_TIME {
            true => 0.0,
            false => arrived.saturating_sub(before) as f64 / time.as_secs_f64(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_the_average_of_the_last_seconds() {
        let start = Instant::now();
        let at = |tenths: u32| start + tenths * INTERVAL;
        let mut rate = TransferRate::new();
        // What came with the first sample took an unknown time.
        assert_eq!(rate.advance(500, at(0)), Some(0.0));
        assert_eq!(rate.advance(600, at(0) + INTERVAL / 2), None);
        assert_eq!(rate.advance(3500, at(9)), Some(0.0));
        assert_eq!(rate.advance(2500, at(10)), Some(2000.0));
        for tenths in 11..50 {
            rate.advance(2500 + u64::from(tenths - 10) * 10, at(tenths));
        }
        assert_eq!(rate.advance(2900, at(50)), Some(100.0));
        assert!(rate.samples.len() <= 31, "{}", rate.samples.len());
        // A pause counts in full.
        assert_eq!(rate.advance(2900 + 800, at(130)), Some(100.0));
    }
}
