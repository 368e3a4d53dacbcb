//! Where content goes: stdout, a file, or a folder.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, mkdirat, openat};
use rustix::io::Errno;

use crate::download::Printer;
use crate::download::part_file::{PartFile, PartNaming};
use crate::jobs::{JobId, StoreError};
use crate::protocol::FileName;

/// What the user named.
#[derive(Clone, Debug)]
pub enum Target {
    /// This file.
    File(PathBuf),
    /// Files of their own names below this folder.
    Folder(PathBuf),
    /// Likewise, where a node shares them: what is not whole must stay hidden.
    Share(PathBuf),
}

/// Where the content of files goes.
pub enum Destination {
    /// Onto stdout, one at a time.
    Print(Printer),
    /// Into files.
    Save {
        /// Which.
        target: Target,
        /// Whether a file that is there may be replaced.
        replace: bool,
        /// The files that are being written.
        open: BTreeMap<JobId, OpenFile>,
    },
}

/// A file that is being written.
pub struct OpenFile {
    /// What it is, or will be, called.
    path: PathBuf,
    sink: Sink,
}

enum Sink {
    /// Under another name until it is whole.
    Aside(PartFile),
    /// Straight to a device, a FIFO or a terminal; so many bytes.
    Direct(File, u64),
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

    pub(crate) fn open(&mut self, job: JobId, name: &FileName<'_>) -> Result<(), StoreError> {
        match self {
            Self::Print(printer) => printer.open(),
            Self::Save {
                target,
                replace,
                open,
            } => {
                let path = match target {
                    Target::File(path) => path.clone(),
                    Target::Folder(folder) | Target::Share(folder) => folder.join(name.as_str()),
                };
                let sink = match target {
                    Target::File(_) => open_file(&path, *replace),
                    Target::Folder(folder) => {
                        open_below(folder, name, *replace, PartNaming::Visible)
                    }
                    Target::Share(folder) => open_below(folder, name, *replace, PartNaming::Hidden),
                };
                match sink {
                    Ok(sink) => drop(open.insert(job, OpenFile { path, sink })),
                    Err(error) => return Err(not_stored(target, &path, &error)),
                }
            }
        }
        Ok(())
    }

    pub(crate) fn write(&mut self, job: JobId, bytes: &[u8]) -> Result<(), StoreError> {
        match self {
            Self::Print(printer) => printer.write(bytes),
            Self::Save { target, open, .. } => match open.get_mut(&job) {
                Some(OpenFile { path, sink }) => match sink {
                    Sink::Aside(saving) => saving.write(bytes),
                    Sink::Direct(file, written) => {
                        *written += bytes.len() as u64;
                        file.write_all(bytes)
                    }
                }
                .map_err(|error| not_stored(target, path, &error)),
                None => Ok(()),
            },
        }
    }

    pub(crate) fn commit(&mut self, job: JobId) -> Result<(), StoreError> {
        match self {
            Self::Print(printer) => printer.commit(),
            Self::Save { target, open, .. } => match open.remove(&job) {
                Some(OpenFile {
                    path,
                    sink: Sink::Aside(saving),
                }) => saving
                    .commit()
                    .map_err(|error| not_stored(target, &path, &error)),
                Some(_) | None => Ok(()),
            },
        }
    }

    pub(crate) fn discard(&mut self, job: JobId) -> u64 {
        match self {
            Self::Print(printer) => printer.discard(),
            Self::Save { open, .. } => match open.remove(&job).map(|open| open.sink) {
                Some(Sink::Direct(_, written)) => written,
                // What was written aside goes with it.
                Some(Sink::Aside(_)) | None => 0,
            },
        }
    }
}

/// Opens the file that the user named.
fn open_file(path: &Path, replace: bool) -> io::Result<Sink> {
    match path.metadata() {
        Ok(metadata) if metadata.is_dir() => return Err(Errno::ISDIR.into()),
        // /dev/stdout may lead to a regular file: it must not be replaced.
        Ok(metadata) if !metadata.is_file() || is_link_in_dev(path) => {
            let file = OpenOptions::new().write(true).open(path)?;
            return Ok(Sink::Direct(file, 0));
        }
        // That there is nothing is fine; anything else shows when it is made.
        Ok(_) | Err(_) => {}
    }
    let name = path.file_name().ok_or(Errno::ISDIR)?;
    let folder = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        Some(_) | None => Path::new("."),
    };
    let folder = File::open(folder)?.into();
    PartFile::create(folder, name, replace, PartNaming::Visible).map(Sink::Aside)
}

/// Such as /dev/stdout.
fn is_link_in_dev(path: &Path) -> bool {
    path.starts_with("/dev") && path.is_symlink()
}

/// Opens a file of that name below the folder; sub-folders are made, and links
/// are not followed: nothing is written outside.
fn open_below(
    folder: &Path,
    name: &FileName<'_>,
    replace: bool,
    parts: PartNaming,
) -> io::Result<Sink> {
    std::fs::create_dir_all(folder).map_err(|error| match error.kind() {
        // A folder would be fine: it is something else. No force helps.
        io::ErrorKind::AlreadyExists => Errno::NOTDIR.into(),
        _ => error,
    })?;
    let mut at: OwnedFd = File::open(folder)?.into();
    let (folders, leaf) = match name.as_str().rsplit_once('/') {
        Some((folders, leaf)) => (Some(folders), leaf),
        None => (None, name.as_str()),
    };
    for part in folders.into_iter().flat_map(|folders| folders.split('/')) {
        match mkdirat(&at, part, Mode::from_raw_mode(0o777)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        at = openat(&at, part, flags, Mode::empty())?;
    }
    PartFile::create(at, OsStr::new(leaf), replace, parts).map(Sink::Aside)
}

fn not_stored(target: &Target, path: &Path, error: &io::Error) -> StoreError {
    let path = crate::escaped::Escaped(path.as_os_str().as_encoded_bytes());
    let why = match error.kind() {
        io::ErrorKind::AlreadyExists => match target {
            Target::Share(_) => format!("{path} exists already; move it away to fetch another"),
            Target::File(_) | Target::Folder(_) => {
                format!("{path} exists already; --force replaces it")
            }
        },
        io::ErrorKind::IsADirectory => {
            format!("{path} is a folder; use -d to save into one")
        }
        io::ErrorKind::NotADirectory => {
            format!("{path}: a part of it is no folder, or a link: not followed")
        }
        _ => format!("{path} cannot be written: {error}"),
    };
    StoreError {
        reason: why,
        is_reader_gone: false,
    }
}
