//! The limit on open files, and how the loop divides it.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors for the program itself: the loop, the share, connections that it opens.
const OWN: usize = 32;
/// The most files that are open for sending.
const MAX_FILES: usize = 1024;
/// The most refused connections that are open.
const MAX_REFUSALS: usize = 64;

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

/// What the descriptors are for. What peers can use up leaves the program its own.
pub(super) struct DescriptorShares {
    /// Files that are open for sending.
    pub(super) files: usize,
    /// Refused connections until they are closed.
    pub(super) refusals: usize,
    /// Accepted connections.
    pub(super) connections: usize,
}

impl DescriptorShares {
    /// Divides this number of descriptors.
    pub(super) fn of(limit: u64) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let files = (limit / 8).clamp(1, MAX_FILES);
        let refusals = (limit / 16).clamp(1, MAX_REFUSALS);
        Self {
            files,
            refusals,
            connections: limit.saturating_sub(OWN + files + refusals).max(1),
        }
    }
}
