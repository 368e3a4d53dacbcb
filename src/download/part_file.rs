//! A large content on its way, see [`PartFiles`]. If the download is broken off, the files
//! stay for a later one.

use std::io;
use std::iter;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::io::Errno;

use crate::download::disk_space::{self, SpaceReservation};
use crate::download::part_files::{PartFiles, PartOwner};
use crate::download::part_state::{self, LoadedState};
use crate::download::piece_check::PieceCheck;
use crate::download::save_error::SaveError;
use crate::download::sparse_write;
use crate::download::stored_bytes::StoredBytes;
use crate::download::target_file::TargetFile;
use crate::jobs::{ContentInfo, Opened, PieceSet};
use crate::protocol::{PieceLayout, PieceValue};

/// How often written pieces are synced to the disk. A power cut loses what was written
/// since.
const SYNC_INTERVAL: Duration = Duration::from_secs(2);

/// The most bytes that are synced when the download is broken off. The user would have to
/// wait for more; it is checked by the next download.
const MAX_LAST_SYNC: u64 = 32 * 1024 * 1024;

/// A large file that is being written.
pub(super) struct PartFile {
    pub(super) files: PartFiles,
    layout: PieceLayout,
    reservation: SpaceReservation,
    /// The pieces that are there.
    pieces: PieceSet,
    /// Those that may be there: a download that is broken off before they were checked
    /// keeps them.
    unchecked: PieceSet,
    /// The recorded pieces of which nobody knows whether they are right on the disk.
    doubtful: PieceSet,
    /// The running sync, and the pieces that it brings to the disk.
    sync: Option<(JoinHandle<io::Result<()>>, PieceSet)>,
    /// Whether an operation on the part has failed. The system tells once that it has lost
    /// bytes, of whichever write: later operations succeed without them.
    may_have_lost_bytes: bool,
    last_sync: Instant,
    /// The number of pieces since then.
    since_sync: usize,
    check: Option<PieceCheck>,
}

impl PartFile {
    /// Opens the part file for a content, and says what is in it. With `restart`, what is
    /// in it is deleted.
    pub(super) fn open(
        target: TargetFile,
        content: &ContentInfo,
        restart: bool,
    ) -> Result<(Self, Opened), SaveError> {
        let (files, is_empty) = PartFiles::open(target)?;
        let mut file = Self {
            files,
            layout: PieceLayout::new(content.size),
            reservation: SpaceReservation::new(PieceLayout::new(content.size)),
            pieces: PieceSet::default(),
            unchecked: PieceSet::default(),
            doubtful: PieceSet::default(),
            sync: None,
            may_have_lost_bytes: false,
            last_sync: Instant::now(),
            since_sync: 0,
            check: None,
        };
        let opened = match is_empty || restart {
            true => file.begin(content)?,
            false => file.resume(content)?,
        };
        Ok((file, opened))
    }

    /// Begins an empty part.
    fn begin(&mut self, content: &ContentInfo) -> Result<Opened, SaveError> {
        if self.files.part.metadata()?.len() > 0 {
            self.files.replace()?;
        }
        let owned = self.files.target.set_owner(&self.files.part);
        owned
            .and_then(|()| self.create_state(content, iter::empty()))
            .map_err(SaveError::from)
            .and_then(|()| disk_space::set_size(&self.files.part, content.size))
            .inspect_err(|_| self.files.remove())?;
        self.reservation.open();
        Ok(Opened::Empty)
    }

    /// Continues a part that is not empty.
    fn resume(&mut self, content: &ContentInfo) -> Result<Opened, SaveError> {
        let change = part_state::last_change(&self.files.part)?;
        let is_whole = self.files.part.metadata()?.len() == content.size;
        let part = || self.files.names.part.clone();
        let refusal = || match content.hash {
            Some(_) => SaveError::OtherContent(part()),
            None => SaveError::UnknownContent(part()),
        };
        let (pieces, unchecked) = match part_state::load(&self.files.state, content, &change)? {
            LoadedState::OtherContent => return Err(refusal()),
            LoadedState::Pieces {
                pieces,
                unchecked,
                length,
            } if is_whole => {
                let recorded = pieces.iter().chain(unchecked.iter());
                let PartFiles { state, writer, .. } = &self.files;
                part_state::resume(state, content, writer, recorded, length)?;
                (pieces, unchecked)
            }
            // The system has lost the state. A part of another length is another one.
            LoadedState::Unreadable if content.hash.is_none() || !is_whole => {
                return Err(refusal());
            }
            // The system has lost the state, or a part of the file.
            LoadedState::Pieces { .. } | LoadedState::Unreadable if content.hash.is_some() => {
                let all: PieceSet = (0..self.layout.count() as u32).collect();
                self.files.part.set_len(content.size)?;
                self.create_state(content, all.iter())?;
                (PieceSet::default(), all)
            }
            _ => return self.begin(content),
        };
        (self.pieces, self.unchecked) = (pieces.clone(), unchecked.clone());
        self.doubtful.clone_from(&unchecked);
        Ok(Opened::Part { pieces, unchecked })
    }

    fn create_state(
        &self,
        content: &ContentInfo,
        pieces: impl Iterator<Item = u32>,
    ) -> io::Result<()> {
        part_state::create(&self.files.state, content, &self.files.writer, pieces)
    }

    pub(super) fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.reservation.on_write(offset);
        let result = sparse_write::write_at(&self.files.part, offset, bytes);
        self.on_operation(result)
    }

    /// An operation on the part has ended.
    fn on_operation(&mut self, result: io::Result<()>) -> io::Result<()> {
        self.may_have_lost_bytes |= result.is_err();
        result
    }

    /// A piece was written and is right.
    ///
    /// # Errors
    /// If there is no space for the others, the file is removed: its space is for other files.
    pub(super) fn record_piece(&mut self, index: u32) -> Result<(), SaveError> {
        self.unchecked.remove(index);
        if self.pieces.insert(index) {
            let reserved = self.reservation.reserve(&self.files.part);
            reserved.inspect_err(|_| self.remove())?;
            if self.doubtful.insert(index) {
                part_state::append_piece(&self.files.state, index)?;
            }
            self.since_sync += 1;
            self.start_sync()?;
        }
        Ok(())
    }

    /// See [`PartFiles::open_to_read`].
    pub(super) fn open_to_read(&self) -> io::Result<OwnedFd> {
        self.files.open_to_read()
    }

    /// Starts to check pieces against their values.
    pub(super) fn start_check(
        &mut self,
        pieces: &PieceSet,
        values: &[PieceValue],
    ) -> io::Result<()> {
        let check = PieceCheck::start(Arc::clone(&self.files.part), self.layout, pieces, values)?;
        self.check = Some(check);
        Ok(())
    }

    /// The pieces checked since the last call, and whether each can be read and is right.
    pub(super) fn checked_pieces(&mut self) -> Vec<(u32, bool)> {
        let check = self.check.as_mut();
        let results = check.map_or_else(Vec::new, PieceCheck::results);
        let take = |(index, is_right): (u32, io::Result<bool>)| {
            self.unchecked.remove(index);
            (index, is_right.unwrap_or(false))
        };
        results.into_iter().map(take).collect()
    }

    /// From time to time, syncs both files in another thread.
    fn start_sync(&mut self) -> io::Result<()> {
        if self.is_sync_finished() {
            self.end_sync()?;
        }
        let missing = self.layout.count() - self.pieces.len() as usize;
        // The download is nearly complete: the program would have to wait for the disk.
        let is_ending = missing <= self.since_sync;
        if self.sync.is_some() || is_ending || self.last_sync.elapsed() < SYNC_INTERVAL {
            return Ok(());
        }
        let files = self.files.clone();
        let builder = thread::Builder::new().name("sync".into());
        let thread = builder.spawn(move || files.sync())?;
        self.sync = Some((thread, self.unsynced()));
        (self.last_sync, self.since_sync) = (Instant::now(), 0);
        Ok(())
    }

    fn is_sync_finished(&self) -> bool {
        let sync = self.sync.as_ref();
        sync.is_some_and(|(thread, _)| thread.is_finished())
    }

    /// The pieces that are right, but perhaps not yet on the disk.
    fn unsynced(&self) -> PieceSet {
        let doubtful = self.doubtful.iter();
        doubtful
            .filter(|index| self.pieces.contains(*index))
            .collect()
    }

    /// Waits for the running sync.
    fn end_sync(&mut self) -> io::Result<()> {
        let Some((thread, pieces)) = self.sync.take() else {
            return Ok(());
        };
        let result = thread.join();
        self.on_synced(&pieces, result.unwrap_or_else(|_| Err(Errno::IO.into())))
    }

    /// These pieces are on the disk, unless the sync has failed.
    fn on_synced(&mut self, pieces: &PieceSet, result: io::Result<()>) -> io::Result<()> {
        self.on_operation(result)?;
        for index in pieces.iter() {
            self.doubtful.remove(index);
        }
        Ok(())
    }

    /// Says in the state what is known of the part, so that the next download need not
    /// check all of it.
    ///
    /// # Errors
    /// The system has lost bytes, or may have. Nothing is said of the part.
    fn close(&mut self) -> io::Result<()> {
        let unsynced = self.unsynced();
        let is_little = unsynced.bytes(&self.layout) <= MAX_LAST_SYNC;
        if is_little || self.is_sync_finished() {
            self.end_sync()?;
        }
        if is_little {
            self.on_synced(&unsynced, self.files.part.sync_data())?;
        }
        self.on_operation(self.files.check_close())?;
        if self.may_have_lost_bytes {
            return Err(Errno::IO.into());
        }
        let change = part_state::set_mtime_back(&self.files.part)?;
        part_state::append_close(&self.files.state, &self.doubtful, &change)
    }

    /// The content is complete.
    pub(super) fn commit(&mut self, content: &ContentInfo) -> io::Result<()> {
        // Without what was not written, the file has another length.
        self.on_operation(self.files.check_close())?;
        if self.is_sync_finished() {
            self.end_sync()?;
        }
        self.files.install(content)
    }

    /// Removes both files, unless another download has them.
    pub(super) fn remove(&self) {
        if !self.has_lost_files() {
            self.files.remove();
        }
    }

    /// Whether another download has the files, or they are gone.
    fn has_lost_files(&self) -> bool {
        matches!(self.files.owner(), Ok(PartOwner::Other | PartOwner::None))
    }

    /// Leaves both files for a later download, and says what is in them. None if they were
    /// removed because they hold no piece, or because the part has lost its name, or if
    /// another download has them.
    pub(super) fn keep(mut self) -> Option<StoredBytes> {
        if self.has_lost_files() {
            return None;
        }
        if self.files.is_lost() || (self.pieces.is_empty() && self.unchecked.is_empty()) {
            self.remove();
            return None;
        }
        if let Err(error) = self.close() {
            log::debug!(
                "{}: all of it will be checked: {error}",
                self.files.names.part.display()
            );
            for index in std::mem::take(&mut self.pieces).iter() {
                self.unchecked.insert(index);
            }
        }
        Some(StoredBytes::new(
            &self.pieces,
            &self.unchecked,
            &self.layout,
        ))
    }
}

impl Drop for PartFile {
    fn drop(&mut self) {
        self.files.unlock();
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::mem;

    use super::*;
    use crate::download::resume_tests::{Fixture, PIECE, part, stored_bytes};

    #[test]
    fn pieces_of_a_part_whose_sync_has_failed_are_checked() {
        let fixture = Fixture::new();
        fixture.break_off(&[0]);
        let mut file = fixture.open_part(&fixture.content).0;
        file.record_piece(1).expect("recorded");
        // A pipe cannot be synced.
        let (_reader, pipe) = io::pipe().expect("a pipe");
        let pipe = File::from(OwnedFd::from(pipe));
        let thread = thread::spawn(move || pipe.sync_data());
        file.sync = Some((thread, file.unsynced()));
        while !file.is_sync_finished() {
            thread::yield_now();
        }
        assert!(file.record_piece(2).is_err());
        // A sync would succeed now.
        file.keep();
        assert_eq!(fixture.open().1, part(&[], &[0, 1, 2]));
    }

    #[test]
    fn pieces_of_a_part_with_a_failed_write_are_checked() {
        let fixture = Fixture::new();
        fixture.break_off(&[0, 1]);
        let mut file = fixture.open_part(&fixture.content).0;
        let path = fixture.folder.path().join(".file.part");
        let read_only = Arc::new(File::open(path).expect("a file"));
        let part_file = mem::replace(&mut file.files.part, read_only);
        file.write_at(0, b"bytes")
            .expect_err("it cannot be written");
        file.files.part = part_file;
        assert_eq!(file.keep(), Some(stored_bytes(0, 2 * PIECE)));
        assert_eq!(fixture.open().1, part(&[], &[0, 1]));
    }
}
