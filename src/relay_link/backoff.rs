//! How to come back to a relay that does not answer: its other addresses at
//! once, then all of them again after growing pauses.

use std::net::SocketAddr;
use std::time::Duration;

use fastrand::Rng;

/// The first pause after a failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The addresses of a relay, and how often it has failed.
pub(crate) struct Backoff {
    /// Tried in turn; not empty.
    addresses: Vec<SocketAddr>,
    next: usize,
    /// How many of them failed in a row.
    tried: usize,
    /// How many times all of them did.
    failures: u32,
    rng: Rng,
}

/// What follows from a failure.
pub(crate) struct BackoffState {
    /// Try again after this.
    pub(crate) pause: Duration,
    /// The relay is away, and it was not before.
    pub(crate) is_news: bool,
}

impl Backoff {
    /// A relay that has not failed yet. `addresses` is not empty.
    pub(crate) fn new(addresses: Vec<SocketAddr>, seed: u64) -> Self {
        Self {
            addresses,
            next: 0,
            tried: 0,
            failures: 0,
            rng: Rng::with_seed(seed),
        }
    }

    /// The address to try.
    pub(crate) fn address(&self) -> SocketAddr {
        self.addresses[self.next]
    }

    /// Whether none of the addresses has worked of late.
    pub(crate) fn is_away(&self) -> bool {
        self.failures > 0
    }

    /// The address works. Returns whether the relay was away.
    pub(crate) fn worked(&mut self) -> bool {
        self.tried = 0;
        std::mem::take(&mut self.failures) > 0
    }

    /// The address does not work: the next one is tried at once; when none is
    /// left, after a pause.
    pub(crate) fn failed(&mut self) -> BackoffState {
        self.next = (self.next + 1) % self.addresses.len();
        self.tried += 1;
        if self.tried < self.addresses.len() {
            return BackoffState {
                pause: Duration::ZERO,
                is_news: false,
            };
        }
        self.tried = 0;
        let doubled = FIRST_PAUSE * 2_u32.pow(self.failures.min(5));
        let pause = self.earlier(doubled.min(LONGEST_PAUSE), 0.25);
        let is_news = self.failures == 0;
        self.failures = self.failures.saturating_add(1);
        BackoffState { pause, is_news }
    }

    /// Up to this part of the time earlier, at random: those that were started
    /// together do not come back together.
    pub(crate) fn earlier(&mut self, time: Duration, part: f64) -> Duration {
        time.mul_f64(1.0 - part + part * self.rng.f64())
    }
}
