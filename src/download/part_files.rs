//! The two files of a large content on its way: the part gets the bytes, and the state says
//! which pieces are there. Both are locked as long as they are in use.
//!
//! Some file systems do not pass locks on to other machines, or have none. There, the download
//! that has opened the files last has them, by its token in the state. Others look for their
//! own token before they sync, close or name a part, and then leave it alone.

use std::ffi::OsStr;
use std::fs::{File, TryLockError};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::download::part_names::PartNames;
use crate::download::part_state;
use crate::download::save_error::SaveError;
use crate::download::target_file::TargetFile;
use crate::jobs::ContentInfo;

/// How often the part may vanish while it is opened, because another program has completed
/// it.
const MAX_TRIES: u32 = 3;

/// The open files.
#[derive(Clone)]
pub(super) struct PartFiles {
    pub(super) target: TargetFile,
    pub(super) names: PartNames,
    pub(super) part: Arc<File>,
    pub(super) state: Arc<File>,
    /// The token of this download.
    pub(super) writer: String,
}

/// Which download has the two files.
pub(super) enum PartOwner {
    This,
    /// One that has opened them since.
    Other,
    /// None: the files are gone.
    None,
}

impl PartFiles {
    /// Opens the files for a target, or creates them. Returns whether the part is empty, too.
    pub(super) fn open(target: TargetFile) -> Result<(Self, bool), SaveError> {
        let names = PartNames::new(&target.name);
        let (part, state, is_empty) = open_files(&target, &names)?;
        let files = Self {
            target,
            names,
            part: Arc::new(part),
            state: Arc::new(state),
            writer: format!("{:032x}", fastrand::u128(..)),
        };
        Ok((files, is_empty))
    }

    /// Replaces both files by empty ones: a download on another machine whose lock is not seen
    /// may still write the old ones.
    pub(super) fn replace(&mut self) -> Result<(), SaveError> {
        self.remove();
        let (part, state, is_empty) = open_files(&self.target, &self.names)?;
        if !is_empty {
            return Err(SaveError::InUse);
        }
        (self.part, self.state) = (Arc::new(part), Arc::new(state));
        Ok(())
    }

    /// Which download has the files. Without a state, the part tells.
    pub(super) fn owner(&self) -> io::Result<PartOwner> {
        let owner = match self.target.open(&self.names.state, OFlags::RDONLY) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                match self.target.has(&self.names.part, &self.part)? {
                    true => PartOwner::This,
                    false => PartOwner::None,
                }
            }
            state => match part_state::writer(&state?)?.as_ref() == Some(&self.writer) {
                true => PartOwner::This,
                false => PartOwner::Other,
            },
        };
        Ok(owner)
    }

    fn check_owner(&self) -> io::Result<()> {
        match self.owner()? {
            PartOwner::This => Ok(()),
            PartOwner::Other => Err(io::Error::other("another program is writing this file")),
            PartOwner::None => Err(self.target.lost_error()),
        }
    }

    /// Brings both files to the disk.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.check_owner()?;
        self.part.sync_data()?;
        self.state.sync_data()
    }

    /// Opens the part for somebody who reads it. A duplicate of the descriptor that writes
    /// would take its error when it is closed, see [`check_close`].
    ///
    /// [`check_close`]: crate::system_error::check_close
    pub(super) fn open_to_read(&self) -> io::Result<OwnedFd> {
        let file = self.target.open(&self.names.part, OFlags::RDONLY)?;
        match self.target.has(&self.names.part, &self.part)? {
            true => Ok(file.into()),
            false => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Whether all bytes have arrived, as far as the file system says so.
    pub(super) fn check_close(&self) -> io::Result<()> {
        self.target.check_close(&self.part)
    }

    /// Gives the complete part the name of the target, and removes the state.
    pub(super) fn install(&self, content: &ContentInfo) -> io::Result<()> {
        self.check_owner()?;
        self.target.install(&self.part, &self.names.part, content)?;
        self.target.remove(&self.names.state, &self.state);
        Ok(())
    }

    /// Whether the part has its name no longer.
    pub(super) fn is_lost(&self) -> bool {
        matches!(self.target.has(&self.names.part, &self.part), Ok(false))
    }

    /// Removes both files.
    pub(super) fn remove(&self) {
        self.target.remove(&self.names.part, &self.part);
        self.target.remove(&self.names.state, &self.state);
    }

    /// Threads that sync or check the files may still have them open. The next download need
    /// not wait for their end.
    pub(super) fn unlock(&self) {
        for file in [&self.part, &self.state] {
            // Some file systems have no locks.
            let _ = file.unlock();
        }
    }
}

/// Opens and locks both files. Returns whether the part is empty, too.
fn open_files(target: &TargetFile, names: &PartNames) -> Result<(File, File, bool), SaveError> {
    let part = open_locked(target, &names.part)?;
    let is_empty = part.metadata()?.len() == 0;
    let mut flags = OFlags::RDWR | OFlags::APPEND;
    flags.set(OFlags::CREATE, is_empty);
    let state = match target.open(&names.state, flags) {
        Err(error) if !is_empty && error.kind() == io::ErrorKind::NotFound => {
            return Err(SaveError::UnknownPart(names.part.clone()));
        }
        state => state.inspect_err(|_| remove_empty(target, names, &part))?,
    };
    if !lock(target, &names.state, &state).unwrap_or(false) {
        // Another program has completed this file, and is about to remove its state.
        remove_empty(target, names, &part);
        return Err(SaveError::InUse);
    }
    Ok((part, state, is_empty))
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
    use std::fs;

    use crate::download::part_file::PartFile;
    use crate::download::resume_tests::{Fixture, part};
    use crate::jobs::Opened;
    use crate::protocol::ContentHash;

    /// A download whose lock others do not see.
    fn open_without_lock(fixture: &Fixture) -> PartFile {
        let file = fixture.open_part(&fixture.content).0;
        file.files.unlock();
        file
    }

    #[track_caller]
    fn assert_taken_over(fixture: &Fixture, mut file: PartFile) {
        let files = fixture.names();
        let error = file.commit(&fixture.content).expect_err("taken over");
        assert_eq!(error.to_string(), "another program is writing this file");
        assert!(file.files.sync().is_err());
        assert_eq!(file.keep(), None);
        assert_eq!(fixture.names(), files);
    }

    /// Writes and records all pieces.
    fn write_all(file: &mut PartFile, fixture: &Fixture) {
        file.write_at(0, &fixture.bytes).expect("written");
        for index in 0..4 {
            file.record_piece(index).expect("recorded");
        }
    }

    /// Regression: another program was said to write the file.
    #[test]
    fn a_download_whose_state_is_removed_is_completed() {
        let fixture = Fixture::new();
        let mut file = fixture.open_part(&fixture.content).0;
        write_all(&mut file, &fixture);
        fs::remove_file(fixture.folder.path().join(".file.part.state")).expect("a file");
        file.commit(&fixture.content).expect("completed");
        assert_eq!(fixture.names(), ["file"]);
    }

    /// Regression: another program was said to write the file.
    #[test]
    fn a_part_that_is_gone_is_reported() {
        for (is_folder_gone, reason) in [
            (
                false,
                "another program has moved, replaced or deleted its unfinished file",
            ),
            (true, "its folder was deleted during the download"),
        ] {
            let fixture = Fixture::new();
            let mut file = fixture.open_part(&fixture.content).0;
            write_all(&mut file, &fixture);
            let folder = fixture.folder.path();
            for name in fixture.names() {
                fs::remove_file(folder.join(name)).expect("a file");
            }
            if is_folder_gone {
                fs::remove_dir(folder).expect("it is empty");
            }
            for result in [file.commit(&fixture.content), file.files.sync()] {
                assert_eq!(result.expect_err("it is gone").to_string(), reason);
            }
            assert_eq!(file.keep(), None);
        }
    }

    #[test]
    fn without_locks_the_download_that_was_opened_last_gets_the_part() {
        let fixture = Fixture::new();
        let mut first = open_without_lock(&fixture);
        // No piece was recorded, so the second one may get another content.
        let mut other = fixture.content.clone();
        other.hash = Some(ContentHash([7; 32]));
        let bytes = vec![1; fixture.bytes.len()];
        let (mut second, opened) = fixture.open_part(&other);
        assert_eq!(opened, Opened::Empty);
        second.write_at(0, &bytes).expect("written");
        second.record_piece(0).expect("recorded");
        write_all(&mut first, &fixture);
        assert_taken_over(&fixture, first);
        second.commit(&other).expect("complete");
        let saved = fs::read(fixture.folder.path().join("file"));
        assert!(saved.expect("a file") == bytes);
    }

    #[test]
    fn without_locks_a_part_that_another_download_has_continued_is_left_alone() {
        for pieces in [&[][..], &[1]] {
            let fixture = Fixture::new();
            let mut first = open_without_lock(&fixture);
            for index in pieces {
                first.record_piece(*index).expect("recorded");
            }
            // As by SIGKILL.
            drop(fixture.open_part(&fixture.content));
            write_all(&mut first, &fixture);
            assert_taken_over(&fixture, first);
            let opened = match pieces.is_empty() {
                true => Opened::Empty,
                // What the first one has recorded meanwhile is there.
                false => part(&[], &[0, 1, 2, 3]),
            };
            assert_eq!(fixture.open().1, opened);
        }
    }
}
