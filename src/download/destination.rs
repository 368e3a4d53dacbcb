//! The place for fetched content that the user named, and the outputs open there.

mod comparison;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use crate::download::Printer;
use crate::download::existing_file::ExistingFile;
use crate::download::file_writer::{CompleteFile, FileWriter};
use crate::download::output_file::{OutputFile, SaveOptions, SaveRules};
use crate::download::parent_folder::ParentFolders;
use crate::download::path::escaped;
use crate::download::target::Target;
use crate::jobs::{
    ContentInfo, JobId, Opened, PartialContent, PieceSet, StoreError, StoreErrorKind, StoredPart,
};
use crate::protocol::{ContentHash, FileName, PieceValue};

/// Where the content of files goes.
pub enum Destination {
    /// To stdout, one file at a time.
    Print(Printer),
    /// Into files.
    Save {
        /// The file or folder.
        target: Target,
        /// What may become of existing files.
        rules: SaveRules,
        /// The folders of files below `target`.
        parents: Box<ParentFolders>,
        /// The files that are being written.
        open: BTreeMap<JobId, OutputFile>,
        /// The files that are compared with a content.
        compared: BTreeMap<JobId, ExistingFile>,
        /// The files that were found to have another content than the one with this hash, by
        /// their last change. They need not be read again.
        different: BTreeMap<JobId, (ContentHash, String)>,
        /// The jobs whose comparison has found no file.
        absent: BTreeSet<JobId>,
        /// The paths of the files that a [`FileWriter`] commits.
        committing: BTreeMap<JobId, PathBuf>,
    },
}

impl Destination {
    /// Saves to `target`.
    #[must_use]
    pub fn save(target: Target, options: SaveOptions) -> Self {
        Self::Save {
            target,
            rules: options.into(),
            parents: Box::default(),
            open: BTreeMap::new(),
            compared: BTreeMap::new(),
            different: BTreeMap::new(),
            absent: BTreeSet::new(),
            committing: BTreeMap::new(),
        }
    }

    /// Whether several files can be saved there.
    #[must_use]
    pub fn takes_many(&self) -> bool {
        let Self::Save { target, .. } = self else {
            return false;
        };
        matches!(target, Target::Folder(_) | Target::Share(_))
    }

    /// Whether existing files are repaired, and none is made.
    pub(crate) fn repairs(&self) -> bool {
        match self {
            Self::Print(_) => false,
            Self::Save { target, .. } => target.repairs(),
        }
    }

    /// The name of a file that is printed.
    pub(crate) fn printed_name(&self, name: &FileName<'_>) -> Option<FileName<'static>> {
        match self {
            Self::Print(_) => Some(name.clone().into_owned()),
            Self::Save { .. } => None,
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
                printer.open(name);
                Ok(Opened::InOrder)
            }
            Self::Save {
                target,
                rules,
                parents,
                open,
                different,
                absent,
                ..
            } => {
                let is_absent = absent.remove(&job);
                let opened = target.open(parents, name, content, rules, is_absent);
                let (file, opened) = opened?;
                different.remove(&job);
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
    pub(crate) fn checked_pieces(&mut self, job: JobId) -> Result<Vec<(u32, bool)>, StoreError> {
        if let Self::Save { target, open, .. } = self
            && let Some(file) = open.get_mut(&job)
        {
            let results = file.checked_pieces();
            return results.map_err(|error| target.error(&file.path, &error));
        }
        Ok(Vec::new())
    }

    /// The file that a job writes.
    pub(crate) fn path(&self, job: JobId) -> Option<PathBuf> {
        match self {
            Self::Print(_) => None,
            Self::Save { open, .. } => Some(open.get(&job)?.path.clone()),
        }
    }

    /// Opens the part file of a job to read it.
    pub(crate) fn part_file(&self, job: JobId) -> Option<OwnedFd> {
        match self {
            Self::Print(_) => None,
            Self::Save { open, .. } => open.get(&job)?.part_file(),
        }
    }

    /// This piece of the content was written and is right.
    pub(crate) fn record_piece(&mut self, job: JobId, index: u32) -> Result<(), StoreError> {
        if let Self::Save { target, open, .. } = self
            && let Some(file) = open.get_mut(&job)
        {
            let result = file.record_piece(index);
            return result.map_err(|error| target.error(&file.path, &error));
        }
        Ok(())
    }

    /// The content is complete. If the name is taken, the file stays open until the job
    /// discards or keeps it.
    pub(crate) fn commit(&mut self, job: JobId, content: &ContentInfo) -> Result<(), StoreError> {
        match self {
            Self::Print(printer) => printer.commit(),
            Self::Save {
                target,
                parents,
                open,
                ..
            } => match open.remove(&job) {
                Some(mut file) => {
                    let path = file.path.clone();
                    let checked = file.check_end();
                    checked.map_err(|error| target.error(&path, &error))?;
                    let result = file.commit(content);
                    let result = target.committed(parents, &path, result);
                    match &result {
                        Ok(()) => {}
                        Err(error) if error.kind == StoreErrorKind::NameTaken => {
                            open.insert(job, file);
                        }
                        Err(_) => {
                            file.keep();
                        }
                    }
                    result
                }
                None => Ok(()),
            },
        }
    }

    /// Lets `writer` commit the content of a small file. Returns whether it does.
    pub(crate) fn commit_by(
        &mut self,
        writer: &FileWriter,
        job: JobId,
        content: &ContentInfo,
    ) -> bool {
        let Self::Save {
            open, committing, ..
        } = self
        else {
            return false;
        };
        let mut file = match open.remove(&job) {
            Some(file) if file.is_small() => file,
            file => {
                open.extend(file.map(|file| (job, file)));
                return false;
            }
        };
        let path = std::mem::take(&mut file.path);
        let content = content.clone();
        match writer.send(CompleteFile { job, file, content }) {
            None => {
                committing.insert(job, path);
                true
            }
            Some(mut unsent) => {
                unsent.file.path = path;
                open.insert(job, unsent.file);
                false
            }
        }
    }

    /// The writer has committed the file of a job, or could not. Returns its path, too.
    pub(crate) fn on_committed(
        &mut self,
        job: JobId,
        result: io::Result<()>,
    ) -> (Option<PathBuf>, Result<(), StoreError>) {
        match self {
            Self::Print(_) => (None, Ok(())),
            Self::Save {
                target,
                parents,
                committing,
                ..
            } => {
                let path = committing.remove(&job).unwrap_or_default();
                let result = target.committed(parents, &path, result);
                (Some(path), result)
            }
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
                different,
                absent,
                ..
            } => {
                compared.remove(&job);
                different.remove(&job);
                absent.remove(&job);
                open.remove(&job).map_or(0, OutputFile::discard)
            }
        }
    }

    /// The job is broken off. Returns what is left, for a later one where possible.
    pub(crate) fn keep(&mut self, job: JobId) -> PartialContent {
        match self {
            Self::Print(printer) => PartialContent::Printed(printer.discard()),
            Self::Save {
                open,
                compared,
                different,
                absent,
                ..
            } => {
                compared.remove(&job);
                different.remove(&job);
                absent.remove(&job);
                let Some(file) = open.remove(&job) else {
                    return PartialContent::Nothing;
                };
                let (path, printed) = (escaped(&file.path), file.printed());
                match file.keep() {
                    Some(bytes) => PartialContent::Stored(StoredPart {
                        path,
                        stored: bytes.stored,
                        unchecked: bytes.unchecked,
                        size: bytes.size,
                    }),
                    None => printed.map_or(PartialContent::Nothing, PartialContent::Printed),
                }
            }
        }
    }
}
