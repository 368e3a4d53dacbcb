//! The date for TLS. That of rustls panics before 1970.

use std::time::UNIX_EPOCH;

use rustls::pki_types::UnixTime;
use rustls::time_provider::TimeProvider;

use crate::wall_clock;

/// Tells the date, within the limits of [`wall_clock`].
#[derive(Debug)]
pub(crate) struct TlsClock;

impl TimeProvider for TlsClock {
    fn current_time(&self) -> Option<UnixTime> {
        let since = wall_clock::now().duration_since(UNIX_EPOCH);
        since.ok().map(UnixTime::since_unix_epoch)
    }
}
