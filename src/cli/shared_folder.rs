//! The folder that a node shares, as its command line names it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use crate::cli::rights::has_home_folders;
use crate::cli::{Exit, StartupError};
use crate::node::{Share, ShareTotals};
use crate::share::{Folder, FolderSettings, HashWorker, ScanWorker};
use crate::system_error::Reason;
use crate::terminal::TerminalOutput;

/// The folder that the user has named, or else the current one. A home folder, or one with home
/// folders, is shared only on request: everybody who can reach the node could read it.
pub(super) fn folder_to_share(named: Option<&Path>) -> Result<PathBuf, StartupError> {
    if let Some(folder) = named {
        return Ok(folder.to_owned());
    }
    let current = PathBuf::from(".");
    match current.canonicalize() {
        Ok(folder) if has_home_folders(&folder) => {
            let folder = folder.display();
            let text = format!(
                "all of {folder} would be shared; write --share DIR, or --share . if you mean it"
            );
            Err(StartupError::usage(text))
        }
        Ok(_) | Err(_) => Ok(current),
    }
}

/// Opens the folder.
pub(super) fn open_folder(
    share: &Path,
    settings: FolderSettings,
) -> Result<(Folder, ScanWorker, HashWorker), StartupError> {
    Folder::open(share, settings).map_err(|error| {
        let (path, reason) = (share.display(), Reason(&error));
        let text = format!("cannot share {path}: {reason}; --share takes a readable folder");
        StartupError::new(Exit::Share, text)
    })
}

/// What is shared, such as `2 files (5 B) from /tmp`.
pub(super) fn describe(folder: &mut Folder) -> String {
    let totals = ShareTotals {
        files: folder.count(None),
        bytes: folder.bytes(),
    };
    let incomplete = match folder.is_complete() {
        true => "",
        false => ", which cannot be read in full",
    };
    format!("{totals} from {}{incomplete}", folder.path().display())
}

/// Says where the node listens, and on the first line what it shares.
pub(super) fn print_addresses(output: &TerminalOutput, addresses: &[SocketAddr], share: &str) {
    let mut sharing = format!(", sharing {share}");
    for address in addresses {
        output.println(format_args!("peer-node listening on {address}{sharing}"));
        sharing.clear();
    }
}
