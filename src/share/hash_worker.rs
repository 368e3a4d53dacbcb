//! A thread that computes the hashes of files, so that the loop never waits for a
//! whole file to be read.

use std::io;
use std::path::PathBuf;
use std::sync::Weak;
use std::sync::mpsc::Receiver;
use std::thread;
use std::time::{Duration, SystemTime};

use log::debug;
use rustix::fs::fstat;

use crate::escaped::Escaped;
use crate::protocol::ContentHash;
use crate::share::file_identity::FileIdentity;
use crate::share::folder::ShareUpdate;
use crate::share::hash_cache::HashCache;
use crate::share::root::Root;

/// A file is hashed this long after its last change. A second write within the same
/// tick of the file system's clock would leave its identity unchanged.
const QUIET_TIME: Duration = Duration::from_millis(100);

/// A request for the hash of a file.
pub(super) struct HashRequest {
    /// When the share has dropped the root, the request is ignored.
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
pub struct HashWorker(pub(super) Receiver<HashRequest>);

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
            let mut cache = HashCache::load(cache);
            while let Some(request) = self.next(&mut cache) {
                on_update(ShareUpdate::Hash(execute(request, &mut cache)));
            }
        };
        thread::Builder::new().name("hash".into()).spawn(body)?;
        Ok(())
    }

    fn next(&self, cache: &mut HashCache) -> Option<HashRequest> {
        let request = self.0.try_recv().or_else(|_| {
            // The thread is idle.
            cache.compact();
            self.0.recv()
        });
        request.ok()
    }
}

fn execute(request: HashRequest, cache: &mut HashCache) -> HashResult {
    let HashRequest {
        root,
        name,
        identity,
    } = request;
    let hash = cache.get(&identity).or_else(|| {
        let root = root.upgrade().filter(|_| !cache.is_stored_in(&identity))?;
        let hash = compute_hash(&root, &name, identity).unwrap_or_else(|error| {
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
fn compute_hash(
    root: &Root,
    name: &str,
    identity: FileIdentity,
) -> io::Result<Option<ContentHash>> {
    thread::sleep(QUIET_TIME.saturating_sub(age(identity)));
    let opened = root.open(name)?;
    if opened.identity != identity {
        return Ok(None);
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update_reader(&opened.file)?;
    let hash = ContentHash(*hasher.finalize().as_bytes());
    let is_unchanged = FileIdentity::from(&fstat(&opened.file)?) == identity;
    Ok(is_unchanged.then_some(hash))
}

/// The time since the last change. A change in the future, by the clock of another
/// host, counts as old: the thread must not wait for it.
fn age(identity: FileIdentity) -> Duration {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.unwrap_or(Duration::ZERO);
    now.checked_sub(identity.ctime()).unwrap_or(QUIET_TIME)
}
