//! The requests of an update of a relay, and what they announce.

use crate::node::share::ListedFile;
use crate::protocol::{FileName, MaybeHash, Request};

/// A request of an update.
#[derive(Debug)]
pub enum UpdateRequest {
    /// `REGISTER`
    Register,
    /// `UNREGISTER`
    Unregister,
    /// `SHARE`: a new or changed file.
    Share(Box<str>, FileVersion),
    /// `SHAREDIGEST`: the digest of a file that is announced before it.
    ShareDigest(Box<str>),
    /// `UNSHARE`: a removed file.
    Unshare(Box<str>),
}

/// What is announced of a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FileVersion {
    size: u64,
    hash: MaybeHash,
    /// Its SHA-256 is known. The hash decides which one it is.
    has_sha256: bool,
}

impl FileVersion {
    /// The length of the line that announces it, with its end.
    pub(super) fn line_length(&self, name: FileName<'_>) -> usize {
        let request = Request::Share(self.size, self.hash, name);
        request.to_string().len() + 1
    }
}

impl From<&ListedFile<'_>> for FileVersion {
    fn from(file: &ListedFile<'_>) -> Self {
        Self {
            size: file.size,
            hash: file.hash,
            has_sha256: file.sha256.is_some(),
        }
    }
}
