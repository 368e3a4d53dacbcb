//! A file whose hash is being computed, slice by slice.

use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

use rustix::fs::fstat;
use sha2::{Digest, Sha256};

use crate::protocol::{ContentHasher, PieceLayout, PieceList, Sha256Digest};
use crate::share::file_identity::FileIdentity;
use crate::share::root::Root;

/// The most bytes that are read before the identity of the file is checked and other
/// files get a turn.
const SLICE: u64 = 16 * 1024 * 1024;

/// Bytes of one read: fits into the cache of the processor. A divisor of a slice.
const READ: usize = 64 * 1024;

/// An open file and the hashes of its first bytes.
pub(super) struct FileHasher {
    file: File,
    /// The identity for which the hash is requested.
    identity: FileIdentity,
    hasher: ContentHasher,
    /// None if nobody wants to know it.
    sha256: Option<Sha256>,
    buffer: Box<[u8]>,
    /// Number of bytes that were read.
    read: u64,
}

/// The hashes of a content.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct FileHashes {
    /// The hash and those of the pieces.
    pub(super) pieces: Arc<PieceList>,
    /// None if it was not computed.
    pub(super) sha256: Option<Sha256Digest>,
}

/// The result of a slice.
pub(super) enum HashProgress {
    /// There is more to read.
    Unfinished,
    /// The hashes of the whole file.
    Finished(FileHashes),
    /// The file was changed or deleted, or has not as many bytes as its size says.
    Changed,
}

impl FileHasher {
    /// Opens the file, to compute also SHA-256 if asked to. None if it is another one now.
    pub(super) fn open(
        root: &Root,
        name: &str,
        identity: FileIdentity,
        has_sha256: bool,
    ) -> io::Result<Option<Self>> {
        let opened = root.open(name)?;
        Ok((opened.identity == identity).then(|| Self {
            file: opened.file.into(),
            identity,
            hasher: ContentHasher::new(PieceLayout::new(identity.size)),
            sha256: has_sha256.then(Sha256::new),
            buffer: vec![0; READ].into(),
            read: 0,
        }))
    }

    /// Number of bytes that are still to be read.
    pub(super) fn remaining(&self) -> u64 {
        self.identity.size - self.read
    }

    /// Reads the next slice.
    pub(super) fn read_slice(&mut self) -> io::Result<HashProgress> {
        let end = self.read + self.remaining().min(SLICE);
        let is_short = !self.read_to(end)?;
        // A deleted file has another identity too: its blocks must become free.
        if is_short || FileIdentity::from(&fstat(&self.file)?) != self.identity {
            return Ok(HashProgress::Changed);
        }
        if self.remaining() > 0 {
            return Ok(HashProgress::Unfinished);
        }
        if (&self.file).read(&mut [0])? > 0 {
            return Ok(HashProgress::Changed);
        }
        let Some(pieces) = self.hasher.finish().map(Arc::new) else {
            return Ok(HashProgress::Changed);
        };
        let sha256 = self.sha256.take().map(|sha256| sha256.finalize().into());
        Ok(HashProgress::Finished(FileHashes {
            pieces,
            sha256: sha256.map(Sha256Digest),
        }))
    }

    /// Reads up to the offset `end`. Returns false if the file is shorter.
    fn read_to(&mut self, end: u64) -> io::Result<bool> {
        while self.read < end {
            let length = usize::try_from(end - self.read).map_or(READ, |left| left.min(READ));
            let read = match (&self.file).read(&mut self.buffer[..length]) {
                Ok(0) => return Ok(false),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            self.hasher.update(&self.buffer[..read]);
            if let Some(sha256) = &mut self.sha256 {
                sha256.update(&self.buffer[..read]);
            }
            self.read += read as u64;
        }
        Ok(true)
    }
}
