//! The folder and the text of a path.

use std::fs::FileType;
use std::io;
use std::path::Path;

use crate::escaped::Escaped;
use crate::system_error::Reason;

/// The folder of a file.
pub(super) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        Some(_) | None => Path::new("."),
    }
}

/// Whether something has this path, if only a link to nothing.
///
/// # Errors
/// For people: it cannot be told, because a folder above cannot be searched, for instance.
pub(crate) fn path_exists(path: &Path) -> Result<bool, String> {
    match path.symlink_metadata() {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(unreachable_path(path, &error)),
    }
}

/// What has this path, if anything has.
///
/// # Errors
/// As for [`path_exists`].
pub(crate) fn path_type(path: &Path) -> Result<Option<FileType>, String> {
    match path.metadata() {
        Ok(metadata) => Ok(Some(metadata.file_type())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreachable_path(path, &error)),
    }
}

fn unreachable_path(path: &Path, error: &io::Error) -> String {
    format!("cannot open {}: {}", escaped(path), Reason(error))
}

/// The path for people.
pub(super) fn escaped(path: &Path) -> String {
    Escaped(path.as_os_str().as_encoded_bytes()).to_string()
}
