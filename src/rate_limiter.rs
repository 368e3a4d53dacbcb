//! How often something may happen.

use std::time::Instant;

/// What is left of so many things a second. Unused allowance is kept for one second.
pub(crate) struct RateLimiter {
    left: f64,
    at: Instant,
}

impl RateLimiter {
    /// Nothing has happened until `now`.
    pub(crate) fn new(rate: u32, now: Instant) -> Self {
        Self {
            left: f64::from(rate),
            at: now,
        }
    }

    /// Whether one more may happen at `now`.
    pub(crate) fn allows(&mut self, rate: u32, now: Instant) -> bool {
        let rate = f64::from(rate);
        let since = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = (self.left + since * rate).min(rate);
        self.at = now;
        let allowed = self.left >= 1.0;
        if allowed {
            self.left -= 1.0;
        }
        allowed
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn each_second_has_its_rate_and_no_more() {
        let start = Instant::now();
        let mut pace = RateLimiter::new(50, start);
        let allowed =
            |pace: &mut RateLimiter, at| (0..1000).filter(|_| pace.allows(50, at)).count();
        assert_eq!(allowed(&mut pace, start), 50);
        assert_eq!(allowed(&mut pace, start + Duration::from_millis(100)), 5);
        assert_eq!(allowed(&mut pace, start + Duration::from_secs(3600)), 50);
    }
}
