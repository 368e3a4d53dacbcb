//! Where the files of one command of the prompt go.

use std::fs;

use crate::download::{Destination, SaveOptions, Target};
use crate::escaped::Escaped;
use crate::jobs::{OutputSpec, StoreError};
use crate::system_error::Reason;

/// The destination that a command names. A missing folder is created on request only.
pub(super) fn destination(output: &OutputSpec) -> Result<Destination, StoreError> {
    let target = match output.is_folder {
        true => Target::Folder(output.path.clone()),
        false => Target::File(output.path.clone()),
    };
    if output.is_folder && output.path.symlink_metadata().is_err() {
        create_folder(output)?;
    }
    let options = SaveOptions {
        replace: output.force,
        restart: output.restart,
    };
    Ok(Destination::save(target, options))
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
    Err(StoreError {
        reason,
        is_reader_gone: false,
    })
}
