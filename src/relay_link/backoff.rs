//! When and where to contact a relay: after a failure its other addresses at once, then
//! all of them again after growing pauses.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use fastrand::Rng;

/// The first pause after a failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// A connection that lasted this long was stable.
const STABLE_AFTER: Duration = LONGEST_PAUSE;

/// The addresses of a relay, its failures, and when to contact it next.
pub(crate) struct Backoff {
    /// Tried in turn. Empty as long as the relay's name cannot be resolved.
    addresses: Vec<SocketAddr>,
    /// The index of the address to try.
    next: usize,
    /// The address of the last attempt.
    last: Option<SocketAddr>,
    /// How many addresses failed in a row.
    failed_addresses: usize,
    /// How many times all addresses failed.
    failures: u32,
    /// When the next attempt is due; none while an attempt is in progress.
    due: Option<Instant>,
    rng: Rng,
}

impl Backoff {
    /// A relay that has not failed yet.
    pub(crate) fn new(addresses: Vec<SocketAddr>, seed: u64) -> Self {
        Self {
            last: None,
            addresses,
            next: 0,
            failed_addresses: 0,
            failures: 0,
            due: None,
            rng: Rng::with_seed(seed),
        }
    }

    /// The address to try, if one is known.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.addresses.get(self.next).copied()
    }

    /// The address of the last attempt.
    pub(crate) fn last_address(&self) -> Option<SocketAddr> {
        self.last
    }

    /// All addresses.
    pub(crate) fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The relay has these addresses now. They are tried when the next attempt is due.
    pub(crate) fn set_addresses(&mut self, addresses: &[SocketAddr]) {
        let address = self.address();
        let is_same = |other: &SocketAddr| Some(*other) == address;
        if let Some(next) = addresses.iter().position(is_same) {
            self.next = next;
        } else if addresses.is_empty() {
            return;
        } else {
            self.next = 0;
        }
        self.addresses = addresses.to_vec();
    }

    /// When [`Backoff::dial`] returns an address.
    pub(crate) fn next_deadline(&self) -> Option<Instant> {
        self.due
    }

    /// The address to connect to, if an attempt is due and an address is known. The attempt
    /// starts.
    pub(crate) fn dial(&mut self, now: Instant) -> Option<SocketAddr> {
        let address = self.address()?;
        self.due.take_if(|due| *due <= now)?;
        self.last = Some(address);
        self.last
    }

    /// The attempt in progress goes on with another request.
    pub(crate) fn continue_attempt(&mut self) {
        self.due = None;
    }

    /// The attempt has ended: the next one is due at this time, unless it is scheduled.
    pub(crate) fn schedule(&mut self, due: Instant) {
        self.due.get_or_insert(due);
    }

    /// The next attempt is due at once, whatever failed before.
    pub(crate) fn try_at_once(&mut self, now: Instant) {
        if let Some(due) = &mut self.due {
            *due = now.min(*due);
        }
    }

    /// Moves the next attempt forward to this time, unless the relay fails or an attempt is
    /// in progress.
    pub(crate) fn advance(&mut self, due: Instant) {
        if let (Some(scheduled), 0) = (&mut self.due, self.failures) {
            *scheduled = due.min(*scheduled);
        }
    }

    /// The address works. Returns whether the relay had failed.
    pub(crate) fn on_success(&mut self) -> bool {
        self.failed_addresses = 0;
        std::mem::take(&mut self.failures) > 0
    }

    /// A connection that was open since then has ended. If it was stable, the relay counts as
    /// one that has not failed.
    pub(crate) fn on_end(&mut self, open_since: Option<Instant>, now: Instant) {
        let is_stable = |since| now.saturating_duration_since(since) >= STABLE_AFTER;
        if open_since.is_some_and(is_stable) {
            self.on_success();
        }
    }

    /// The address does not work. The next one is tried at once; after the last one
    /// there is a pause. Returns the time until the next attempt.
    pub(crate) fn on_failure(&mut self) -> Duration {
        self.next = (self.next + 1) % self.addresses.len().max(1);
        self.failed_addresses += 1;
        if self.failed_addresses < self.addresses.len() {
            return Duration::ZERO;
        }
        self.failed_addresses = 0;
        let doubled = FIRST_PAUSE * 2_u32.pow(self.failures.min(5));
        self.failures = self.failures.saturating_add(1);
        self.jitter(doubled.min(LONGEST_PAUSE), 0.25)
    }

    /// The attempt has failed, and is repeated. Returns how many times all addresses have
    /// failed; none if another address is tried at once.
    pub(crate) fn retry(&mut self, now: Instant) -> Option<u32> {
        let pause = self.on_failure();
        self.schedule(now + pause);
        (self.failed_addresses == 0).then_some(self.failures)
    }

    /// Shortens the time at random by up to this part: nodes that started together do
    /// not retry together.
    pub(crate) fn jitter(&mut self, time: Duration, part: f64) -> Duration {
        time.mul_f64(1.0 - part + part * self.rng.f64())
    }
}
