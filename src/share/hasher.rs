//! Computes the hashes of files in a thread of its own: the loop never waits for
//! a whole file to be read.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Weak;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, SystemTime};

use log::debug;

use crate::escaped::Escaped;
use crate::protocol::ContentHash;
use crate::share::hash_cache::HashCache;
use crate::share::identity::Identity;
use crate::share::open_beneath::Opened;
use crate::share::root::Root;

/// Bytes read at once: BLAKE3 is fast on long pieces.
const PIECE: usize = 1024 * 1024;
/// A file that was changed a moment ago may change once more within the same
/// tick of the file system's clock, unseen. One that rested for this long cannot.
const REST: Duration = Duration::from_millis(100);

/// A file whose hash is wanted.
pub(super) struct HashJob {
    /// Where it is; if it is not shared any more, there is nothing to do.
    pub(super) root: Weak<Root>,
    pub(super) name: String,
    pub(super) identity: Identity,
}

/// A hash that was found, or not: the file could not be read, or it is another
/// one by now.
#[derive(Debug)]
pub struct Hashed {
    pub(super) name: String,
    pub(super) identity: Identity,
    pub(super) hash: Option<ContentHash>,
}

/// The thread's half, to be started when there is somebody to tell.
pub struct Hasher {
    jobs: Receiver<HashJob>,
    buffer: Vec<u8>,
}

impl Hasher {
    /// The two halves: jobs go in at the one, the other does them.
    pub(super) fn new() -> (Sender<HashJob>, Self) {
        let (sender, jobs) = channel();
        let hasher = Self {
            jobs,
            buffer: Vec::new(),
        };
        (sender, hasher)
    }

    /// Starts the thread. It ends when nobody wants a hash any more. What it
    /// finds is told to `done`; known hashes are looked up and kept in `cache`.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(
        mut self,
        cache: Option<PathBuf>,
        done: impl Fn(Hashed) + Send + 'static,
    ) -> io::Result<()> {
        let work = move || {
            let mut cache = HashCache::load(cache);
            while let Some(job) = self.next(&mut cache) {
                self.work(job, &mut cache, &done);
            }
        };
        thread::Builder::new()
            .name("hasher".into())
            .spawn(work)
            .map(drop)
    }

    fn next(&self, cache: &mut HashCache) -> Option<HashJob> {
        let next = self.jobs.try_recv().or_else(|_| {
            cache.tidy();
            self.jobs.recv()
        });
        next.ok()
    }

    fn work(&mut self, job: HashJob, cache: &mut HashCache, done: &impl Fn(Hashed)) {
        let HashJob {
            root,
            name,
            identity,
        } = job;
        let hash = cache.get(&identity).or_else(|| {
            let root = root.upgrade().filter(|_| !cache.is_in(&identity))?;
            let hash = self.hash(&root, &name, identity).unwrap_or_else(|error| {
                debug!("{}: no hash: {error}", Escaped::text(&name));
                None
            })?;
            cache.put(identity, hash);
            Some(hash)
        });
        done(Hashed {
            name,
            identity,
            hash,
        });
    }

    /// The hash of the content that `identity` names, if it is still there.
    fn hash(
        &mut self,
        root: &Root,
        name: &str,
        identity: Identity,
    ) -> io::Result<Option<ContentHash>> {
        thread::sleep(REST.saturating_sub(age(identity)));
        let Opened {
            mut file,
            identity: now,
            ..
        } = root.open(name)?;
        if now != identity {
            return Ok(None);
        }
        self.buffer.resize(PIECE, 0);
        let mut hasher = blake3::Hasher::new();
        loop {
            match file.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(length) => hasher.update(&self.buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
        }
        let hash = ContentHash(*hasher.finalize().as_bytes());
        Ok(is_still(&file, identity)?.then_some(hash))
    }
}

fn is_still(file: &File, identity: Identity) -> io::Result<bool> {
    Ok(Identity::from(&file.metadata()?) == identity)
}

/// How long ago it was changed. What was changed in the future, by the clock of
/// another host, is not waited for.
fn age(identity: Identity) -> Duration {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.unwrap_or(Duration::ZERO);
    now.checked_sub(identity.changed()).unwrap_or(REST)
}
