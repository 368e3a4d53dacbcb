//! The space of a file on its disk. Too little is told before the first byte. It is reserved
//! when the first piece is right: a node that sends nothing of use takes no space.

use std::fs::File;
use std::io;
use std::ops::Range;

use rustix::fs::{FallocateFlags, fallocate, fstatvfs};
use rustix::io::{Errno, retry_on_intr};

use crate::download::save_error::SaveError;
use crate::jobs::PieceSet;
use crate::protocol::PieceLayout;

/// The space of a content that is written in pieces, until it is reserved.
pub(super) struct SpaceReservation {
    layout: PieceLayout,
    /// The pieces of which bytes were written. They keep their holes.
    written: PieceSet,
    is_open: bool,
}

impl SpaceReservation {
    pub(super) fn new(layout: PieceLayout) -> Self {
        Self {
            layout,
            written: PieceSet::default(),
            is_open: false,
        }
    }

    /// The file is a new one: its space is to be reserved.
    pub(super) fn open(&mut self) {
        self.is_open = true;
    }

    pub(super) fn on_write(&mut self, offset: u64) {
        if self.is_open {
            let index = offset / self.layout.piece_size();
            self.written.insert(index as u32);
        }
    }

    /// Reserves the space of all other pieces, where the file system can.
    ///
    /// # Errors
    /// The space is not there: other files may have taken it since the file was opened.
    pub(super) fn reserve(&mut self, file: &File) -> Result<(), SaveError> {
        if !std::mem::take(&mut self.is_open) {
            return Ok(());
        }
        let written = |index: &usize| self.written.contains(*index as u32);
        let others = (0..self.layout.count()).filter(|index| !written(index));
        let mut ranges = others.map(|index| self.layout.range(index));
        let needed = ranges.clone().map(|range| range.end - range.start).sum();
        // Before space is taken that other files could use.
        check_free(file, needed)?;
        ranges
            .try_for_each(|range| reserve(file, range))
            .map_err(SaveError::NotReserved)
    }
}

/// Gives a new file its size.
///
/// # Errors
/// The space is not there, or the file would be too large.
pub(super) fn set_size(file: &File, size: u64) -> Result<(), SaveError> {
    check_free(file, size)?;
    Ok(file.set_len(size)?)
}

/// Looks whether the file system has so many bytes.
fn check_free(file: &File, needed: u64) -> Result<(), SaveError> {
    let system = fstatvfs(file)?;
    let free = system.f_bavail.saturating_mul(system.f_frsize);
    // Some file systems do not know their size.
    match system.f_blocks > 0 && free < needed {
        true => Err(SaveError::NoSpace { needed, free }),
        false => Ok(()),
    }
}

/// Reserves the space of these bytes.
pub(super) fn reserve(file: &File, range: Range<u64>) -> io::Result<()> {
    let length = range.end - range.start;
    match retry_on_intr(|| fallocate(file, FallocateFlags::empty(), range.start, length)) {
        Err(error @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG | Errno::IO)) => Err(error.into()),
        // Not all file systems can reserve space.
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileExt, MetadataExt};

    use super::*;

    #[test]
    fn a_file_that_does_not_fit_is_refused() {
        let file = tempfile::tempfile().expect("a file");
        let too_much = 1 << 60;
        let error = set_size(&file, too_much).expect_err("too large");
        assert!(matches!(error, SaveError::NoSpace { needed, .. } if needed == too_much));
        assert_eq!(file.metadata().expect("a file").len(), 0);
    }

    #[test]
    fn the_space_of_other_pieces_is_reserved_once_a_piece_is_right() {
        let layout = PieceLayout::new(8 * PieceLayout::MIN_PIECE_SIZE);
        let file = tempfile::tempfile().expect("a file");
        set_size(&file, layout.size()).expect("there is room");
        let mut reservation = SpaceReservation::new(layout);
        reservation.open();
        reservation.on_write(3 * PieceLayout::MIN_PIECE_SIZE + 5);
        let allocated = || file.metadata().expect("a file").blocks() * 512;
        file.write_all_at(b"five", 5).expect("written");
        let before = allocated();
        assert!(before <= PieceLayout::MIN_PIECE_SIZE);
        reservation.reserve(&file).expect("there is room");
        let after = allocated();
        // Not all file systems can reserve space.
        assert!(after == before || after >= 7 * PieceLayout::MIN_PIECE_SIZE);
        assert!(after < 8 * PieceLayout::MIN_PIECE_SIZE, "a hole stays");
    }
}
