//! A large content on its way: the part file gets the bytes, and the state file says
//! which pieces are there. If the download is broken off, both stay for a later one.

use std::ffi::OsStr;
use std::fs::{File, TryLockError};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::download::disk_space::{self, SpaceReservation};
use crate::download::part_names::PartNames;
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

/// How often the part file may vanish while it is opened, because another program has
/// completed it.
const MAX_TRIES: u32 = 3;

/// A large file that is being written.
pub(super) struct PartFile {
    target: TargetFile,
    names: PartNames,
    /// Both files are locked as long as the part file is in use.
    part: Arc<File>,
    state: Arc<File>,
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
    has_sync_failed: bool,
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
        let names = PartNames::new(&target.name);
        let part = open_locked(&target, &names.part)?;
        let is_empty = part.metadata()?.len() == 0;
        let mut flags = OFlags::RDWR | OFlags::APPEND;
        flags.set(OFlags::CREATE, is_empty);
        let state = match target.open(&names.state, flags) {
            Err(error) if !is_empty && error.kind() == io::ErrorKind::NotFound => {
                return Err(SaveError::UnknownPart(names.part));
            }
            state => state.inspect_err(|_| remove_empty(&target, &names, &part))?,
        };
        if !lock(&target, &names.state, &state).unwrap_or(false) {
            // Another program has completed this file, and is about to remove its state.
            remove_empty(&target, &names, &part);
            return Err(SaveError::InUse);
        }
        let mut file = Self {
            target,
            names,
            part: Arc::new(part),
            state: Arc::new(state),
            layout: PieceLayout::new(content.size),
            reservation: SpaceReservation::new(PieceLayout::new(content.size)),
            pieces: PieceSet::default(),
            unchecked: PieceSet::default(),
            doubtful: PieceSet::default(),
            sync: None,
            has_sync_failed: false,
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
        self.part.set_len(0)?;
        let owned = self.target.set_owner(&self.part);
        owned
            .and_then(|()| part_state::create(&self.state, content, &PieceSet::default()))
            .map_err(SaveError::from)
            .and_then(|()| disk_space::set_size(&self.part, content.size))
            .inspect_err(|_| self.remove())?;
        self.reservation.open();
        Ok(Opened::Empty)
    }

    /// Continues a part that is not empty.
    fn resume(&mut self, content: &ContentInfo) -> Result<Opened, SaveError> {
        let change = part_state::last_change(&self.part)?;
        let is_whole = self.part.metadata()?.len() == content.size;
        let part = || self.names.part.clone();
        let refusal = || match content.hash {
            Some(_) => SaveError::OtherContent(part()),
            None => SaveError::UnknownContent(part()),
        };
        let (pieces, unchecked) = match part_state::load(&self.state, content, &change)? {
            LoadedState::OtherContent => return Err(refusal()),
            LoadedState::Pieces { pieces, unchecked } if is_whole => (pieces, unchecked),
            // The system has lost the state. A part of another length is another one.
            LoadedState::Unreadable if content.hash.is_none() || !is_whole => {
                return Err(refusal());
            }
            // The system has lost the state, or a part of the file.
            LoadedState::Pieces { .. } | LoadedState::Unreadable if content.hash.is_some() => {
                let all: PieceSet = (0..self.layout.count() as u32).collect();
                part_state::create(&self.state, content, &all)?;
                self.part.set_len(content.size)?;
                (PieceSet::default(), all)
            }
            _ => return self.begin(content),
        };
        (self.pieces, self.unchecked) = (pieces.clone(), unchecked.clone());
        self.doubtful.clone_from(&unchecked);
        Ok(Opened::Part { pieces, unchecked })
    }

    pub(super) fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.reservation.on_write(offset);
        sparse_write::write_at(&self.part, offset, bytes)
    }

    /// A piece was written and is right.
    ///
    /// # Errors
    /// If there is no space for the others, the file is removed: its space is for other files.
    pub(super) fn record_piece(&mut self, index: u32) -> Result<(), SaveError> {
        self.unchecked.remove(index);
        if self.pieces.insert(index) {
            let reserved = self.reservation.reserve(&self.part);
            reserved.inspect_err(|_| self.remove())?;
            if self.doubtful.insert(index) {
                part_state::append_piece(&self.state, index)?;
            }
            self.since_sync += 1;
            self.start_sync()?;
        }
        Ok(())
    }

    /// Another descriptor of the file.
    pub(super) fn descriptor(&self) -> io::Result<OwnedFd> {
        Ok(self.part.try_clone()?.into())
    }

    /// Starts to check pieces against their values.
    pub(super) fn start_check(
        &mut self,
        pieces: &PieceSet,
        values: &[PieceValue],
    ) -> io::Result<()> {
        let check = PieceCheck::start(Arc::clone(&self.part), self.layout, pieces, values)?;
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
        let (part, state) = (Arc::clone(&self.part), Arc::clone(&self.state));
        let sync = move || {
            part.sync_data()?;
            state.sync_data()
        };
        let thread = thread::Builder::new().name("sync".into()).spawn(sync)?;
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
        match result {
            Ok(()) => {
                for index in pieces.iter() {
                    self.doubtful.remove(index);
                }
            }
            // The kernel tells an error once. Later syncs succeed without what was lost.
            Err(_) => self.has_sync_failed = true,
        }
        result
    }

    /// Says in the state what is known of the part, so that the next download need not
    /// check all of it.
    fn close(&mut self) -> io::Result<()> {
        let unsynced = self.unsynced();
        let is_little = unsynced.bytes(&self.layout) <= MAX_LAST_SYNC;
        if is_little || self.is_sync_finished() {
            self.end_sync()?;
        }
        if is_little && !self.has_sync_failed {
            self.on_synced(&unsynced, self.part.sync_data())?;
        }
        let change = part_state::set_mtime_back(&self.part)?;
        part_state::append_close(&self.state, &self.doubtful, &change)
    }

    /// The content is complete.
    pub(super) fn commit(&mut self, content: &ContentInfo) -> io::Result<()> {
        if self.is_sync_finished() {
            self.end_sync()?;
        }
        self.target.install(&self.part, &self.names.part, content)?;
        self.target.remove(&self.names.state, &self.state);
        Ok(())
    }

    /// Removes both files.
    pub(super) fn remove(&self) {
        self.target.remove(&self.names.part, &self.part);
        self.target.remove(&self.names.state, &self.state);
    }

    /// Leaves both files for a later download, and says what is in them. None if they were
    /// removed because they hold no piece, or because the part has lost its name.
    pub(super) fn keep(mut self) -> Option<StoredBytes> {
        let is_lost = matches!(self.target.has(&self.names.part, &self.part), Ok(false));
        if is_lost || (self.pieces.is_empty() && self.unchecked.is_empty()) {
            self.remove();
            return None;
        }
        if let Err(error) = self.close() {
            log::debug!(
                "{}: all of it will be checked: {error}",
                self.names.part.display()
            );
        }
        Some(StoredBytes::new(
            &self.pieces,
            &self.unchecked,
            &self.layout,
        ))
    }
}

impl Drop for PartFile {
    /// Threads that sync or check the files may still have them open. The next download
    /// need not wait for their end.
    fn drop(&mut self) {
        for file in [&self.part, &self.state] {
            // Some file systems have no locks.
            let _ = file.unlock();
        }
    }
}

/// Opens the part file, and locks it.
fn open_locked(target: &TargetFile, name: &OsStr) -> Result<File, SaveError> {
    for _ in 0..MAX_TRIES {
        let file = match target.create(name) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                match target.open(name, OFlags::RDWR) {
                    Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                    Err(error) if Errno::from_io_error(&error) == Some(Errno::LOOP) => {
                        return Err(SaveError::UnknownPart(name.to_owned()));
                    }
                    file => file?,
                }
            }
            file => file?,
        };
        if !file.metadata()?.is_file() {
            return Err(SaveError::UnknownPart(name.to_owned()));
        }
        if lock(target, name, &file)? {
            return Ok(file);
        }
    }
    Err(SaveError::InUse)
}

/// Removes a part file in which there is nothing.
fn remove_empty(target: &TargetFile, names: &PartNames, part: &File) {
    if part.metadata().is_ok_and(|part| part.len() == 0) {
        target.remove(&names.part, part);
    }
}

/// Locks a file. Returns whether `name` is still its name: another program that has
/// completed its download renames the part, and removes the state, before it unlocks them.
fn lock(target: &TargetFile, name: &OsStr, file: &File) -> Result<bool, SaveError> {
    // Some file systems have no locks.
    if let Err(TryLockError::WouldBlock) = file.try_lock() {
        return Err(SaveError::InUse);
    }
    Ok(target.has(name, file)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::download::resume_tests::{Fixture, part};
    use crate::download::save_folder::SaveFolder;

    #[test]
    fn pieces_whose_sync_has_failed_are_checked() {
        let fixture = Fixture::new();
        fixture.break_off(&[0]);
        let folder = OwnedFd::from(File::open(fixture.folder.path()).expect("a folder"));
        let target = TargetFile::absent(Arc::new(SaveFolder::from(folder)), "file".as_ref());
        let (mut file, opened) = PartFile::open(target, &fixture.content, false)
            .unwrap_or_else(|_| panic!("it can be opened"));
        assert_eq!(opened, part(&[0], &[]));
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
        assert_eq!(fixture.open().1, part(&[0], &[1, 2]));
    }
}
