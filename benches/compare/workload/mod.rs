//! The workloads, one file for each subject.

mod directory;
mod download;
mod get;
mod http;
mod idle;
mod leases;
mod list;
mod registry;
mod registry_load;
mod resume;
mod search;
mod server_under_load;
mod startup;
mod stream;
mod tls;

use std::path::Path;
use std::time::Duration;
use std::{env, io};

use tempfile::TempDir;

use crate::cleanup::remove_on_signal;
use crate::report::{Comparison, Unit};

/// A workload.
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) run: fn(&ScratchFolders) -> io::Result<Vec<Comparison>>,
}

/// All workloads, in the order in which they run.
pub(crate) const WORKLOADS: &[Workload] = &[
    Workload {
        name: "get",
        about: "files of 1 KiB: many connections, pipelined, one by one, one connection each",
        run: get::run,
    },
    Workload {
        name: "http",
        about: "files of 1 KiB over HTTP, one of 1 GiB to curl, and a page of the relay",
        run: http::run,
    },
    Workload {
        name: "tls",
        about: "over TLS: 1 GiB to curl and to the client, handshakes, files of 1 KiB, idle ones",
        run: tls::run,
    },
    Workload {
        name: "stream",
        about: "a file of 1 GiB to /dev/null, also under reno",
        run: stream::discarded,
    },
    Workload {
        name: "file",
        about: "a file of 1 GiB into a file, on tmpfs and on disk",
        run: stream::stored,
    },
    Workload {
        name: "large",
        about: "a file of 1 GiB, checked, from one node and from four",
        run: download::large,
    },
    Workload {
        name: "small",
        about: "10,000 files of 1 KiB into a folder, from three nodes",
        run: download::small,
    },
    Workload {
        name: "resume",
        about: "a file of 10 GiB that was broken off at 90 %",
        run: resume::run,
    },
    Workload {
        name: "register",
        about: "renewals among a million nodes, and the memory of a node",
        run: directory::register,
    },
    Workload {
        name: "find",
        about: "look-ups among a million files, and the memory of a file",
        run: directory::find,
    },
    Workload {
        name: "list",
        about: "LIST of 100 nodes, and of 100,000",
        run: list::run,
    },
    Workload {
        name: "search",
        about: "SEARCH among a million names, and PING meanwhile",
        run: search::run,
    },
    Workload {
        name: "leases",
        about: "100,000 leases that expire together",
        run: leases::run,
    },
    Workload {
        name: "registry",
        about: "relays that share their directory: look-ups, announcements, start, renewals",
        run: registry::run,
    },
    Workload {
        name: "idle",
        about: "ten thousand idle connections",
        run: idle::run,
    },
    Workload {
        name: "client",
        about: "a small file, from the start of the client to its end",
        run: startup::client,
    },
    Workload {
        name: "share",
        about: "a node with 100,000 files, until it has served the first one",
        run: startup::node,
    },
];

/// The memory of a process without files and shared memory.
const PRIVATE_MEMORY: &str = "RssAnon";

/// The time of one contender in one round.
const TIME: Duration = Duration::from_millis(500);
/// Rounds of each comparison.
const ROUNDS: usize = 7;

/// The unit for servers under load.
const REQUESTS: Unit = Unit {
    name: "requests/s",
    more_is_better: true,
    each: "request",
};

/// Temporary folders for files of the benchmark.
pub(crate) struct ScratchFolders {
    disk: TempDir,
    memory: TempDir,
}

impl ScratchFolders {
    /// Creates the folders. They are removed even if a signal ends the benchmark.
    pub(crate) fn new() -> io::Result<Self> {
        let shm = Path::new("/dev/shm");
        let scratch = Self {
            disk: TempDir::new_in(env!("CARGO_TARGET_TMPDIR"))?,
            memory: if shm.is_dir() {
                TempDir::new_in(shm)?
            } else {
                TempDir::new_in(env::temp_dir())?
            },
        };
        let folders = [scratch.disk(), scratch.memory()];
        remove_on_signal(folders.map(Path::to_owned).into())?;
        Ok(scratch)
    }

    /// A folder on disk.
    pub(crate) fn disk(&self) -> &Path {
        self.disk.path()
    }

    /// A folder in memory, if there is /dev/shm.
    pub(crate) fn memory(&self) -> &Path {
        self.memory.path()
    }
}
