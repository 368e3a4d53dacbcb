//! Opens the content of a shared file: small files in memory, from the cache if
//! possible, large ones as an open file.

use std::io;
use std::time::Instant;

use rustix::io::{Errno, pread};

use crate::node::{FileContent, Unavailable};
use crate::protocol::FileName;
use crate::role::SendableFile;
use crate::share::content_cache::ContentCache;
use crate::share::root::Root;
use crate::share::roots::Roots;
use crate::share::shared_file::SharedFile;
use crate::system_error::Reason;

/// Files up to this size are sent in one write together with their header.
const MAX_SMALL: usize = 64 * 1024;

/// Attempts to read a small file that is written at the same time.
const MAX_ATTEMPTS: usize = 3;

/// Reads small files and opens large ones.
pub(super) struct ContentReader {
    /// Small files of the node's folder, if its file system reports changes.
    cache: Option<ContentCache>,
    /// The small file that was read last. One byte longer than the largest small file.
    buffer: Box<[u8]>,
}

impl ContentReader {
    /// A reader for a share with the node's folder `main`.
    pub(super) fn new(main: &Root, max_cached: usize) -> Self {
        Self {
            cache: main
                .folder()
                .ok()
                .and_then(|folder| ContentCache::new(folder, max_cached)),
            buffer: vec![0; MAX_SMALL + 1].into(),
        }
    }

    /// Opens a file for a request that came with read number `arrival`.
    pub(super) fn open(
        &mut self,
        roots: &Roots,
        name: &FileName<'_>,
        arrival: u64,
    ) -> Result<FileContent<'_, SharedFile>, Unavailable> {
        let cache = self.cache.as_mut();
        if let Some(index) = cache.and_then(|cache| cache.find(name, arrival)) {
            let cache = self.cache.as_ref();
            let bytes = cache.map_or(&[][..], |cache| cache.bytes(index));
            return Ok(FileContent::Small(bytes));
        }
        let read_time = Instant::now();
        // The watch must begin before the file is opened.
        let cache = self.cache.as_mut().filter(|_| roots.is_in_main(name));
        let is_watched = cache.is_some_and(|cache| cache.watch(name));
        for _ in 0..MAX_ATTEMPTS {
            let opened = roots.open(name).map_err(|error| unavailable(&error))?;
            let (size, file) = (opened.identity.size, opened.file);
            if size > MAX_SMALL as u64 {
                return Ok(FileContent::Large { size, file });
            }
            let length = self.read_small(&file, size);
            let length = length.map_err(|error| unavailable(&error.into()))?;
            if length as u64 != size || !file.is_unchanged() {
                continue;
            }
            let bytes = &self.buffer[..length];
            if let Some(cache) = &mut self.cache
                && is_watched
                && opened.has_single_path
            {
                cache.insert(name, bytes, read_time);
            }
            return Ok(FileContent::Small(bytes));
        }
        let why = "the file is being written; try again later";
        Err(Unavailable::Failed(why.to_owned()))
    }

    /// Forgets all cached content.
    pub(super) fn clear_cache(&mut self) {
        if let Some(cache) = &mut self.cache {
            cache.clear();
        }
    }

    /// Reads a small file into the buffer. Returns its length; a file that is no longer
    /// small fills the buffer.
    fn read_small(&mut self, file: &SharedFile, expected: u64) -> Result<usize, Errno> {
        let mut length = 0;
        while length < self.buffer.len() {
            match pread(file, &mut self.buffer[length..], length as u64) {
                Ok(0) => break,
                Ok(read) => length += read,
                Err(Errno::INTR) => continue,
                Err(error) => return Err(error),
            }
            // At the expected length the read of the end is not needed.
            if length as u64 == expected {
                break;
            }
        }
        Ok(length)
    }
}

/// The answer for a file that cannot be opened or read.
pub(super) fn unavailable(error: &io::Error) -> Unavailable {
    match Errno::from_io_error(error) {
        // XDEV, LOOP: a link leads out of the root. NXIO, NODEV: a socket or device.
        Some(
            Errno::NOENT
            | Errno::NOTDIR
            | Errno::XDEV
            | Errno::LOOP
            | Errno::NXIO
            | Errno::ISDIR
            | Errno::NAMETOOLONG
            | Errno::NODEV,
        ) => Unavailable::NotFound,
        Some(Errno::ACCESS | Errno::PERM) => Unavailable::NotAllowed,
        Some(Errno::MFILE | Errno::NFILE | Errno::NOMEM) => Unavailable::Busy,
        _ => Unavailable::Failed(Reason(error).to_string()),
    }
}
