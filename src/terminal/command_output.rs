//! Where the files of one command of the prompt go.

use std::fs;
use std::path::{Path, PathBuf};

use crate::download::{Destination, SaveOptions, Target, path_exists};
use crate::escaped::Escaped;
use crate::jobs::{OutputSpec, StoreError, StoreErrorKind};
use crate::system_error::Reason;

/// The destination that a command names. A missing folder is created on request only. With
/// `folders`, the destination must be below one of them.
pub(super) fn destination(
    output: &OutputSpec,
    folders: Option<&[PathBuf]>,
) -> Result<Destination, StoreError> {
    if folders.is_some_and(|folders| !is_below(&output.path, folders)) {
        let path = Escaped(output.path.as_os_str().as_encoded_bytes());
        let reason = format!(
            "{path} is outside of the folders that this node may write to; \
             start the node with --save-dir DIR to add one"
        );
        return Err(other_error(reason));
    }
    let target = match output.is_folder {
        true => Target::Folder(output.path.clone()),
        false => Target::File(output.path.clone()),
    };
    if output.is_folder && !path_exists(&output.path).map_err(other_error)? {
        create_folder(output)?;
    }
    let options = SaveOptions {
        replace: output.force,
        restart: output.restart,
    };
    Ok(Destination::save(target, options))
}

/// Whether a path, whose last parts may be missing, is below one of the folders. The kernel
/// enforces it; this finds the reason for the user.
fn is_below(path: &Path, folders: &[PathBuf]) -> bool {
    let existing = |path: PathBuf| path.ancestors().find_map(|path| path.canonicalize().ok());
    let real = std::path::absolute(path).ok().and_then(existing);
    let has_path = |folder: &PathBuf| {
        let folder = folder.canonicalize().ok();
        folder.is_some_and(|folder| real.as_ref().is_some_and(|real| real.starts_with(folder)))
    };
    folders.iter().any(has_path)
}

fn create_folder(output: &OutputSpec) -> Result<(), StoreError> {
    let name = Escaped(output.path.as_os_str().as_encoded_bytes());
    let reason = match output.mkdir {
        true => match fs::create_dir_all(&output.path) {
            Ok(()) => return Ok(()),
            Err(error) => format!("cannot create {name}: {}", Reason(&error)),
        },
        false => format!("there is no folder {name}; --mkdir creates it"),
    };
    Err(other_error(reason))
}

fn other_error(reason: String) -> StoreError {
    StoreError {
        reason,
        kind: StoreErrorKind::Other,
    }
}
