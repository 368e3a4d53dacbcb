//! The place for fetched content that the user named, and the outputs open there.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::download::Printer;
use crate::download::output_file::OutputFile;
use crate::jobs::{JobId, Opened, StoreError};
use crate::protocol::FileName;
use crate::system_error::Reason;

/// A file or folder to save into.
#[derive(Clone, Debug)]
pub enum Target {
    /// This file.
    File(PathBuf),
    /// A file of the content's name below this folder.
    Folder(PathBuf),
    /// The same for a folder that a node shares.
    Share(PathBuf),
}

/// Where the content of files goes.
pub enum Destination {
    /// To stdout, one file at a time.
    Print(Printer),
    /// Into files.
    Save {
        /// The file or folder.
        target: Target,
        /// Whether an existing file may be replaced.
        replace: bool,
        /// The files that are being written.
        open: BTreeMap<JobId, OutputFile>,
    },
}

impl Destination {
    /// Saves to `target`.
    #[must_use]
    pub fn save(target: Target, replace: bool) -> Self {
        Self::Save {
            target,
            replace,
            open: BTreeMap::new(),
        }
    }

    /// Opens an output for the content of `name`.
    pub(crate) fn open(&mut self, job: JobId, name: &FileName<'_>) -> Result<Opened, StoreError> {
        match self {
            Self::Print(printer) => {
                printer.open();
                Ok(Opened::InOrder)
            }
            Self::Save {
                target,
                replace,
                open,
            } => {
                let file = target.open(name, *replace)?;
                let opened = match file.is_seekable() {
                    true => Opened::Empty,
                    false => Opened::InOrder,
                };
                open.insert(job, file);
                Ok(opened)
            }
        }
    }

    /// Writes a part of the content.
    pub(crate) fn write_at(
        &mut self,
        job: JobId,
        offset: u64,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        match self {
            Self::Print(printer) => printer.write(bytes),
            Self::Save { target, open, .. } => match open.get_mut(&job) {
                Some(file) => {
                    let result = file.write_at(offset, bytes);
                    result.map_err(|error| target.error(&file.path, &error))
                }
                None => Ok(()),
            },
        }
    }

    /// The file that a job writes.
    pub(crate) fn path(&self, job: JobId) -> Option<PathBuf> {
        match self {
            Self::Print(_) => None,
            Self::Save { open, .. } => Some(open.get(&job)?.path.clone()),
        }
    }

    /// The content is complete.
    pub(crate) fn commit(&mut self, job: JobId) -> Result<(), StoreError> {
        match self {
            Self::Print(printer) => printer.commit(),
            Self::Save { target, open, .. } => match open.remove(&job) {
                Some(file) => {
                    let path = file.path.clone();
                    file.commit().map_err(|error| target.error(&path, &error))
                }
                None => Ok(()),
            },
        }
    }

    /// The content stays incomplete. Returns how many of its bytes were printed or
    /// written to a device: another attempt must not write them again.
    pub(crate) fn discard(&mut self, job: JobId) -> u64 {
        match self {
            Self::Print(printer) => printer.discard(),
            Self::Save { open, .. } => open.remove(&job).map_or(0, OutputFile::discard),
        }
    }
}

impl Target {
    fn open(&self, name: &FileName<'_>, replace: bool) -> Result<OutputFile, StoreError> {
        match self {
            Self::File(path) => {
                OutputFile::open(path, replace).map_err(|error| self.error(path, &error))
            }
            Self::Folder(folder) | Self::Share(folder) => {
                OutputFile::open_below(folder, name, replace)
                    .map_err(|error| self.error(&folder.join(name.as_str()), &error))
            }
        }
    }

    fn error(&self, path: &Path, error: &io::Error) -> StoreError {
        let path = crate::escaped::Escaped(path.as_os_str().as_encoded_bytes());
        let reason = match error.kind() {
            io::ErrorKind::AlreadyExists => match self {
                Self::Share(_) => format!("{path} exists already; move it away to fetch another"),
                Self::File(_) | Self::Folder(_) => {
                    format!("{path} exists already; --force replaces it")
                }
            },
            io::ErrorKind::IsADirectory => format!("{path} names a folder; use -d to save into it"),
            io::ErrorKind::NotADirectory => {
                format!("cannot write {path}: a parent is not a folder, or is a symbolic link")
            }
            _ => format!("cannot write {path}: {}", Reason(error)),
        };
        StoreError {
            reason,
            is_reader_gone: false,
        }
    }
}
