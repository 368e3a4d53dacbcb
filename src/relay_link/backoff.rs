//! When and where to retry a relay that does not answer: its other addresses at
//! once, then all of them again after growing pauses.

use std::net::SocketAddr;
use std::time::Duration;

use fastrand::Rng;

/// The first pause after a failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The addresses of a relay, and its failures.
pub(crate) struct Backoff {
    /// Tried in turn; not empty.
    addresses: Vec<SocketAddr>,
    /// The index of the address to try.
    next: usize,
    /// How many addresses failed in a row.
    failed_addresses: usize,
    /// How many times all addresses failed.
    failures: u32,
    rng: Rng,
}

impl Backoff {
    /// A relay that has not failed yet. `addresses` is not empty.
    pub(crate) fn new(addresses: Vec<SocketAddr>, seed: u64) -> Self {
        Self {
            addresses,
            next: 0,
            failed_addresses: 0,
            failures: 0,
            rng: Rng::with_seed(seed),
        }
    }

    /// The address to try.
    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses[self.next]
    }

    /// Whether all addresses have failed, and none has worked since.
    pub(crate) fn has_failed(&self) -> bool {
        self.failures > 0
    }

    /// The address works. Returns whether the relay had failed.
    pub(crate) fn on_success(&mut self) -> bool {
        self.failed_addresses = 0;
        std::mem::take(&mut self.failures) > 0
    }

    /// The address does not work. The next one is tried at once; after the last one
    /// there is a pause. Returns the time until the next attempt.
    pub(crate) fn on_failure(&mut self) -> Duration {
        self.next = (self.next + 1) % self.addresses.len();
        self.failed_addresses += 1;
        if self.failed_addresses < self.addresses.len() {
            return Duration::ZERO;
        }
        self.failed_addresses = 0;
        let doubled = FIRST_PAUSE * 2_u32.pow(self.failures.min(5));
        self.failures = self.failures.saturating_add(1);
        self.jitter(doubled.min(LONGEST_PAUSE), 0.25)
    }

    /// Whether the last failure was the first one of all addresses.
    pub(crate) fn is_first_failure(&self) -> bool {
        self.failures == 1 && self.failed_addresses == 0
    }

    /// Shortens the time at random by up to this part: nodes that started together do
    /// not retry together.
    pub(crate) fn jitter(&mut self, time: Duration, part: f64) -> Duration {
        time.mul_f64(1.0 - part + part * self.rng.f64())
    }
}
