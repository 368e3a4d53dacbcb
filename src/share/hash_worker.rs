//! A thread that computes the hashes of files, so that the loop never waits for a
//! whole file to be read.

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
use crate::share::file_identity::FileIdentity;
use crate::share::hash_cache::HashCache;
use crate::share::open_beneath::RegularFile;
use crate::share::root::Root;

/// Bytes in a read: BLAKE3 is fast on long inputs.
const READ_SIZE: usize = 1024 * 1024;
/// A file is hashed this long after its last change. A second write within the same
/// tick of the file system's clock would leave its identity unchanged.
const QUIET_TIME: Duration = Duration::from_millis(100);

/// A request for the hash of a file.
pub(super) struct HashRequest {
    /// If the root is dropped, the request is void.
    pub(super) root: Weak<Root>,
    pub(super) name: String,
    pub(super) identity: FileIdentity,
}

/// The result of a hash request.
#[derive(Debug)]
pub struct HashResult {
    pub(super) name: String,
    pub(super) identity: FileIdentity,
    /// None if the file could not be read or has changed.
    pub(super) hash: Option<ContentHash>,
}

/// Computes hashes in a thread of its own.
pub struct HashWorker {
    requests: Receiver<HashRequest>,
    buffer: Vec<u8>,
}

impl HashWorker {
    /// A worker, and the sender for hash requests.
    pub(super) fn new() -> (Sender<HashRequest>, Self) {
        let (sender, requests) = channel();
        let worker = Self {
            requests,
            buffer: Vec::new(),
        };
        (sender, worker)
    }

    /// Starts the thread. It calls `on_result` for each request, and ends when the
    /// share is dropped. `cache` is the file of the hash cache.
    ///
    /// # Errors
    /// The system cannot create a thread.
    pub fn start(
        mut self,
        cache: Option<PathBuf>,
        on_result: impl Fn(HashResult) + Send + 'static,
    ) -> io::Result<()> {
        let body = move || {
            let mut cache = HashCache::load(cache);
            while let Some(request) = self.next(&mut cache) {
                on_result(self.execute(request, &mut cache));
            }
        };
        thread::Builder::new()
            .name("hash".into())
            .spawn(body)
            .map(drop)
    }

    fn next(&self, cache: &mut HashCache) -> Option<HashRequest> {
        let request = self.requests.try_recv().or_else(|_| {
            // The thread is idle.
            cache.compact();
            self.requests.recv()
        });
        request.ok()
    }

    fn execute(&mut self, request: HashRequest, cache: &mut HashCache) -> HashResult {
        let HashRequest {
            root,
            name,
            identity,
        } = request;
        let hash = cache.get(&identity).or_else(|| {
            let root = root.upgrade().filter(|_| !cache.is_stored_in(&identity))?;
            let hash = self.hash(&root, &name, identity).unwrap_or_else(|error| {
                debug!("cannot hash {}: {error}", Escaped::text(&name));
                None
            })?;
            cache.insert(identity, hash);
            Some(hash)
        });
        HashResult {
            name,
            identity,
            hash,
        }
    }

    /// The hash of the file, if its identity is `identity` before and after the read.
    fn hash(
        &mut self,
        root: &Root,
        name: &str,
        identity: FileIdentity,
    ) -> io::Result<Option<ContentHash>> {
        thread::sleep(QUIET_TIME.saturating_sub(age(identity)));
        let RegularFile {
            mut file,
            identity: current,
            ..
        } = root.open(name)?;
        if current != identity {
            return Ok(None);
        }
        self.buffer.resize(READ_SIZE, 0);
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
        Ok(has_identity(&file, identity)?.then_some(hash))
    }
}

fn has_identity(file: &File, identity: FileIdentity) -> io::Result<bool> {
    Ok(FileIdentity::from(&file.metadata()?) == identity)
}

/// The time since the last change. A change in the future, by the clock of another
/// host, counts as old: the thread must not wait for it.
fn age(identity: FileIdentity) -> Duration {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.unwrap_or(Duration::ZERO);
    now.checked_sub(identity.ctime()).unwrap_or(QUIET_TIME)
}
