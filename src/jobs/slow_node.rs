//! When a node is slow, so that another one is used beside it or in its place.

use std::time::{Duration, Instant};

/// A node that sends fewer bytes than these in [`interval`] is slow.
pub(super) const SLOW_BYTES: u64 = 64 * 1024;

/// So many times the usual delay.
const INTERVAL_DELAYS: u32 = 8;

/// The time in which a node must send [`SLOW_BYTES`], and something of a long piece. `delay` is how
/// long it may be silent.
pub(super) fn interval(delay: Duration) -> Duration {
    delay * INTERVAL_DELAYS
}

/// When a node is slow that was asked at `started` and has sent so many bytes, if nothing more
/// comes.
pub(super) fn slow_at(started: Instant, received: u64, delay: Duration) -> Instant {
    let intervals = u32::try_from(received / SLOW_BYTES).unwrap_or(u32::MAX);
    let time = interval(delay).saturating_mul(intervals.saturating_add(1));
    started.checked_add(time).unwrap_or(started)
}
