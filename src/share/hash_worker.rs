//! A thread that computes the hashes of files, so that the loop never waits for a
//! whole file to be read.
//!
//! A large file is read in slices, and put aside for smaller ones: one that is endless,
//! or nearly so, does not hold up the others.

use std::io;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::thread;
use std::time::Instant;

use log::debug;

use crate::escaped::Escaped;
use crate::share::file_hasher::{FileHasher, FileHashes, HashProgress};
use crate::share::hash_cache::HashCache;
use crate::share::hash_queue::{HashQueue, REST_TIME};
use crate::share::worker_messages::{CacheUse, HashRequest, HashResult, ShareUpdate};

/// The most files that are open at the same time, each put aside for a smaller one.
const MAX_OPEN: usize = 8;

/// Computes hashes in a thread of its own.
pub struct HashWorker {
    pub(super) requests: Receiver<HashRequest>,
    /// Compute SHA-256, too.
    pub(super) has_sha256: bool,
}

/// The state of the thread.
struct HashThread<F> {
    requests: Receiver<HashRequest>,
    has_sha256: bool,
    queue: HashQueue,
    /// The files in progress. The last one is the smallest.
    open: Vec<HashJob>,
    cache: HashCache,
    on_update: F,
}

/// A file in progress.
struct HashJob {
    request: HashRequest,
    hasher: FileHasher,
    start: Instant,
    /// The hash may be stored on disk.
    is_storable: bool,
}

impl HashWorker {
    /// Starts the thread. It calls `on_update` for each request, and ends when the
    /// share is dropped. `cache` is the file of the hash cache.
    ///
    /// # Errors
    /// The system cannot create a thread.
    pub fn start(
        self,
        cache: Option<PathBuf>,
        on_update: impl Fn(ShareUpdate) + Send + 'static,
    ) -> io::Result<()> {
        let body = move || {
            let mut thread = HashThread {
                requests: self.requests,
                has_sha256: self.has_sha256,
                queue: HashQueue::default(),
                open: Vec::new(),
                cache: HashCache::load(cache),
                on_update,
            };
            while thread.receive() {
                thread.step();
            }
        };
        thread::Builder::new().name("hash".into()).spawn(body)?;
        Ok(())
    }
}

impl<F: Fn(ShareUpdate)> HashThread<F> {
    /// Queues the requests that have arrived. Waits for one if there is nothing to do.
    /// Returns false if the share was dropped.
    fn receive(&mut self) -> bool {
        loop {
            let is_idle = self.open.is_empty() && !self.queue.is_ready();
            let received = if is_idle {
                self.cache.compact();
                let due = self.queue.next_due();
                let wait = due.map(|due| due.saturating_duration_since(Instant::now()));
                match wait.map(|wait| self.requests.recv_timeout(wait)) {
                    None => self.requests.recv().map_err(|_| TryRecvError::Disconnected),
                    Some(Err(RecvTimeoutError::Timeout)) => return true,
                    Some(received) => received.map_err(|_| TryRecvError::Disconnected),
                }
            } else {
                self.requests.try_recv()
            };
            match received {
                Ok(request) => {
                    // A change in the future, by the clock of another host, counts as
                    // old: the thread must not wait for it.
                    let age = request.identity.age().unwrap_or(REST_TIME);
                    self.queue.push(request, age, Instant::now());
                }
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    /// Handles the next request, or reads a slice of the file in progress.
    fn step(&mut self) {
        match self.next_request() {
            Some(request) => self.start(request),
            None => self.read_slice(),
        }
    }

    /// The next request, if its file is smaller than the rest of the one in progress.
    fn next_request(&mut self) -> Option<HashRequest> {
        if self.open.len() == MAX_OPEN {
            return None;
        }
        // Without a file in progress there is no limit.
        let limit = self
            .open
            .last()
            .map_or(u64::MAX, |job| job.hasher.remaining());
        self.queue.pop(limit, Instant::now())
    }

    /// Reports the hash if it is known, else opens the file.
    fn start(&mut self, request: HashRequest) {
        let identity = &request.identity;
        let cached = match request.cache_use {
            CacheUse::Full => self.cache.get(identity, self.has_sha256),
            CacheUse::StoreOnly | CacheUse::None => None,
        };
        if cached.is_some() || self.cache.is_stored_in(identity) {
            return self.report(request, cached);
        }
        let is_at_rest = identity.age().is_some_and(|age| age >= REST_TIME);
        let is_storable = is_at_rest && request.cache_use != CacheUse::None;
        let start = Instant::now();
        let opened = request.root.upgrade().map_or(Ok(None), |root| {
            FileHasher::open(&root, &request.name, *identity, self.has_sha256)
        });
        match opened {
            Ok(Some(hasher)) => self.open.push(HashJob {
                request,
                hasher,
                start,
                is_storable,
            }),
            Ok(None) => self.report(request, None),
            Err(error) => self.report_failure(request, &error),
        }
    }

    /// Reads a slice of the smallest file in progress.
    fn read_slice(&mut self) {
        let Some(mut job) = self.open.pop() else {
            return;
        };
        let progress = job.hasher.read_slice();
        if let Ok(HashProgress::Unfinished) = progress {
            return self.open.push(job);
        }
        let name = &job.request.name;
        self.queue.record_attempt(name, job.start, Instant::now());
        match progress {
            Ok(HashProgress::Finished(hashes)) => {
                if job.is_storable {
                    self.cache.insert(job.request.identity, &hashes);
                }
                self.report(job.request, Some(hashes));
            }
            Ok(_) => self.report(job.request, None),
            Err(error) => self.report_failure(job.request, &error),
        }
    }

    fn report_failure(&self, request: HashRequest, error: &io::Error) {
        debug!("cannot hash {}: {error}", Escaped::text(&request.name));
        self.report(request, None);
    }

    fn report(&self, request: HashRequest, hashes: Option<FileHashes>) {
        let HashRequest { name, identity, .. } = request;
        (self.on_update)(ShareUpdate::Hash(HashResult {
            name,
            identity,
            hashes,
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::fs::{self, File};
    use std::sync::{Arc, mpsc};

    use crate::protocol::{ContentHash, PieceList};
    use crate::share::root::Root;

    /// Regression: for each of them a slice of the large file was read.
    #[test]
    fn known_hashes_do_not_wait_for_a_large_file() {
        const KNOWN: usize = 9;
        let dir = tempfile::tempdir().unwrap();
        let root = Arc::new(Root::whole_folder(dir.path(), None).unwrap());
        let request = |name: &str| HashRequest {
            root: Arc::downgrade(&root),
            name: name.to_owned(),
            identity: root.open(name).unwrap().identity,
            cache_use: CacheUse::Full,
        };
        let reports = Cell::new(0);
        let (_sender, requests) = mpsc::channel();
        let mut thread = HashThread {
            requests,
            has_sha256: false,
            queue: HashQueue::default(),
            open: Vec::new(),
            cache: HashCache::load(None),
            on_update: |_| reports.set(reports.get() + 1),
        };
        let large = File::create(dir.path().join("large")).unwrap();
        large.set_len(1 << 28).unwrap();
        let now = Instant::now();
        thread.queue.push(request("large"), REST_TIME, now);
        thread.step();
        let remaining = thread.open[0].hasher.remaining();
        for number in 0..KNOWN {
            let name = number.to_string();
            fs::write(dir.path().join(&name), &name).unwrap();
            let request = request(&name);
            let hash = ContentHash([0; 32]);
            let pieces = PieceList::of_one_piece(1, hash).unwrap();
            let hashes = FileHashes {
                pieces: pieces.into(),
                sha256: None,
            };
            thread.cache.insert(request.identity, &hashes);
            thread.queue.push(request, REST_TIME, now);
        }
        while reports.get() < KNOWN {
            thread.step();
        }
        assert_eq!(thread.open[0].hasher.remaining(), remaining);
    }
}
