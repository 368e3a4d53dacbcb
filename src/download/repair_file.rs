//! A file of the user whose pieces are checked. Only wrong ones are written, in place.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crate::download::piece_check::PieceCheck;
use crate::download::save_error::SaveError;
use crate::download::stored_bytes::StoredBytes;
use crate::jobs::{ContentInfo, PieceSet};
use crate::protocol::{PieceLayout, PieceValue};

/// A file that is being repaired.
pub(super) struct RepairFile {
    file: Arc<File>,
    layout: PieceLayout,
    /// The pieces that are right. Without any, the file seems to be another one, and is
    /// not changed.
    pieces: PieceSet,
    /// Those of which nothing is known yet.
    unchecked: PieceSet,
    check: Option<PieceCheck>,
    /// Wrong pieces. They are told when the check is done: nothing is written before.
    wrong: Vec<u32>,
}

impl RepairFile {
    /// A file that should have this content. All its pieces are to be checked.
    pub(super) fn new(file: File, content: &ContentInfo) -> Result<(Self, PieceSet), SaveError> {
        check_length(&file, content)?;
        let layout = PieceLayout::new(content.size);
        let all: PieceSet = (0..layout.count() as u32).collect();
        let repair = Self {
            file: Arc::new(file),
            layout,
            pieces: PieceSet::default(),
            unchecked: all.clone(),
            check: None,
            wrong: Vec::new(),
        };
        Ok((repair, all))
    }

    pub(super) fn start_check(
        &mut self,
        pieces: &PieceSet,
        values: &[PieceValue],
    ) -> io::Result<()> {
        let check = PieceCheck::start(Arc::clone(&self.file), self.layout, pieces, values)?;
        self.check = Some(check);
        Ok(())
    }

    pub(super) fn checked_pieces(&mut self) -> Vec<(u32, bool)> {
        let Some(check) = &mut self.check else {
            return Vec::new();
        };
        let mut results = check.results();
        for (index, _) in &results {
            self.unchecked.remove(*index);
        }
        let wrong = results.extract_if(.., |(_, is_right)| !*is_right);
        self.wrong.extend(wrong.map(|(index, _)| index));
        if check.is_done() {
            results.extend(self.wrong.drain(..).map(|index| (index, false)));
        }
        results
    }

    pub(super) fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if self.check.is_none() {
            let text = "no node lists the hashes of its pieces; it was not changed";
            return Err(io::Error::other(text));
        }
        if self.pieces.is_empty() {
            let text = "no piece of it is right, so it may be another file; it was not changed";
            return Err(io::Error::other(text));
        }
        self.file.write_all_at(bytes, offset)
    }

    pub(super) fn record_piece(&mut self, index: u32) {
        self.pieces.insert(index);
    }

    /// What is known of the file.
    pub(super) fn stored_bytes(&self) -> StoredBytes {
        StoredBytes::new(&self.pieces, &self.unchecked, &self.layout)
    }
}

/// Only a file of the same length is repaired.
pub(super) fn check_length(file: &File, content: &ContentInfo) -> Result<(), SaveError> {
    let (length, size) = (file.metadata()?.len(), content.size);
    match length == size {
        true => Ok(()),
        false => Err(SaveError::OtherLength { length, size }),
    }
}
