//! Limits on events per second.

use std::hash::{BuildHasher, Hash, RandomState};
use std::time::Instant;

/// A token bucket with a capacity of one second.
pub(crate) struct RateLimiter {
    tokens: f64,
    /// When tokens were last added.
    refilled: Instant,
}

impl RateLimiter {
    /// A full bucket for `rate` events per second.
    pub(crate) fn new(rate: u32, now: Instant) -> Self {
        Self {
            tokens: f64::from(rate),
            refilled: now,
        }
    }

    /// Takes a token, if there is one. `rate` may change from call to call.
    pub(crate) fn allows(&mut self, rate: u32, now: Instant) -> bool {
        self.allows_cost(1, rate, now)
    }

    /// Takes `cost` tokens, if there is one: later events wait for those that lack.
    fn allows_cost(&mut self, cost: u32, rate: u32, now: Instant) -> bool {
        let rate = f64::from(rate);
        let elapsed = now.saturating_duration_since(self.refilled).as_secs_f64();
        self.tokens = (self.tokens + elapsed * rate).min(rate);
        self.refilled = now;
        let is_allowed = self.tokens >= 1.0;
        if is_allowed {
            self.tokens -= f64::from(cost);
        }
        is_allowed
    }

    /// Takes tokens for an event that costs more than one, up to those of the next second.
    pub(crate) fn charge(&mut self, tokens: usize, rate: u32) {
        self.tokens = (self.tokens - tokens as f64).max(-f64::from(rate));
    }
}

/// A limit on events per second for each of many keys, in constant memory: keys whose
/// hashes collide share a limit.
pub(crate) struct KeyedRateLimiter {
    limiters: Vec<RateLimiter>,
    hasher: RandomState,
}

impl KeyedRateLimiter {
    /// The number of limits, a power of two.
    const LIMITERS: usize = 2048;

    /// Full buckets for `rate` events per second and key.
    pub(crate) fn new(rate: u32, now: Instant) -> Self {
        let limiters = (0..Self::LIMITERS).map(|_| RateLimiter::new(rate, now));
        Self {
            limiters: limiters.collect(),
            hasher: RandomState::new(),
        }
    }

    /// Takes `cost` tokens of the key, if there is one: later events wait for those that
    /// lack.
    pub(crate) fn allows(&mut self, key: impl Hash, cost: u32, rate: u32, now: Instant) -> bool {
        let index = self.hasher.hash_one(key) as usize % Self::LIMITERS;
        self.limiters[index].allows_cost(cost, rate, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn each_second_has_its_rate_and_no_more() {
        let start = Instant::now();
        let mut limiter = RateLimiter::new(50, start);
        let allowed =
            |limiter: &mut RateLimiter, at| (0..1000).filter(|_| limiter.allows(50, at)).count();
        assert_eq!(allowed(&mut limiter, start), 50);
        assert_eq!(allowed(&mut limiter, start + Duration::from_millis(100)), 5);
        assert_eq!(allowed(&mut limiter, start + Duration::from_secs(3600)), 50);
    }
}
