//! A file that receives content: a regular file under the name of a part file, or a
//! device that is written directly.

use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, mkdirat, openat};
use rustix::io::Errno;

use crate::download::part_file::PartFile;
use crate::protocol::FileName;

/// The most links from a path to a file, as in the kernel.
const MAX_LINKS: u32 = 40;

/// A file that is being written.
pub struct OutputFile {
    /// Its path when it is complete.
    pub(crate) path: PathBuf,
    file: File,
    /// The other name of a regular file until it is complete. None for a device, a
    /// FIFO or a terminal.
    part: Option<PartFile>,
    /// Bytes so far.
    written: u64,
}

impl OutputFile {
    /// Opens the file at `path`. If `replace` is set and `path` is a link, the file that
    /// it leads to is replaced.
    pub(crate) fn open(path: &Path, replace: bool) -> io::Result<Self> {
        let mut components = path.as_os_str().as_bytes().rsplit(|byte| *byte == b'/');
        if let Some(b"" | b"." | b"..") = components.next() {
            return Err(Errno::ISDIR.into());
        }
        let (file, part) = match path.metadata() {
            Ok(metadata) if metadata.is_dir() => return Err(Errno::ISDIR.into()),
            // /dev/stdout may lead to a regular file: it must not be replaced.
            Ok(metadata) if !metadata.is_file() || is_link_in_dev(path) => {
                (OpenOptions::new().write(true).open(path)?, None)
            }
            // No file is the usual case; other errors come again below.
            Ok(_) | Err(_) => {
                if !replace && path.is_symlink() {
                    return Err(Errno::EXIST.into());
                }
                let path = follow_links(path)?;
                let name = path.file_name().ok_or(Errno::ISDIR)?;
                let folder = File::open(folder_of(&path))?.into();
                let (file, part) = PartFile::create(folder, name, replace)?;
                (file, Some(part))
            }
        };
        Ok(Self {
            path: path.to_owned(),
            file,
            part,
            written: 0,
        })
    }

    /// Opens the file `name` below `folder`. Missing folders are created. Symbolic
    /// links are not followed, so nothing is written outside of `folder`.
    pub(crate) fn open_below(
        folder: &Path,
        name: &FileName<'_>,
        replace: bool,
    ) -> io::Result<Self> {
        std::fs::create_dir_all(folder).map_err(|error| match error.kind() {
            // A file has the folder's name. AlreadyExists would suggest --force.
            io::ErrorKind::AlreadyExists => Errno::NOTDIR.into(),
            _ => error,
        })?;
        let mut parent: OwnedFd = File::open(folder)?.into();
        let (folders, leaf) = match name.as_str().rsplit_once('/') {
            Some((folders, leaf)) => (Some(folders), leaf),
            None => (None, name.as_str()),
        };
        for component in folders.into_iter().flat_map(|folders| folders.split('/')) {
            match mkdirat(&parent, component, Mode::from_raw_mode(0o777)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            parent = openat(&parent, component, flags, Mode::empty())?;
        }
        let (file, part) = PartFile::create(parent, OsStr::new(leaf), replace)?;
        Ok(Self {
            path: folder.join(name.as_str()),
            file,
            part: Some(part),
            written: 0,
        })
    }

    /// Whether bytes may be written in any order.
    pub(crate) fn is_seekable(&self) -> bool {
        self.part.is_some()
    }

    pub(crate) fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        if self.is_seekable() {
            return self.file.write_all_at(bytes, offset);
        }
        debug_assert_eq!(offset, self.written, "a device is written in order");
        self.written += bytes.len() as u64;
        self.file.write_all(bytes)
    }

    /// The content is complete: a part file gets its name.
    pub(crate) fn commit(self) -> io::Result<()> {
        self.part.map_or(Ok(()), PartFile::commit)
    }

    /// Removes a part file. Returns how many bytes a device has received.
    pub(crate) fn discard(self) -> u64 {
        match self.part {
            Some(_) => 0,
            None => self.written,
        }
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

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        Some(_) | None => Path::new("."),
    }
}

/// Whether `path` is a link such as /dev/stdout.
fn is_link_in_dev(path: &Path) -> bool {
    path.starts_with("/dev") && path.is_symlink()
}
