//! Files in the user's state folder, made for their owner alone, and never half written; and
//! files that the command line names. They are read up to a limit.

use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use crate::system_error::{Reason, check_close};

/// The most bytes that are read from a file: for lists of ids, some 20,000.
const MAX_SIZE: u64 = 1024 * 1024;

/// Why a file is of no use.
#[derive(Debug)]
pub enum StateFileError {
    /// The file cannot be reached, made or changed.
    Unavailable(PathBuf, io::Error),
    /// The file must not be used.
    Refused(PathBuf, String),
}

/// Opens a regular file to read it. The open does not wait for the writer of a FIFO.
pub(super) fn open(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(path)?;
    match file.metadata()?.is_file() {
        true => Ok(file),
        false => Err(io::Error::other("not a regular file")),
    }
}

/// Reads a file that the command line names.
///
/// # Errors
/// The file cannot be read, is no regular file, or is too large.
pub fn read_option_file(path: &Path) -> io::Result<Vec<u8>> {
    read(open(path)?)
}

pub(super) fn read(file: File) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    file.take(MAX_SIZE + 1).read_to_end(&mut content)?;
    match content.len() as u64 {
        0..=MAX_SIZE => Ok(content),
        _ => Err(io::Error::other("larger than 1 MiB")),
    }
}

/// The folder of a file.
pub(super) fn folder_of(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}

/// Makes the folder of a file for its owner alone, unless it is there.
pub(super) fn create_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder_of(path))
}

/// Writes a new content of `path` to a file beside it, which the caller gives its name. Returns
/// the path of that file.
pub(super) fn write_part(path: &Path, content: &[u8]) -> io::Result<PathBuf> {
    create_folder(path)?;
    let part = path.with_extension(format!("{}.part", std::process::id()));
    // Of a program that was killed.
    let _ = fs::remove_file(&part);
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&part)?;
    let written = file.write_all(content).and_then(|()| file.sync_all());
    let written = written.and_then(|()| check_close(&file));
    written.inspect_err(|_| {
        let _ = fs::remove_file(&part);
    })?;
    Ok(part)
}

impl fmt::Display for StateFileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(path, error) => {
                write!(f, "{}: {}", path.display(), Reason(error))
            }
            Self::Refused(path, reason) => write!(f, "{}: {reason}", path.display()),
        }
    }
}
