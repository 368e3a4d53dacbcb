//! The two files of a large content on its way: the part gets the bytes, and the state says
//! which pieces are there. Both are locked as long as they are in use.

use std::ffi::OsStr;
use std::fs::{File, TryLockError};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::download::part_names::PartNames;
use crate::download::save_error::SaveError;
use crate::download::target_file::TargetFile;
use crate::jobs::ContentInfo;

/// How often the part may vanish while it is opened, because another program has completed
/// it.
const MAX_TRIES: u32 = 3;

/// The open files.
pub(super) struct PartFiles {
    pub(super) target: TargetFile,
    pub(super) names: PartNames,
    pub(super) part: Arc<File>,
    pub(super) state: Arc<File>,
}

impl PartFiles {
    /// Opens the files for a target, or creates them. Returns whether the part is empty, too.
    pub(super) fn open(target: TargetFile) -> Result<(Self, bool), SaveError> {
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
        let files = Self {
            target,
            names,
            part: Arc::new(part),
            state: Arc::new(state),
        };
        Ok((files, is_empty))
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
}

impl Drop for PartFiles {
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
