//! A file whose hash is being computed, slice by slice.

use std::fs::File;
use std::io::{self, Read};

use rustix::fs::fstat;

use crate::protocol::ContentHash;
use crate::share::file_identity::FileIdentity;
use crate::share::root::Root;

/// The most bytes that are read before the identity of the file is checked and other
/// files get a turn.
const SLICE: u64 = 16 * 1024 * 1024;

/// An open file and the hash of its first bytes.
pub(super) struct FileHasher {
    file: File,
    /// The identity for which the hash is requested.
    identity: FileIdentity,
    hasher: Box<blake3::Hasher>,
    /// Number of bytes that were read.
    read: u64,
}

/// The result of a slice.
pub(super) enum HashProgress {
    /// There is more to read.
    Unfinished,
    /// The hash of the whole file.
    Finished(ContentHash),
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
            hasher: Box::default(),
            read: 0,
        }))
    }

    /// Number of bytes that are still to be read.
    pub(super) fn remaining(&self) -> u64 {
        self.identity.size - self.read
    }

    /// Reads the next slice.
    pub(super) fn read_slice(&mut self) -> io::Result<HashProgress> {
        let expected = self.remaining().min(SLICE);
        let mut slice = (&self.file).take(expected);
        self.hasher.update_reader(&mut slice)?;
        let is_short = slice.limit() > 0;
        self.read += expected - slice.limit();
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
        let hash = ContentHash(*self.hasher.finalize().as_bytes());
        Ok(HashProgress::Finished(hash))
    }
}
