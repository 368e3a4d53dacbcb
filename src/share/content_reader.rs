//! Opens the content of a shared file: small files in memory, from the cache if
//! possible, large ones as an open file.

use std::io;
use std::ops::Range;
use std::time::Instant;

use rustix::io::{Errno, pread};

use crate::node::{ComputedValues, FileContent, MAX_SMALL, SmallContent, Unavailable};
use crate::protocol::FileName;
use crate::role::SendableFile;
use crate::share::content_cache::{ContentCache, FileStatus};
use crate::share::root::Root;
use crate::share::roots::Roots;
use crate::share::shared_file::SharedFile;
use crate::system_error::Reason;

/// Attempts to read a small file that is written at the same time.
const MAX_ATTEMPTS: usize = 3;

/// To open and read a file is as much work as so many short lines.
const OPEN_WORK: usize = 16;

/// Reads small files and opens large ones.
pub(super) struct ContentReader {
    /// Small files of the node's folder, if its file system reports changes.
    cache: Option<ContentCache>,
    /// The small file that was read last. One byte longer than the largest small file.
    buffer: Box<[u8]>,
    /// What requests have computed of it.
    computed: ComputedValues,
    /// See [`ContentReader::take_work`].
    work: usize,
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
            computed: ComputedValues::default(),
            work: 0,
        }
    }

    /// The work of opening files since the last call, in short lines.
    pub(super) fn take_work(&mut self) -> usize {
        let of_cache = self.cache.as_mut().map_or(0, ContentCache::take_work);
        std::mem::take(&mut self.work) + of_cache
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
            let content = cache.and_then(|cache| cache.content(index));
            return content.map(FileContent::Small).ok_or_else(being_written);
        }
        let read_time = Instant::now();
        // The watch must begin before the file is opened.
        let cache = self
            .cache
            .as_mut()
            .filter(|_| roots.is_in_main(name.as_str()));
        let is_watched = cache.is_some_and(|cache| cache.watch(name));
        for _ in 0..MAX_ATTEMPTS {
            self.work += OPEN_WORK;
            let opened = roots.open(name).map_err(|error| unavailable(&error))?;
            let status = FileStatus::from(&opened);
            let (size, file) = (status.identity.size, opened.file);
            if size > MAX_SMALL as u64 {
                return Ok(FileContent::Large { size, file });
            }
            let length = read_at(&file, &mut self.buffer, 0, size as usize)?;
            if length as u64 != size || !file.is_unchanged() {
                continue;
            }
            let bytes = &self.buffer[..length];
            self.computed = ComputedValues::default();
            if let Some(cache) = &mut self.cache
                && is_watched
                && opened.has_single_path
            {
                cache.insert(name, bytes, status, read_time);
            }
            let computed = &self.computed;
            return Ok(FileContent::Small(SmallContent {
                bytes,
                computed,
                mtime: status.identity.mtime,
            }));
        }
        Err(being_written())
    }

    /// The status of a file, for a request that came with read number `arrival`: a client
    /// that saves a small file asks for both its content and its status.
    pub(super) fn status(
        &mut self,
        roots: &Roots,
        name: &FileName<'_>,
        arrival: u64,
    ) -> Result<FileStatus, Unavailable> {
        if let Some(cache) = &mut self.cache
            && let Some(index) = cache.find(name, arrival)
            && let Some(status) = cache.status(index)
        {
            return Ok(status);
        }
        self.work += OPEN_WORK;
        let opened = roots.open(name).map_err(|error| unavailable(&error))?;
        Ok(FileStatus::from(&opened))
    }

    /// Reads a part of an open file.
    pub(super) fn read(
        &mut self,
        file: &SharedFile,
        range: Range<u64>,
    ) -> Result<&[u8], Unavailable> {
        let length = (range.end - range.start).min(MAX_SMALL as u64) as usize;
        let read = read_at(file, &mut self.buffer, range.start, length)?;
        if read < length || !file.is_unchanged() {
            return Err(being_written());
        }
        Ok(&self.buffer[..length])
    }

    /// Forgets all cached content.
    pub(super) fn clear_cache(&mut self) {
        if let Some(cache) = &mut self.cache {
            cache.clear();
        }
    }
}

/// Reads `expected` bytes from `offset` on, and one more if it comes with them. Returns
/// the number of bytes; it is smaller if the file ends before.
fn read_at(
    file: &SharedFile,
    buffer: &mut [u8],
    offset: u64,
    expected: usize,
) -> Result<usize, Unavailable> {
    let buffer = &mut buffer[..=expected];
    let mut length = 0;
    while length < expected.max(1) {
        match pread(file, &mut buffer[length..], offset + length as u64) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(Errno::INTR) => {}
            Err(error) => return Err(unavailable(&error.into())),
        }
    }
    Ok(length)
}

fn being_written() -> Unavailable {
    Unavailable::Failed("the file is being written; try again later".to_owned())
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
