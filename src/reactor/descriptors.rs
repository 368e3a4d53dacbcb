//! The limit on open files, and the number of connections that it allows.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors reserved for other uses than accepted connections: files being sent,
/// outgoing connections, the loop itself.
const RESERVE: u64 = 256;

/// Raises the limit on open files to the hard limit; returns the new limit.
pub fn raise_limit() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        let raised = Rlimit {
            current: maximum,
            maximum,
        };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            log::warn!("cannot raise the limit on open files: {error}");
        }
    }
    // Without any limit, connections still need a number.
    getrlimit(Resource::Nofile).current.unwrap_or(1 << 20)
}

/// The number of connections that a limit on open files allows.
pub(super) fn connections_within(limit: u64) -> usize {
    let reserve = RESERVE.min(limit / 4);
    usize::try_from(limit - reserve)
        .unwrap_or(usize::MAX)
        .max(1)
}
