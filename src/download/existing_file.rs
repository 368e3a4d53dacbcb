//! The comparison of a file that is there already with a content that could be fetched.

use std::fs::File;
use std::io::{self, Read};

use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::download::Target;
use crate::download::parent_folder::ParentFolders;
use crate::jobs::{ContentInfo, StoredContent};
use crate::protocol::{ContentHash, FileName, PieceLayout};

/// The most bytes that are read at once: the loop waits for them.
const SLICE: u64 = 1024 * 1024;

/// NONBLOCK: the open of a FIFO must not block the loop.
const FLAGS: OFlags = OFlags::RDONLY
    .union(OFlags::CLOEXEC)
    .union(OFlags::NONBLOCK)
    .union(OFlags::NOCTTY);

/// A file whose hash is being computed.
pub struct ExistingFile {
    file: File,
    hasher: Box<blake3::Hasher>,
    remaining: u64,
}

impl ExistingFile {
    /// Opens the target of a content, if a file of the same size is there.
    ///
    /// # Errors
    /// There is no such file, or it cannot be read.
    pub(super) fn open(
        parents: &mut ParentFolders,
        target: &Target,
        name: &FileName<'_>,
        content: &ContentInfo,
    ) -> io::Result<Option<Self>> {
        let file: File = match target {
            // The pieces of a large one are compared later.
            Target::Repair(_) if content.size > PieceLayout::MIN_PIECE_SIZE => return Ok(None),
            Target::File(path) | Target::Repair(path) => {
                openat(CWD, path, FLAGS, Mode::empty())?.into()
            }
            Target::Folder(folder) | Target::Share(folder) => {
                let (parent, leaf) = parents.find(folder, name)?;
                openat(&parent, leaf, FLAGS | OFlags::NOFOLLOW, Mode::empty())?.into()
            }
        };
        let metadata = file.metadata()?;
        let may_be_same = metadata.is_file() && metadata.len() == content.size;
        Ok(may_be_same.then(|| Self {
            file,
            hasher: Box::default(),
            remaining: content.size,
        }))
    }

    /// Reads the next slice.
    pub(super) fn compare(&mut self, hash: ContentHash) -> StoredContent {
        let expected = self.remaining.min(SLICE);
        let mut slice = (&self.file).take(expected);
        if self.hasher.update_reader(&mut slice).is_err() || slice.limit() > 0 {
            return StoredContent::Other;
        }
        self.remaining -= expected;
        match self.remaining {
            0 if ContentHash(*self.hasher.finalize().as_bytes()) == hash => StoredContent::Same,
            0 => StoredContent::Other,
            _ => StoredContent::Unfinished,
        }
    }
}
