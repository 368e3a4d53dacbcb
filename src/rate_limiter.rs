//! A limit on events per second.

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
        let rate = f64::from(rate);
        let elapsed = now.saturating_duration_since(self.refilled).as_secs_f64();
        self.tokens = (self.tokens + elapsed * rate).min(rate);
        self.refilled = now;
        let is_allowed = self.tokens >= 1.0;
        if is_allowed {
            self.tokens -= 1.0;
        }
        is_allowed
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
