//! The place for fetched content that the user named, and the outputs open there.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};

use crate::download::Printer;
use crate::download::existing_file::ExistingFile;
use crate::download::output_file::{OutputFile, SaveOptions};
use crate::download::parent_folder::ParentFolders;
use crate::download::save_error::SaveError;
use crate::escaped::Escaped;
use crate::jobs::{ContentInfo, JobId, Opened, PieceSet, StoreError, StoredContent, StoredPart};
use crate::protocol::{FileName, PieceValue};
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
    /// This file, of which only wrong pieces are replaced.
    Repair(PathBuf),
}

/// Where the content of files goes.
pub enum Destination {
    /// To stdout, one file at a time.
    Print(Printer),
    /// Into files.
    Save {
        /// The file or folder.
        target: Target,
        /// What may become of existing files.
        options: SaveOptions,
        /// The folders of files below `target`.
        parents: ParentFolders,
        /// The files that are being written.
        open: BTreeMap<JobId, OutputFile>,
        /// The files that are compared with a content.
        compared: BTreeMap<JobId, ExistingFile>,
        /// The jobs whose comparison has found no file.
        absent: BTreeSet<JobId>,
    },
}

impl Destination {
    /// Saves to `target`.
    #[must_use]
    pub fn save(target: Target, options: SaveOptions) -> Self {
        Self::Save {
            target,
            options,
            parents: ParentFolders::default(),
            open: BTreeMap::new(),
            compared: BTreeMap::new(),
            absent: BTreeSet::new(),
        }
    }

    /// Whether the last content was not printed because it is binary. Says so once.
    pub(crate) fn take_binary(&mut self) -> bool {
        match self {
            Self::Print(printer) => printer.take_binary(),
            Self::Save { .. } => false,
        }
    }

    /// Opens an output for the content of `name`.
    pub(crate) fn open(
        &mut self,
        job: JobId,
        name: &FileName<'_>,
        content: &ContentInfo,
    ) -> Result<Opened, StoreError> {
        match self {
            Self::Print(printer) => {
                printer.open();
                Ok(Opened::InOrder)
            }
            Self::Save {
                target,
                options,
                parents,
                open,
                absent,
                ..
            } => {
                let is_absent = absent.remove(&job);
                let opened = target.open(parents, name, content, *options, is_absent);
                let (file, opened) = opened?;
                open.insert(job, file);
                Ok(opened)
            }
        }
    }

    /// Compares the target with a content, slice by slice.
    pub(crate) fn compare(
        &mut self,
        job: JobId,
        name: &FileName<'_>,
        content: &ContentInfo,
    ) -> StoredContent {
        let (
            Self::Save {
                target,
                parents,
                compared,
                absent,
                ..
            },
            Some(hash),
        ) = (self, content.hash)
        else {
            return StoredContent::Other;
        };
        let opened = match compared.remove(&job) {
            Some(file) => Ok(Some(file)),
            None => ExistingFile::open(parents, target, name, content),
        };
        let mut file = match opened {
            Ok(Some(file)) => file,
            Ok(None) => return StoredContent::Other,
            Err(error) => {
                if error.kind() == io::ErrorKind::NotFound {
                    absent.insert(job);
                }
                return StoredContent::Other;
            }
        };
        let result = file.compare(hash);
        if result == StoredContent::Unfinished {
            compared.insert(job, file);
        }
        result
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
                    result.map_err(|error| target.error(&file.path, &error.into()))
                }
                None => Ok(()),
            },
        }
    }

    /// Starts to check pieces that are there already.
    pub(crate) fn start_check(
        &mut self,
        job: JobId,
        pieces: &PieceSet,
        values: &[PieceValue],
    ) -> Result<(), StoreError> {
        if let Self::Save { target, open, .. } = self
            && let Some(file) = open.get_mut(&job)
        {
            let result = file.start_check(pieces, values);
            return result.map_err(|error| target.error(&file.path, &error.into()));
        }
        Ok(())
    }

    /// The pieces that were checked since the last call, and whether each is right.
    pub(crate) fn checked_pieces(&mut self, job: JobId) -> Vec<(u32, bool)> {
        match self {
            Self::Print(_) => Vec::new(),
            Self::Save { open, .. } => {
                let file = open.get_mut(&job);
                file.map_or_else(Vec::new, OutputFile::checked_pieces)
            }
        }
    }

    /// The file that a job writes.
    pub(crate) fn path(&self, job: JobId) -> Option<PathBuf> {
        match self {
            Self::Print(_) => None,
            Self::Save { open, .. } => Some(open.get(&job)?.path.clone()),
        }
    }

    /// This piece of the content was written and is right.
    pub(crate) fn record_piece(&mut self, job: JobId, index: u32) -> Result<(), StoreError> {
        if let Self::Save { target, open, .. } = self
            && let Some(file) = open.get_mut(&job)
        {
            let result = file.record_piece(index);
            return result.map_err(|error| target.error(&file.path, &error.into()));
        }
        Ok(())
    }

    /// The content is complete.
    pub(crate) fn commit(&mut self, job: JobId, content: &ContentInfo) -> Result<(), StoreError> {
        match self {
            Self::Print(printer) => printer.commit(),
            Self::Save {
                target,
                parents,
                open,
                ..
            } => match open.remove(&job) {
                Some(file) => {
                    let path = file.path.clone();
                    file.commit(content).map_err(|error| {
                        // The folder may have been deleted.
                        parents.close();
                        target.error(&path, &error.into())
                    })
                }
                None => Ok(()),
            },
        }
    }

    /// The content is of no use. Returns how many of its bytes were printed or written to
    /// a device: another attempt must not write them again.
    pub(crate) fn discard(&mut self, job: JobId) -> u64 {
        match self {
            Self::Print(printer) => printer.discard(),
            Self::Save {
                open,
                compared,
                absent,
                ..
            } => {
                compared.remove(&job);
                absent.remove(&job);
                open.remove(&job).map_or(0, OutputFile::discard)
            }
        }
    }

    /// The job is broken off. Returns what stays for a later one.
    pub(crate) fn keep(&mut self, job: JobId) -> Option<StoredPart> {
        match self {
            Self::Print(printer) => {
                printer.discard();
                None
            }
            Self::Save {
                open,
                compared,
                absent,
                ..
            } => {
                compared.remove(&job);
                absent.remove(&job);
                let file = open.remove(&job)?;
                let path = escaped(&file.path);
                let (stored, size) = file.keep()?;
                Some(StoredPart { path, stored, size })
            }
        }
    }
}

impl Target {
    fn open(
        &self,
        parents: &mut ParentFolders,
        name: &FileName<'_>,
        content: &ContentInfo,
        options: SaveOptions,
        is_absent: bool,
    ) -> Result<(OutputFile, Opened), StoreError> {
        match self {
            Self::File(path) => {
                OutputFile::open(path, content, options).map_err(|error| self.error(path, &error))
            }
            Self::Repair(path) => {
                OutputFile::repair(path, content).map_err(|error| self.error(path, &error))
            }
            Self::Folder(folder) | Self::Share(folder) => {
                OutputFile::open_below(parents, folder, name, content, options, is_absent)
                    .map_err(|error| self.error(&folder.join(name.as_str()), &error))
            }
        }
    }

    fn error(&self, path: &Path, error: &SaveError) -> StoreError {
        let is_share = matches!(self, Self::Share(_));
        let beside = |name: &OsStr| escaped(&path.with_file_name(name));
        let path = escaped(path);
        let reason = match error {
            SaveError::System(error) => self.system_error(&path, error),
            SaveError::InUse => format!("{path} is being fetched by another program"),
            SaveError::OtherContent(part) => {
                let part = beside(part);
                let advice = match is_share {
                    true => "delete it to fetch this one",
                    false => "--restart begins anew",
                };
                format!("{part} holds a part of another content of that name; {advice}")
            }
            SaveError::UnknownContent(part) => {
                let part = beside(part);
                let advice = match is_share {
                    true => "try again later, or delete it",
                    false => "try again later, or begin anew with --restart",
                };
                format!(
                    "no node knows the hash of this content, and {part} may hold a part of another one; {advice}"
                )
            }
            SaveError::UnknownPart(part) => {
                let part = beside(part);
                format!("{part} is in the way, and was not left by a download; move it away")
            }
            SaveError::PartFile => {
                format!(
                    "{path} is a name of unfinished files, which nobody shares; -o FILE saves it"
                )
            }
            SaveError::OtherLength { length, size } => format!(
                "{path} has {length} bytes, and the content has {size}; \
                 get NAME -o {path} --force replaces the file"
            ),
            SaveError::Different => format!(
                "{path} has another content, and may be another file; it was not changed; \
                 get NAME -o {path} --force replaces it"
            ),
            SaveError::NoHash => format!("no node knows the hash to compare {path} with"),
            SaveError::NoSpace { needed, free } => {
                format!("no space for {path}: {needed} bytes are needed, and {free} are free")
            }
        };
        StoreError {
            reason,
            is_reader_gone: false,
        }
    }

    fn system_error(&self, path: &str, error: &io::Error) -> String {
        match error.kind() {
            io::ErrorKind::AlreadyExists => match self {
                Self::Share(_) => format!("{path} exists already; move it away to fetch another"),
                Self::File(_) | Self::Folder(_) | Self::Repair(_) => {
                    format!("{path} exists already; --force replaces it")
                }
            },
            io::ErrorKind::NotFound => format!("cannot write {path}: there is no such folder"),
            io::ErrorKind::IsADirectory => format!("{path} names a folder; use -d to save into it"),
            io::ErrorKind::NotADirectory => {
                format!("cannot write {path}: a parent is not a folder, or is a symbolic link")
            }
            _ => format!("cannot write {path}: {}", Reason(error)),
        }
    }
}

fn escaped(path: &Path) -> String {
    Escaped(path.as_os_str().as_encoded_bytes()).to_string()
}
