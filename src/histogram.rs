//! How long things take, in a few buckets of fixed bounds.

use std::time::Duration;

/// The upper bounds of the buckets; the last bucket has none.
const BOUNDS: [Duration; 10] = [
    Duration::from_micros(10),
    Duration::from_micros(30),
    Duration::from_micros(100),
    Duration::from_micros(300),
    Duration::from_millis(1),
    Duration::from_millis(3),
    Duration::from_millis(10),
    Duration::from_millis(30),
    Duration::from_millis(100),
    Duration::from_secs(1),
];

/// The number of events by the time that they took.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct TimeHistogram {
    counts: [u64; BOUNDS.len() + 1],
    sum: Duration,
}

impl TimeHistogram {
    /// Counts `events` that took this long each.
    pub(crate) fn record(&mut self, time: Duration, events: u32) {
        let bucket = BOUNDS.iter().take_while(|bound| time > **bound).count();
        self.counts[bucket] += u64::from(events);
        self.sum += time * events;
    }

    /// The bounds, each with the number of events that took at most as long.
    pub(crate) fn buckets(&self) -> impl Iterator<Item = (Duration, u64)> {
        BOUNDS
            .into_iter()
            .zip(&self.counts)
            .scan(0, |sum, (bound, count)| {
                *sum += count;
                Some((bound, *sum))
            })
    }

    /// The number of events.
    pub(crate) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The time of all events together.
    pub(crate) fn sum(&self) -> Duration {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_in_its_bucket_and_in_all_longer_ones() {
        let mut times = TimeHistogram::default();
        times.record(Duration::from_micros(10), 1);
        times.record(Duration::from_micros(31), 2);
        times.record(Duration::from_secs(2), 3);
        let counts: Vec<u64> = times.buckets().map(|(_, count)| count).collect();
        assert_eq!(counts, [1, 1, 3, 3, 3, 3, 3, 3, 3, 3]);
        assert_eq!(times.count(), 6);
        assert_eq!(times.sum(), Duration::from_micros(6_000_072));
    }
}
