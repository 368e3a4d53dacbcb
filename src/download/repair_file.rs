//! A file of the user whose pieces are checked. Only wrong ones are written, in place.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use rustix::io::Errno;

use crate::download::piece_check::PieceCheck;
use crate::download::repair_error::RepairError;
use crate::download::save_error::SaveError;
use crate::download::stored_bytes::StoredBytes;
use crate::jobs::{ContentInfo, PieceSet};
use crate::protocol::{FileName, PieceLayout, PieceValue};
use crate::system_error::check_close;

/// The longest pieces, each of which waits in memory until it is checked: those of a file of
/// 1 TiB.
const MAX_PIECE_SIZE: u64 = 64 * 1024 * 1024;

/// A file that is being repaired.
pub(super) struct RepairFile {
    file: Arc<File>,
    /// Why the file is open for reading only, if it is.
    write_error: Option<Errno>,
    /// The name of the content.
    name: FileName<'static>,
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
    /// Whether it must not be changed.
    is_refused: bool,
}

impl RepairFile {
    /// A file that should have this content of several pieces. All of them are to be checked;
    /// those of a shorter file that are missing are wrong.
    pub(super) fn new(
        file: File,
        write_error: Option<Errno>,
        name: &FileName<'_>,
        content: &ContentInfo,
    ) -> Result<(Self, PieceSet), SaveError> {
        check_regular(&file)?;
        let layout = PieceLayout::new(content.size);
        if layout.piece_size() > MAX_PIECE_SIZE {
            return Err(RepairError::TooLarge(name.clone().into_owned()).into());
        }
        let all: PieceSet = (0..layout.count() as u32).collect();
        let repair = Self {
            file: Arc::new(file),
            write_error,
            name: name.clone().into_owned(),
            layout,
            pieces: PieceSet::default(),
            unchecked: all.clone(),
            check: None,
            values: Vec::new(),
            wrong: Vec::new(),
            is_refused: false,
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

    /// # Errors
    /// The file cannot be read: nothing is known of its pieces.
    pub(super) fn checked_pieces(&mut self) -> Result<Vec<(u32, bool)>, SaveError> {
        let Some(check) = &mut self.check else {
            return Ok(Vec::new());
        };
        let results = check.results().into_iter();
        let results = results.map(|(index, is_right)| Ok((index, is_right?)));
        let results: io::Result<Vec<_>> = results.collect();
        self.is_refused |= results.is_err();
        let mut results = results.map_err(SaveError::Unreadable)?;
        for (index, _) in &results {
            self.unchecked.remove(*index);
        }
        let wrong = results.extract_if(.., |(_, is_right)| !*is_right);
        self.wrong.extend(wrong.map(|(index, _)| index));
        if check.is_done() {
            results.extend(self.wrong.drain(..).map(|index| (index, false)));
        }
        Ok(results)
    }

    /// Writes a whole piece, if it is right: what a node sends must not replace better bytes.
    pub(super) fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), SaveError> {
        let checked = match &self.check {
            None => Err(RepairError::NoPieces.into()),
            Some(_) if self.pieces.is_empty() => {
                Err(RepairError::Different(self.name.clone()).into())
            }
            Some(_) if !self.is_right_piece(offset, bytes) => Err(RepairError::WrongPiece.into()),
            Some(_) => match self.write_error {
                Some(error) => Err(error.into()),
                None => self.check_end(),
            },
        };
        self.is_refused |= checked.is_err();
        checked?;
        Ok(self.file.write_all_at(bytes, offset)?)
    }

    /// The end of a longer file may be the user's: a log has grown since it was fetched.
    pub(super) fn check_end(&self) -> Result<(), SaveError> {
        let (length, size) = (self.file.metadata()?.len(), self.layout.size());
        match length > size {
            true => Err(RepairError::TooLong { length, size }.into()),
            false => Ok(()),
        }
    }

    /// Whether all pieces were written.
    pub(super) fn check_close(&self) -> io::Result<()> {
        check_close(&self.file)
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

    /// What is known of the file, if a later job can go on.
    pub(super) fn stored_bytes(&self) -> Option<StoredBytes> {
        let bytes = StoredBytes::new(&self.pieces, &self.unchecked, &self.layout);
        (!self.is_refused).then_some(bytes)
    }
}

/// A folder or a FIFO has no content to compare. Returns the length of a file.
pub(super) fn check_regular(file: &File) -> Result<u64, SaveError> {
    let metadata = file.metadata()?;
    let is_folder = metadata.is_dir();
    match metadata.is_file() {
        true => Ok(metadata.len()),
        false => Err(RepairError::OtherType { is_folder }.into()),
    }
}

/// A file of one piece that has another length is another file.
pub(super) fn check_length(
    file: &File,
    name: &FileName<'_>,
    content: &ContentInfo,
) -> Result<(), SaveError> {
    let (length, size) = (check_regular(file)?, content.size);
    match length == size {
        true => Ok(()),
        false => Err(RepairError::OtherLength {
            name: name.clone().into_owned(),
            length,
            size,
        }
        .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::ContentHash;

    const PIECE: usize = PieceLayout::MIN_PIECE_SIZE as usize;

    fn name() -> FileName<'static> {
        FileName::parse("a").expect("a name")
    }

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
        let (mut repair, all) =
            RepairFile::new(file, None, &name(), &content(layout.size())).expect("opened");
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
        let file = Arc::clone(&repair.file);
        let read = || {
            let mut read = vec![0; 2 * PIECE];
            file.read_exact_at(&mut read, 0).expect("read");
            read
        };
        assert!(read() == damaged);
        repair.write_at(start, &bytes[..PIECE]).expect("written");
        assert!(read() == bytes);
    }

    #[test]
    fn what_cannot_be_read_is_not_repaired() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let content = content(2 * PIECE as u64);
        file.as_file().set_len(content.size).expect("a length");
        let write_only = File::options().write(true).open(file.path());
        let (mut repair, all) =
            RepairFile::new(write_only.expect("a file"), None, &name(), &content).expect("opened");
        let values = [PieceValue([0; 32]); 2];
        repair.start_check(&all, &values).expect("started");
        let error = loop {
            match repair.checked_pieces() {
                Ok(results) => assert_eq!(results, []),
                Err(error) => break error,
            }
            std::thread::yield_now();
        };
        assert!(matches!(error, SaveError::Unreadable(_)), "{error:?}");
        assert_eq!(repair.stored_bytes(), None);
    }

    #[test]
    fn a_file_with_pieces_that_are_too_long_for_memory_is_refused() {
        let size = MAX_PIECE_SIZE * PieceLayout::MAX_PIECES as u64;
        for (size, is_refused) in [(size, false), (size + 1, true)] {
            let file = tempfile::tempfile().expect("a file");
            file.set_len(size).expect("a sparse file");
            let opened = RepairFile::new(file, None, &name(), &content(size));
            let refused = matches!(opened, Err(SaveError::Repair(RepairError::TooLarge(_))));
            assert_eq!(refused, is_refused, "{size}");
        }
    }
}
