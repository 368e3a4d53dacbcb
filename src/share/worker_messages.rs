//! What a share asks its worker threads, and what they answer.

use std::sync::{Arc, Weak};

use crate::share::file_hasher::FileHashes;
use crate::share::file_identity::FileIdentity;
use crate::share::root::Root;
use crate::share::roots::Roots;
use crate::share::walk::{OutOfResources, WalkResult};
use crate::share::watch::WrittenFiles;

/// A result of a worker thread.
pub enum ShareUpdate {
    /// The files of the share.
    Scan(ScanResult),
    /// The hash of a file.
    Hash(HashResult),
}

/// The result of a scan.
pub struct ScanResult {
    /// The roots for which the scan was requested. The share may have other roots by now.
    pub(super) requested: Arc<Roots>,
    /// The roots that were scanned.
    pub(super) roots: Arc<Roots>,
    /// The files that were written before the scan.
    pub(super) written: WrittenFiles,
    pub(super) walk: Result<WalkResult, OutOfResources>,
}

/// A request for the hash of a file.
pub(super) struct HashRequest {
    /// When the share has dropped the root, the request is ignored.
    pub(super) root: Weak<Root>,
    pub(super) name: String,
    pub(super) identity: FileIdentity,
    pub(super) cache_use: CacheUse,
}

/// What a request may do with the hash cache.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum CacheUse {
    /// Take a hash from it, and store one in it.
    Full,
    /// Only store a hash: the content may have changed although the identity has not.
    StoreOnly,
    /// Nothing: files of this file system have no reliable identity.
    None,
}

/// The result of a hash request.
#[derive(Debug)]
pub struct HashResult {
    pub(super) name: String,
    pub(super) identity: FileIdentity,
    /// None if the file could not be read or has changed.
    pub(super) hashes: Option<FileHashes>,
}
