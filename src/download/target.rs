//! The file or folder that the user named for fetched content, and why it cannot be used.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};

use crate::download::output_file::{OutputFile, SaveRules};
use crate::download::parent_folder::ParentFolders;
use crate::download::path::escaped;
use crate::download::save_error::SaveError;
use crate::download::shell_command::AdvisedCommands;
use crate::jobs::{ContentInfo, Opened, StoreError, StoreErrorKind};
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
    /// This file, of which only wrong pieces are replaced. A message may advise commands.
    Repair(PathBuf, Box<AdvisedCommands>),
    /// The same for the files of the content's names below this folder.
    RepairBelow(PathBuf, Box<AdvisedCommands>),
}

impl Target {
    /// Whether existing files are repaired, and none is made.
    pub(crate) fn repairs(&self) -> bool {
        matches!(self, Self::Repair(..) | Self::RepairBelow(..))
    }

    fn commands(&self) -> AdvisedCommands {
        match self {
            Self::Repair(_, commands) | Self::RepairBelow(_, commands) => commands.as_ref().clone(),
            Self::File(_) | Self::Folder(_) | Self::Share(_) => AdvisedCommands::default(),
        }
    }

    /// The path of the file that gets a content.
    pub(super) fn path(&self, name: &FileName<'_>) -> PathBuf {
        match self {
            Self::File(path) | Self::Repair(path, _) => path.clone(),
            Self::Folder(folder) | Self::Share(folder) | Self::RepairBelow(folder, _) => {
                folder.join(name.as_str())
            }
        }
    }

    /// Opens the file of a content that is there already. Links below a folder are not
    /// followed.
    ///
    /// # Errors
    /// There is no such file, or it cannot be opened.
    pub(super) fn open_existing(
        &self,
        parents: &mut ParentFolders,
        name: &FileName<'_>,
        flags: OFlags,
    ) -> io::Result<File> {
        // NONBLOCK: the open of a FIFO must not block the loop.
        let flags = flags | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        Ok(match self {
            Self::File(path) | Self::Repair(path, _) => {
                openat(CWD, path, flags, Mode::empty())?.into()
            }
            Self::Folder(folder) | Self::Share(folder) | Self::RepairBelow(folder, _) => {
                let (parent, leaf) = parents.find(folder, name)?;
                openat(&parent, leaf, flags | OFlags::NOFOLLOW, Mode::empty())?.into()
            }
        })
    }

    pub(super) fn open(
        &self,
        parents: &mut ParentFolders,
        name: &FileName<'_>,
        content: &ContentInfo,
        rules: &SaveRules,
        is_absent: bool,
    ) -> Result<(OutputFile, Opened), StoreError> {
        match self {
            Self::File(path) => {
                OutputFile::open(path, content, rules).map_err(|error| self.error(path, &error))
            }
            Self::Repair(..) | Self::RepairBelow(..) => {
                let path = self.path(name);
                let open = |flags| self.open_existing(parents, name, flags);
                OutputFile::repair(&path, name, content, open)
                    .map_err(|error| self.error(&path, &error))
            }
            Self::Folder(folder) | Self::Share(folder) => {
                OutputFile::open_below(parents, folder, name, content, rules, is_absent)
                    .map_err(|error| self.error(&folder.join(name.as_str()), &error))
            }
        }
    }

    /// The commit of a file has ended.
    pub(super) fn committed(
        &self,
        parents: &mut ParentFolders,
        path: &Path,
        result: io::Result<()>,
    ) -> Result<(), StoreError> {
        result.map_err(|error| {
            // The folder may have been deleted.
            parents.close();
            self.error(path, &error.into())
        })
    }

    pub(super) fn error(&self, file: &Path, error: &SaveError) -> StoreError {
        let is_share = matches!(self, Self::Share(_));
        let beside = |name: &OsStr| escaped(&file.with_file_name(name));
        let path = escaped(file);
        let reason = match error {
            SaveError::System(error) | SaveError::NotReserved(error) => {
                self.system_error(file, error)
            }
            SaveError::Unreadable(error) => format!("cannot read {path}: {}", Reason(error)),
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
            SaveError::Repair(error) => error.text(&path, file, &self.commands()),
            SaveError::NoHash => format!("no node knows the hash to compare {path} with"),
            SaveError::NoSpace { needed, free } => {
                format!("no space for {path}: {needed} bytes are needed, and {free} are free")
            }
        };
        StoreError {
            reason,
            kind: kind(error),
        }
    }

    fn system_error(&self, file: &Path, error: &io::Error) -> String {
        let path = escaped(file);
        match error.kind() {
            io::ErrorKind::AlreadyExists => match self {
                Self::Share(_) => format!("{path} exists already; move it away to fetch another"),
                _ if file.metadata().is_ok_and(|status| !status.is_file()) => {
                    format!("{path} is not a regular file; move it away")
                }
                Self::File(_) | Self::Folder(_) | Self::Repair(..) | Self::RepairBelow(..) => {
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

fn kind(error: &SaveError) -> StoreErrorKind {
    match error {
        SaveError::System(error) => StoreErrorKind::of(error),
        // Whatever size a node has announced.
        SaveError::NoSpace { free: 0, .. } => StoreErrorKind::DiskFull,
        SaveError::NoSpace { .. } => StoreErrorKind::NoSpace,
        SaveError::NotReserved(error) => match StoreErrorKind::of(error) {
            // A smaller file may still fit.
            StoreErrorKind::DiskFull => StoreErrorKind::NoSpace,
            kind => kind,
        },
        _ => StoreErrorKind::Other,
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn the_disk_is_full_by_the_word_of_the_system_only() {
        let no_space = |free| SaveError::NoSpace { needed: 9, free };
        for (error, is_full) in [
            (Errno::NOSPC.into(), true),
            (Errno::DQUOT.into(), true),
            // The limit of one file.
            (Errno::FBIG.into(), false),
            (no_space(0), true),
            (no_space(8), false),
            (SaveError::NotReserved(Errno::DQUOT.into()), false),
        ] {
            assert_eq!(
                kind(&error) == StoreErrorKind::DiskFull,
                is_full,
                "{error:?}"
            );
        }
    }
}
