//! The comparison of a file that is there already with a content that could be fetched.

use std::fs::File;
use std::io::{self, Read};

use rustix::fs::OFlags;

use crate::download::Target;
use crate::download::parent_folder::ParentFolders;
use crate::download::part_state::last_change;
use crate::download::repair_error::RepairError;
use crate::download::repair_file::{check_length, check_regular};
use crate::download::save_error::SaveError;
use crate::jobs::{ContentInfo, StoredContent};
use crate::protocol::{ContentHash, FileName, PieceLayout};

/// The most bytes that are read at once: the loop waits for them.
const SLICE: u64 = 1024 * 1024;

/// A file whose hash is being computed.
pub struct ExistingFile {
    pub(super) file: File,
    /// See [`last_change`].
    pub(super) last_change: String,
    hasher: Box<blake3::Hasher>,
    remaining: u64,
}

impl ExistingFile {
    /// Opens the target of a content, if a file of the same size is there.
    ///
    /// # Errors
    /// There is no such file, or it cannot be read. Or a file of one piece that is to be repaired
    /// has another size.
    pub(super) fn open(
        parents: &mut ParentFolders,
        target: &Target,
        name: &FileName<'_>,
        content: &ContentInfo,
    ) -> Result<Option<Self>, SaveError> {
        let file = target.open_existing(parents, name, OFlags::RDONLY);
        let file = file.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound if target.repairs() => {
                SaveError::Repair(RepairError::Missing(name.clone().into_owned()))
            }
            _ if target.repairs() => SaveError::Unreadable(error),
            _ => error.into(),
        })?;
        if target.repairs() {
            check_regular(&file)?;
            // The pieces of a large file are compared later.
            if content.size > PieceLayout::MIN_PIECE_SIZE {
                return Ok(None);
            }
            check_length(&file, name, content)?;
        }
        Ok(Self::of_size(file, content.size)?)
    }

    /// A file, if it has this size.
    pub(super) fn of_size(file: File, size: u64) -> io::Result<Option<Self>> {
        let metadata = file.metadata()?;
        if !metadata.is_file() || metadata.len() != size {
            return Ok(None);
        }
        Ok(Some(Self {
            last_change: last_change(&file)?,
            file,
            hasher: Box::default(),
            remaining: size,
        }))
    }

    /// Reads the next slice.
    pub(super) fn compare(&mut self, hash: ContentHash) -> io::Result<StoredContent> {
        let expected = self.remaining.min(SLICE);
        let mut slice = (&self.file).take(expected);
        self.hasher.update_reader(&mut slice)?;
        if slice.limit() > 0 {
            return Ok(StoredContent::Other);
        }
        self.remaining -= expected;
        Ok(match self.remaining {
            0 if ContentHash(*self.hasher.finalize().as_bytes()) == hash => StoredContent::Same,
            0 => StoredContent::Other,
            _ => StoredContent::Unfinished,
        })
    }
}
