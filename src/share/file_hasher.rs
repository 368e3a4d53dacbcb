//! A file whose hash is being computed, slice by slice.

use std::fs::File;
use std::io::{self, Read};

use rustix::fs::fstat;

use crate::protocol::{ContentHasher, PieceLayout, PieceList};
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
    buffer: Box<[u8]>,
    /// Number of bytes that were read.
    read: u64,
}

/// The result of a slice.
pub(super) enum HashProgress {
    /// There is more to read.
    Unfinished,
    /// The hashes of the whole file.
    Finished(PieceList),
    /// The file was changed or deleted, or has not as many bytes as its size says.
    Changed,
}

impl FileHasher {
    /// Opens the file. None if it is another one now.
    pub(super) fn open(
        root: &Root,
        name: &str,
        identity: FileIdentity,
    ) -> io::Result<Option<Self>> {
        let opened = root.open(name)?;
        Ok((opened.identity == identity).then(|| Self {
            file: opened.file.into(),
            identity,
            hasher: ContentHasher::new(PieceLayout::new(identity.size)),
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
        let pieces = self.hasher.finish();
        Ok(pieces.map_or(HashProgress::Changed, HashProgress::Finished))
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
            self.read += read as u64;
        }
        Ok(true)
    }
}
