//! The limit on open files decides how many connections there can be.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that are kept free of connections: for files that are being
/// sent, for dials, for the loop itself.
const RESERVE: u64 = 256;

/// Raises the limit on open files to the hard limit; returns what it is then.
pub fn raise_limit() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        let raised = Rlimit {
            current: maximum,
            maximum,
        };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            log::warn!("the limit on open files stays as it is: {error}");
        }
    }
    // No limit at all: connections need some number nevertheless.
    getrlimit(Resource::Nofile).current.unwrap_or(1 << 20)
}

/// How many connections that leaves.
#[must_use]
pub fn connections_within(limit: u64) -> usize {
    let reserve = RESERVE.min(limit / 4);
    usize::try_from(limit - reserve)
        .unwrap_or(usize::MAX)
        .max(1)
}
