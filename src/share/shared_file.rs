//! An open file of a share.

use std::fs::File;
use std::io::IoSliceMut;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Stat, fstat, fstatfs};
use rustix::io::{Errno, ReadWriteFlags, pread, preadv2};

use crate::node::{FileRevision, MAX_SMALL};
use crate::role::SendableFile;
use crate::share::file_identity::FileIdentity;

/// Places of a file that are compared if its status has changed.
const SAMPLES: i64 = 8;

/// Bytes at each of them.
const SAMPLE_SIZE: usize = 64;

/// An open file, with what changes whenever its content is written.
#[derive(Debug)]
pub struct SharedFile {
    file: File,
    /// None for a part file: its pieces stay as they are once they are there.
    version: Option<ContentVersion>,
    revision: FileRevision,
    /// Number of its names when it was opened.
    links: u64,
    /// Parts of a large file as they were when it was opened.
    samples: Box<[Sample]>,
}

/// The bytes at a place of a file.
#[derive(PartialEq, Eq, Debug)]
struct Sample {
    offset: u64,
    bytes: [u8; SAMPLE_SIZE],
}

/// Size and mtime. Unlike the ctime they stay when the file is renamed, deleted or gets other
/// permissions, which should not interrupt a transfer. But a program can set the mtime back.
#[derive(PartialEq, Eq, Debug)]
struct ContentVersion {
    size: i64,
    mtime: i64,
    mtime_nanos: i64,
}

impl SharedFile {
    /// A file with this status.
    pub(super) fn new(file: File, stat: &Stat) -> Self {
        Self {
            version: Some(ContentVersion::from(stat)),
            revision: revision(stat),
            links: links(stat),
            samples: samples(&file, stat.st_size),
            file,
        }
    }

    /// A part file.
    pub(super) fn part(file: OwnedFd) -> Option<Self> {
        let stat = fstat(&file).ok()?;
        Some(Self {
            version: None,
            ..Self::new(file.into(), &stat)
        })
    }

    /// The revision that was opened.
    pub(super) fn revision(&self) -> FileRevision {
        self.revision
    }

    /// The identity of the file now; none if its content has changed since it was opened.
    pub(super) fn identity(&self) -> Option<FileIdentity> {
        let stat = fstat(&self.file).ok()?;
        (Some(ContentVersion::from(&stat)) == self.version).then(|| FileIdentity::from(&stat))
    }

    /// Whether the content has as many bytes as the size says. Files whose content is
    /// computed while it is read, as those of proc(5), have any size. Their file systems
    /// have no blocks.
    pub(super) fn has_true_size(&self) -> bool {
        let Some(version) = &self.version else {
            return true;
        };
        let size = version.size.cast_unsigned();
        let length_at = |offset| pread(&self.file, &mut [0][..], offset).ok();
        is_on_blocks(&self.file)
            || ((size == 0 || length_at(size - 1) == Some(1)) && length_at(size) == Some(0))
    }
}

/// Samples of a file of this size, evenly spread from the first byte to the last one. Small files
/// have none, because they are read at once. Only what is in memory is read, because others wait
/// meanwhile; all of it where the file system cannot tell (preadv2(2), `RWF_NOWAIT`).
fn samples(file: &File, size: i64) -> Box<[Sample]> {
    if size <= MAX_SMALL as i64 {
        return Box::default();
    }
    let step = (size - SAMPLE_SIZE as i64) / (SAMPLES - 1);
    let offsets = (0..SAMPLES).map(|number| (number * step).cast_unsigned());
    let read = |offset| match Sample::read(file, offset, ReadWriteFlags::NOWAIT) {
        Err(Errno::OPNOTSUPP) => Sample::read(file, offset, ReadWriteFlags::empty()),
        result => result,
    };
    offsets.filter_map(|offset| read(offset).ok()).collect()
}

impl Sample {
    fn read(file: &File, offset: u64, flags: ReadWriteFlags) -> Result<Self, Errno> {
        let mut bytes = [0; SAMPLE_SIZE];
        let buffers = &mut [IoSliceMut::new(&mut bytes)];
        match preadv2(file, buffers, offset, flags)? {
            SAMPLE_SIZE => Ok(Self { offset, bytes }),
            _ => Err(Errno::AGAIN),
        }
    }

    /// Whether the file still has these bytes.
    fn is_in(&self, file: &File) -> bool {
        Self::read(file, self.offset, ReadWriteFlags::empty()).as_ref() == Ok(self)
    }
}

/// Whether a file or folder is in a file system that stores files in blocks.
pub(super) fn is_on_blocks(file: impl AsFd) -> bool {
    fstatfs(file).is_ok_and(|status| status.f_blocks > 0)
}

impl SendableFile for SharedFile {
    /// The status alone does not tell of two files whether the bytes that were there have changed:
    ///
    /// - one that has grown: a log that is appended to keeps them, a longer file that is written
    ///   in its place does not;
    /// - one whose ctime alone is another: it was renamed or linked, or it was written to, and its
    ///   mtime set back, as by `rsync --inplace --times`.
    ///
    /// Of these the samples tell. Without samples the file counts as changed, unless the number of
    /// its names explains the ctime: a deleted file is sent to its end.
    fn is_unchanged(&self) -> bool {
        let Some(opened) = &self.version else {
            return true;
        };
        fstat(&self.file).is_ok_and(|stat| {
            let version = ContentVersion::from(&stat);
            let has_samples = !self.samples.is_empty();
            let may_be_unchanged = if version != *opened {
                has_samples && version.size > opened.size
            } else if revision(&stat) != self.revision {
                has_samples || links(&stat) != self.links
            } else {
                return true;
            };
            may_be_unchanged && self.samples.iter().all(|sample| sample.is_in(&self.file))
        })
    }
}

impl AsFd for SharedFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

impl From<SharedFile> for File {
    fn from(file: SharedFile) -> Self {
        file.file
    }
}

#[allow(
    clippy::useless_conversion,
    reason = "the type of the field differs by platform"
)]
fn links(stat: &Stat) -> u64 {
    stat.st_nlink.into()
}

#[allow(
    clippy::unnecessary_cast,
    clippy::useless_conversion,
    reason = "the types of the fields differ by platform"
)]
fn revision(stat: &Stat) -> FileRevision {
    FileRevision {
        mtime: stat.st_mtime as i64,
        mtime_nanos: stat.st_mtime_nsec as i64,
        ctime: stat.st_ctime as i64,
        ctime_nanos: stat.st_ctime_nsec as i64,
        inode: stat.st_ino.into(),
    }
}

#[allow(
    clippy::unnecessary_cast,
    clippy::useless_conversion,
    reason = "the types of the fields differ by platform"
)]
impl From<&Stat> for ContentVersion {
    fn from(stat: &Stat) -> Self {
        Self {
            size: stat.st_size as i64,
            mtime: stat.st_mtime as i64,
            mtime_nanos: stat.st_mtime_nsec as i64,
        }
    }
}
