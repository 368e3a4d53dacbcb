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

/// The longest pieces, each of which waits in memory until it is checked: those of a file of
/// 1 TiB.
const MAX_PIECE_SIZE: u64 = 64 * 1024 * 1024;

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
    /// What all pieces must be.
    values: Vec<PieceValue>,
    /// Wrong pieces. They are told when the check is done: nothing is written before.
    wrong: Vec<u32>,
}

impl RepairFile {
    /// A file that should have this content. All its pieces are to be checked.
    pub(super) fn new(file: File, content: &ContentInfo) -> Result<(Self, PieceSet), SaveError> {
        check_length(&file, content)?;
        let layout = PieceLayout::new(content.size);
        if layout.piece_size() > MAX_PIECE_SIZE {
            return Err(SaveError::TooLarge);
        }
        let all: PieceSet = (0..layout.count() as u32).collect();
        let repair = Self {
            file: Arc::new(file),
            layout,
            pieces: PieceSet::default(),
            unchecked: all.clone(),
            check: None,
            values: Vec::new(),
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
        self.values = values.to_vec();
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

    /// Writes a whole piece, if it is right: what a node sends must not replace better bytes.
    pub(super) fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if self.check.is_none() {
            let text = "no node lists the hashes of its pieces; it was not changed";
            return Err(io::Error::other(text));
        }
        if self.pieces.is_empty() {
            let text = "no piece of it is right, so it may be another file; it was not changed";
            return Err(io::Error::other(text));
        }
        if !self.is_right_piece(offset, bytes) {
            let text = "a piece for it is not right; it was not changed";
            return Err(io::Error::other(text));
        }
        self.file.write_all_at(bytes, offset)
    }

    fn is_right_piece(&self, offset: u64, bytes: &[u8]) -> bool {
        let index = (offset / self.layout.piece_size()) as usize;
        let Some(value) = self.values.get(index) else {
            return false;
        };
        let mut hasher = self.layout.hasher(index);
        hasher.update(bytes);
        self.layout.range(index).start == offset && hasher.value() == Some(*value)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::ContentHash;

    const PIECE: usize = PieceLayout::MIN_PIECE_SIZE as usize;

    fn content(size: u64) -> ContentInfo {
        ContentInfo::new(size, Some(ContentHash([0; 32])))
    }

    #[test]
    fn only_whole_right_pieces_are_written() {
        let bytes = vec![7; 2 * PIECE];
        let layout = PieceLayout::new(bytes.len() as u64);
        let value = |index| {
            let mut hasher = layout.hasher(index);
            hasher.update(&bytes[..PIECE]);
            hasher.value().expect("a whole piece")
        };
        let values = [value(0), value(1)];
        let file = tempfile::tempfile().expect("a file");
        let damaged = [&bytes[..PIECE], &vec![8; PIECE]].concat();
        file.write_all_at(&damaged, 0).expect("written");
        let (mut repair, all) = RepairFile::new(file, &content(layout.size())).expect("opened");
        repair.start_check(&all, &values).expect("started");
        repair.record_piece(0);
        let start = PIECE as u64;
        let wrong = [&bytes[1..PIECE], b"!"].concat();
        for (offset, part) in [
            (start, &wrong[..]),
            (start, &bytes[..9]),
            (start - 1, &bytes[..PIECE]),
            (2 * start, &bytes[..PIECE]),
        ] {
            repair.write_at(offset, part).expect_err("refused");
        }
        let read = || {
            let mut read = vec![0; 2 * PIECE];
            repair.file.read_exact_at(&mut read, 0).expect("read");
            read
        };
        assert!(read() == damaged);
        repair.write_at(start, &bytes[..PIECE]).expect("written");
        assert!(read() == bytes);
    }

    #[test]
    fn a_file_with_pieces_that_are_too_long_for_memory_is_refused() {
        let size = MAX_PIECE_SIZE * PieceLayout::MAX_PIECES as u64;
        for (size, is_refused) in [(size, false), (size + 1, true)] {
            let file = tempfile::tempfile().expect("a file");
            file.set_len(size).expect("a sparse file");
            let opened = RepairFile::new(file, &content(size));
            let refused = matches!(opened, Err(SaveError::TooLarge));
            assert_eq!(refused, is_refused, "{size}");
        }
    }
}
