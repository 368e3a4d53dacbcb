//! Walks through all that is shared in a thread of its own: the loop never waits
//! for the folders of a big share to be read.

use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::share::roots::Roots;
use crate::share::walk::{Found, Short, Walk};
use crate::share::watch::Watch;

/// From when a walk is wanted until it begins, at least: what changes together
/// is seen together. After one that took longer, the disk rests for as long.
pub(super) const PAUSE: Duration = Duration::from_millis(500);

/// What a walk has found.
pub struct Walked {
    /// Where; something else may be shared by now.
    pub(super) roots: Arc<Roots>,
    pub(super) found: Result<Found, Short>,
}

/// The thread's half, to be started when there is somebody to tell.
pub struct Scanner {
    pub(super) jobs: Receiver<Arc<Roots>>,
    max_files: usize,
    watch: Arc<Watch>,
}

impl Scanner {
    /// The two halves: what to walk through goes in at the one, the other does it.
    pub(super) fn new(max_files: usize, watch: Arc<Watch>) -> (Sender<Arc<Roots>>, Self) {
        let (sender, jobs) = channel();
        let scanner = Self {
            jobs,
            max_files,
            watch,
        };
        (sender, scanner)
    }

    /// Starts the thread. It ends when nobody wants a walk any more. What it finds
    /// is told to `done`.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(self, done: impl Fn(Walked) + Send + 'static) -> io::Result<()> {
        let work = move || {
            let mut rested = Instant::now();
            while let Ok(roots) = self.jobs.recv() {
                let rest = rested.saturating_duration_since(Instant::now());
                thread::sleep(PAUSE.max(rest));
                let began = Instant::now();
                let walked = self.walk(roots);
                rested = Instant::now() + began.elapsed();
                done(walked);
            }
        };
        thread::Builder::new()
            .name("scanner".into())
            .spawn(work)
            .map(drop)
    }

    pub(super) fn walk(&self, roots: Arc<Roots>) -> Walked {
        // What changes from now on is noticed again.
        self.watch.begin();
        let walk = Walk {
            roots: &roots,
            max_files: self.max_files,
            watch: &self.watch,
        };
        let found = walk.everywhere();
        Walked { roots, found }
    }
}
