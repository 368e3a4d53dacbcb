//! The limit on open files, and how the loop divides it.

use std::io;
use std::os::fd::RawFd;

use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors for the program itself: the loop, the share, connections that it opens.
const OWN: usize = 32;
/// The most files that are open for sending.
const MAX_FILES: usize = 1024;
/// The most refused connections that are open.
const MAX_REFUSALS: usize = 64;

/// The most descriptors for which [`reserve_descriptors`] makes room: 8 bytes each in the kernel.
const MAX_RESERVED: u64 = 1 << 16;

/// Raises the limit on open files to the hard limit, and makes room for as many in the kernel's
/// table of this process. Returns the new limit. Call it before threads start: with threads,
/// Linux doubles a full table only after a grace period (`expand_fdtable` in fs/file.c), and the
/// loop stands still for 10 to 20 ms each time.
pub fn reserve_descriptors() -> u64 {
    let limit = raise_limit();
    let highest = limit.min(MAX_RESERVED).saturating_sub(1);
    // The table keeps its size when the descriptor is closed. An error costs only time.
    drop(fcntl_dupfd_cloexec(io::stdin(), highest as RawFd));
    limit
}

/// Raises the limit on open files to the hard limit; returns the new limit.
pub(super) fn raise_limit() -> u64 {
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
