//! What is compared: one file a subject.

mod directory;
mod get;
mod idle;
mod leases;
mod list;
mod search;
mod served;
mod start;
mod stream;

use std::path::Path;
use std::time::Duration;
use std::{env, fs, io, process, thread};

use peerline::cli::exit::Exit;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tempfile::TempDir;

use crate::report::{Outcome, Unit};

/// A subject.
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) run: fn(&Bench) -> io::Result<Vec<Outcome>>,
}

/// All of them, in the order in which they run.
pub(crate) const WORKLOADS: &[Workload] = &[
    Workload {
        name: "get",
        about: "files of 1 KiB: many connections, pipelined, one by one, anew each time",
        run: get::run,
    },
    Workload {
        name: "stream",
        about: "a file of 1 GiB that the client forgets, also under reno",
        run: stream::discarded,
    },
    Workload {
        name: "file",
        about: "a file of 1 GiB into a file, on tmpfs and on disk",
        run: stream::stored,
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
        about: "100,000 leases that end at once",
        run: leases::run,
    },
    Workload {
        name: "idle",
        about: "ten thousand connections that say nothing",
        run: idle::run,
    },
    Workload {
        name: "client",
        about: "a small file, from the start of the client to its end",
        run: start::client,
    },
    Workload {
        name: "share",
        about: "a node with 100,000 files, until it has served the first one",
        run: start::node,
    },
];

/// How long one contender is under load in one round.
const TIME: Duration = Duration::from_millis(500);
/// Rounds of each comparison.
const ROUNDS: usize = 7;

/// What a server does under load.
const REQUESTS: Unit = Unit {
    name: "requests/s",
    more_is_better: true,
    each: "request",
};

/// Where files are put while it runs.
pub(crate) struct Bench {
    disk: TempDir,
    memory: TempDir,
}

impl Bench {
    /// Makes the folders. They are cleared away even if a signal ends us.
    pub(crate) fn new() -> io::Result<Self> {
        let shm = Path::new("/dev/shm");
        let bench = Self {
            disk: TempDir::new_in(env!("CARGO_TARGET_TMPDIR"))?,
            memory: if shm.is_dir() {
                TempDir::new_in(shm)?
            } else {
                TempDir::new_in(env::temp_dir())?
            },
        };
        let folders = [bench.disk().to_owned(), bench.memory().to_owned()];
        let mut signals = Signals::new([SIGINT, SIGTERM])?;
        thread::spawn(move || {
            if signals.forever().next().is_some() {
                // What is not removed is not ours any more.
                let _ = folders.map(fs::remove_dir_all);
                process::exit(i32::from(Exit::Interrupted as u8));
            }
        });
        Ok(bench)
    }

    /// A folder on disk.
    pub(crate) fn disk(&self) -> &Path {
        self.disk.path()
    }

    /// A folder in memory, where there is such a file system.
    pub(crate) fn memory(&self) -> &Path {
        self.memory.path()
    }
}
