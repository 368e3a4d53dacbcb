//! A file that receives content: a regular file that gets its name when it is complete,
//! or a device that is written directly.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::OFlags;
use rustix::io::Errno;

use crate::download::parent_folder::ParentFolders;
use crate::download::part_file::PartFile;
use crate::download::path::folder_of;
use crate::download::repair_error::RepairError;
use crate::download::repair_file::{RepairFile, check_length};
use crate::download::save_error::SaveError;
use crate::download::save_folder::SaveFolder;
use crate::download::saved_files::SavedFiles;
use crate::download::small_file::SmallFile;
use crate::download::stored_bytes::StoredBytes;
use crate::download::target_file::TargetFile;
use crate::jobs::{ContentInfo, Opened, PieceSet};
use crate::protocol::{FileName, PieceLayout, PieceValue};
use crate::system_error::check_close;

/// The most links from a path to a file, as in the kernel.
const MAX_LINKS: u32 = 40;

/// What may become of files that exist.
#[derive(Clone, Copy, Default, Debug)]
pub struct SaveOptions {
    /// An existing file may be replaced.
    pub replace: bool,
    /// What an earlier download has left is deleted.
    pub restart: bool,
}

/// The same for all files of a command.
#[derive(Clone, Default, Debug)]
pub struct SaveRules {
    /// Existing files may be replaced, except for these.
    pub(super) replace: Option<Arc<SavedFiles>>,
    restart: bool,
}

impl From<SaveOptions> for SaveRules {
    fn from(options: SaveOptions) -> Self {
        Self {
            replace: options.replace.then(Arc::default),
            restart: options.restart,
        }
    }
}

impl SaveRules {
    /// This file at `path` is up to date, and is not to be replaced under another path. Returns
    /// false if another file is there by now.
    pub(super) fn keep_existing(&self, file: &File, path: &Path) -> bool {
        match &self.replace {
            Some(saved) => saved.lock().add_existing(file, path).unwrap_or(false),
            None => true,
        }
    }
}

/// A file that is being written.
pub struct OutputFile {
    /// Its path when it is complete.
    pub(super) path: PathBuf,
    output: OpenOutput,
}

enum OpenOutput {
    /// A device, a FIFO or a terminal.
    Device {
        file: File,
        /// Bytes so far.
        written: u64,
    },
    Small(SmallFile),
    Part(Box<PartFile>),
    Repair(RepairFile),
}

impl OutputFile {
    /// Opens the file at `path`. If `path` is a link and may be replaced, the file that
    /// it leads to is replaced.
    pub(super) fn open(
        path: &Path,
        content: &ContentInfo,
        rules: &SaveRules,
    ) -> Result<(Self, Opened), SaveError> {
        let mut components = path.as_os_str().as_bytes().rsplit(|byte| *byte == b'/');
        if let Some(b"" | b"." | b"..") = components.next() {
            return Err(Errno::ISDIR.into());
        }
        let (output, opened) = match path.metadata() {
            Ok(metadata) if metadata.is_dir() => return Err(Errno::ISDIR.into()),
            // /dev/stdout may lead to a regular file: it must not be replaced.
            Ok(metadata) if !metadata.is_file() || is_link_in_dev(path) => {
                let file = OpenOptions::new().write(true).open(path)?;
                (OpenOutput::Device { file, written: 0 }, Opened::InOrder)
            }
            // No file is the usual case; other errors come again below.
            Ok(_) | Err(_) => {
                if rules.replace.is_none() && path.is_symlink() {
                    return Err(Errno::EXIST.into());
                }
                let path = follow_links(path)?;
                let folder = File::open(folder_of(&path))?.into();
                let folder = Arc::new(SaveFolder::new(folder, folder_of(&path)));
                OpenOutput::open(folder, &path, content, rules, false)?
            }
        };
        let path = path.to_owned();
        Ok((Self { path, output }, opened))
    }

    /// Opens the file at `path` by `open`. Only wrong pieces of it are replaced.
    pub(super) fn repair(
        path: &Path,
        name: &FileName<'_>,
        content: &ContentInfo,
        mut open: impl FnMut(OFlags) -> io::Result<File>,
    ) -> Result<(Self, Opened), SaveError> {
        if content.hash.is_none() {
            return Err(SaveError::NoHash);
        }
        if content.size <= PieceLayout::MIN_PIECE_SIZE {
            check_length(&open(OFlags::RDONLY)?, name, content)?;
            // It was compared before.
            return Err(RepairError::Different(name.clone().into_owned()).into());
        }
        // Only a damaged file is written.
        let (file, write_error) = match open(OFlags::RDWR) {
            Err(error) => match Errno::from_io_error(&error) {
                // Of the last, a program that is running.
                Some(reason @ (Errno::ACCESS | Errno::PERM | Errno::ROFS | Errno::TXTBSY)) => {
                    (open(OFlags::RDONLY)?, Some(reason))
                }
                _ => return Err(error.into()),
            },
            Ok(file) => (file, None),
        };
        let (file, unchecked) = RepairFile::new(file, write_error, name, content)?;
        let path = path.to_owned();
        let output = OpenOutput::Repair(file);
        let pieces = PieceSet::default();
        Ok((Self { path, output }, Opened::Part { pieces, unchecked }))
    }

    /// Opens the file `name` below `folder`, see [`ParentFolders::create`]. The name is not
    /// one of a part file, which would be continued as ours. `is_absent` if no file had the
    /// name a moment ago.
    pub(super) fn open_below(
        parents: &mut ParentFolders,
        folder: &Path,
        name: &FileName<'_>,
        content: &ContentInfo,
        rules: &SaveRules,
        is_absent: bool,
    ) -> Result<(Self, Opened), SaveError> {
        if name.is_part_file() {
            return Err(SaveError::PartFile);
        }
        let (parent, _) = parents.create(folder, name)?;
        let path = folder.join(name.as_str());
        let (output, opened) = OpenOutput::open(parent, &path, content, rules, is_absent)?;
        Ok((Self { path, output }, opened))
    }

    pub(super) fn write_at(&mut self, offset: u64, bytes: &[u8]) -> Result<(), SaveError> {
        match &mut self.output {
            OpenOutput::Device { file, written } => {
                debug_assert_eq!(offset, *written, "a device is written in order");
                *written += bytes.len() as u64;
                file.write_all(bytes)?;
            }
            OpenOutput::Small(file) => file.write_at(offset, bytes)?,
            OpenOutput::Part(file) => file.write_at(offset, bytes)?,
            OpenOutput::Repair(file) => file.write_at(offset, bytes)?,
        }
        Ok(())
    }

    /// All bytes of the content are there.
    ///
    /// # Errors
    /// More bytes follow them.
    pub(super) fn check_end(&self) -> Result<(), SaveError> {
        match &self.output {
            OpenOutput::Repair(file) => file.check_end(),
            OpenOutput::Device { .. } | OpenOutput::Small(_) | OpenOutput::Part(_) => Ok(()),
        }
    }

    pub(super) fn record_piece(&mut self, index: u32) -> Result<(), SaveError> {
        match &mut self.output {
            OpenOutput::Part(file) => file.record_piece(index),
            OpenOutput::Repair(file) => {
                file.record_piece(index);
                Ok(())
            }
            OpenOutput::Device { .. } | OpenOutput::Small(_) => Ok(()),
        }
    }

    /// Opens the part file to read it, if there is one.
    pub(super) fn part_file(&self) -> Option<OwnedFd> {
        match &self.output {
            OpenOutput::Part(file) => file.open_to_read().ok(),
            OpenOutput::Device { .. } | OpenOutput::Small(_) | OpenOutput::Repair(_) => None,
        }
    }

    /// Starts to check pieces against their values.
    pub(super) fn start_check(
        &mut self,
        pieces: &PieceSet,
        values: &[PieceValue],
    ) -> io::Result<()> {
        match &mut self.output {
            OpenOutput::Part(file) => file.start_check(pieces, values),
            OpenOutput::Repair(file) => file.start_check(pieces, values),
            OpenOutput::Device { .. } | OpenOutput::Small(_) => Ok(()),
        }
    }

    /// The pieces that were checked since the last call, and whether each is right.
    pub(super) fn checked_pieces(&mut self) -> Result<Vec<(u32, bool)>, SaveError> {
        match &mut self.output {
            OpenOutput::Part(file) => Ok(file.checked_pieces()),
            OpenOutput::Repair(file) => file.checked_pieces(),
            OpenOutput::Device { .. } | OpenOutput::Small(_) => Ok(Vec::new()),
        }
    }

    /// Whether all of the content is in memory.
    pub(super) fn is_small(&self) -> bool {
        matches!(self.output, OpenOutput::Small(_))
    }

    /// The content is complete: a regular file gets its name.
    pub(super) fn commit(&mut self, content: &ContentInfo) -> io::Result<()> {
        match &mut self.output {
            OpenOutput::Device { file, .. } => check_close(file),
            OpenOutput::Repair(file) => file.check_close(),
            OpenOutput::Small(file) => file.commit(content),
            OpenOutput::Part(file) => file.commit(content),
        }
    }

    /// Removes a regular file. Returns how many bytes a device has received.
    pub(super) fn discard(self) -> u64 {
        match self.output {
            OpenOutput::Device { written, .. } => written,
            OpenOutput::Small(_) | OpenOutput::Repair(_) => 0,
            OpenOutput::Part(file) => {
                file.remove();
                0
            }
        }
    }

    /// How many bytes went to a device, if it is one.
    pub(super) fn printed(&self) -> Option<u64> {
        match &self.output {
            OpenOutput::Device { written, .. } => Some(*written),
            OpenOutput::Small(_) | OpenOutput::Part(_) | OpenOutput::Repair(_) => None,
        }
    }

    /// Keeps what is worth it for a later download, and says what that is.
    pub(super) fn keep(self) -> Option<StoredBytes> {
        match self.output {
            OpenOutput::Part(file) => file.keep(),
            OpenOutput::Repair(file) => file.stored_bytes(),
            OpenOutput::Device { .. } | OpenOutput::Small(_) => None,
        }
    }
}

impl OpenOutput {
    /// Opens the last part of `path` in its folder.
    fn open(
        folder: Arc<SaveFolder>,
        path: &Path,
        content: &ContentInfo,
        rules: &SaveRules,
        is_absent: bool,
    ) -> Result<(Self, Opened), SaveError> {
        let replace = rules.replace.as_ref();
        let name = path.file_name().ok_or(Errno::ISDIR)?;
        let (target, protected) = match is_absent && replace.is_none() {
            true => (TargetFile::absent(folder, name), None),
            false => TargetFile::new(folder, name, replace.map(|saved| (saved, path)))?,
        };
        if protected.is_some() {
            return Err(Errno::EXIST.into());
        }
        if content.size <= PieceLayout::MIN_PIECE_SIZE {
            let file = SmallFile::new(target, content.size);
            return Ok((Self::Small(file), Opened::Empty));
        }
        let (file, opened) = PartFile::open(target, content, rules.restart)?;
        Ok((Self::Part(file.into()), opened))
    }
}

/// The path that `path` leads to if it is a symbolic link. No file need be there.
fn follow_links(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        match path.read_link() {
            Ok(target) => path = folder_of(&path).join(target),
            Err(_) => return Ok(path),
        }
    }
    Err(Errno::LOOP.into())
}

/// Whether `path` is a link such as /dev/stdout.
fn is_link_in_dev(path: &Path) -> bool {
    path.starts_with("/dev") && path.is_symlink()
}
