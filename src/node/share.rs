//! The interface between a node and its shared files.

use std::cell::OnceCell;
use std::fmt;
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use crate::protocol::{
    ContentHash, FileItem, FileName, FileStat, MaybeHash, PieceList, Sha256Digest,
};
use crate::role::SendableFile;
use crate::session::http::FileHeaders;

/// Contents up to this size, and parts of them, are sent in one write together with their
/// header. Longer ones are sent from the open file.
pub const MAX_SMALL: usize = 64 * 1024;

/// A collection of shared files. Only implementations access a disk.
pub trait Share {
    /// An open file.
    type File: SendableFile;
    /// A result of another thread: changed names, or a file's hash.
    type Update: Send + 'static;

    /// Looks a name up and opens the file. `arrival` is the number of the read that
    /// received the request: changes on disk before that read must be seen.
    ///
    /// # Errors
    /// Why the file cannot be sent.
    fn open(
        &mut self,
        name: &FileName<'_>,
        arrival: u64,
    ) -> Result<FileContent<'_, Self::File>, Unavailable>;

    /// The work of opening files since the last call, in short lines, beside that of the
    /// requests themselves.
    fn take_work(&mut self) -> usize;

    /// The file as which a part file is sent.
    fn open_part(&self, file: OwnedFd) -> Option<Self::File>;

    /// Lists these files, whose content is still being fetched into the share, beside those
    /// that are there. [`Share::open`] opens none of them. If the list of files changes,
    /// returns how long to wait before the changes are announced.
    fn set_partial_files(&mut self, files: Vec<FileItem<'_>>) -> Option<Duration>;

    /// Calls `visit` for the files in name order, from the first one on whose name is not
    /// before `start`, until `visit` returns false.
    fn visit_files(&mut self, start: &str, visit: &mut dyn FnMut(&ListedFile<'_>) -> bool);

    /// Calls `visit` for at most `max` files in name order, from the one after
    /// `after` on.
    fn list(&mut self, after: Option<&str>, max: usize, visit: &mut dyn FnMut(&FileItem<'_>)) {
        // No name has a NUL, so no name lies between.
        let start = after.map_or_else(String::new, |name| format!("{name}\0"));
        let mut room = max;
        self.visit_files(&start, &mut |file| {
            if room > 0
                && let Ok(name) = FileName::parse(file.name)
            {
                visit(&FileItem {
                    size: file.size,
                    hash: file.hash,
                    holders: 1,
                    name,
                });
            }
            room = room.saturating_sub(1);
            room > 0
        });
    }

    /// Looks a name up, for a request that came with read number `arrival`; see
    /// [`Share::open`].
    ///
    /// # Errors
    /// Why nothing is known of the file.
    fn stat(&mut self, name: &FileName<'_>, arrival: u64) -> Result<FileStat, Unavailable>;

    /// Whether a file of this name is shared, even if it cannot be read.
    fn is_shared(&self, name: &FileName<'_>) -> bool;

    /// The hashes of a large file that [`Share::open`] has opened, if they are known.
    fn pieces(&mut self, name: &FileName<'_>, file: &Self::File) -> Option<Arc<PieceList>>;

    /// Whether the SHA-256 of each file is computed.
    fn has_sha256(&self) -> bool;

    /// The SHA-256 of a large file that [`Share::open`] has opened, if it is known; see
    /// [`SmallContent::sha256`] for a small one.
    fn sha256(&mut self, name: &FileName<'_>, file: &Self::File) -> Option<Sha256Digest>;

    /// The revision of a large file that [`Share::open`] has opened.
    fn revision_of(&self, file: &Self::File) -> FileRevision;

    /// Reads a part of a large file that [`Share::open`] has opened: at most
    /// [`MAX_SMALL`] bytes, which the file has.
    ///
    /// # Errors
    /// Why the part cannot be sent.
    fn read(&mut self, file: &Self::File, range: Range<u64>) -> Result<&[u8], Unavailable>;

    /// Handles a result of another thread. If the list of files changes, returns how
    /// long to wait before the changes are announced.
    fn on_message(&mut self, update: Self::Update) -> Option<Duration>;

    /// A number that changes whenever the list of files changes.
    fn revision(&mut self) -> u64;

    /// Handles a change notification of the file system. A scan that this starts
    /// ends in [`Share::on_message`]. If the list of files has changed since the last
    /// call of [`Share::revision`], returns how long to wait before the changes are
    /// announced.
    fn on_external_event(&mut self) -> Option<Duration>;

    /// Number of files from the one after `after` on.
    fn count(&mut self, after: Option<&str>) -> u64;

    /// Size of all files together, in bytes.
    fn bytes(&self) -> u64;

    /// Number of files and folders that cannot be shared.
    fn skipped(&self) -> u64;

    /// How often a shared folder was found to be gone, as after an unmount, or to be
    /// another one. Its files then leave the list although none was deleted.
    fn root_changes(&self) -> u64;

    /// Whether everything that can be shared is in the list.
    fn is_complete(&self) -> bool;

    /// Shares the file or folder at `path` in place: a file under its own name, a
    /// folder with all its files under `NAME/…`. Also shares again a file that was
    /// removed. [`Share::on_external_event`] reports the change. Returns a line for people.
    ///
    /// # Errors
    /// Why the path is not shared, and what to do, as a line for people.
    fn add(&mut self, path: &str) -> Result<String, String>;

    /// Stops sharing a file, or a folder with all its files. Deletes nothing.
    /// [`Share::on_external_event`] reports the change. Returns a line for people.
    ///
    /// # Errors
    /// Why nothing was removed, as a line for people.
    fn remove(&mut self, name: &FileName<'_>) -> Result<String, String>;
}

/// A file in the list of a share.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ListedFile<'a> {
    /// Its name, with its folders.
    pub name: &'a str,
    /// Size in bytes.
    pub size: u64,
    /// Time of the last change, in seconds since 1970; negative before.
    pub mtime: i64,
    /// The hash of its content, if it is known.
    pub hash: MaybeHash,
    /// Its SHA-256, if it is known.
    pub sha256: Option<Sha256Digest>,
}

/// The number and the total size of some files. The terminal prints it for people, as
/// `3 files (12.35 kB)`.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct ShareTotals {
    /// Number of files.
    pub files: u64,
    /// Size of all of them.
    pub bytes: u64,
}

/// The content of a file.
#[derive(Debug)]
pub enum FileContent<'a, F> {
    /// A small file, in memory.
    Small(SmallContent<'a>),
    /// The open file.
    Large {
        /// Size in bytes when the file was opened.
        size: u64,
        /// The open file.
        file: F,
    },
}

/// All of a small file.
#[derive(Clone, Copy, Debug)]
pub struct SmallContent<'a> {
    /// Its bytes.
    pub bytes: &'a [u8],
    /// What earlier requests have computed.
    pub computed: &'a ComputedValues,
    /// Time of the last change, in seconds since 1970; negative before.
    pub mtime: i64,
}

/// What changes with the content of a file, apart from its size. Prints as part of an entity
/// tag.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FileRevision {
    /// Time of the last change, in seconds since 1970; negative before.
    pub mtime: i64,
    /// Nanoseconds after it.
    pub mtime_nanos: i64,
    /// The same of the ctime, which no program can set back (stat(2)).
    pub ctime: i64,
    /// Nanoseconds after it.
    pub ctime_nanos: i64,
    /// The number of the file in its file system.
    pub inode: u64,
}

impl fmt::Display for FileRevision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            mtime,
            mtime_nanos,
            ctime,
            ctime_nanos,
            inode,
        } = self;
        write!(
            f,
            "{mtime:x}.{mtime_nanos:x}-{ctime:x}.{ctime_nanos:x}-{inode:x}"
        )
    }
}

/// Values of a content that are computed when a request needs them, and kept for the next
/// ones. Most contents need none, so they are boxed.
#[derive(Default, Debug)]
pub struct ComputedValues {
    hash: OnceCell<Box<ContentHash>>,
    sha256: OnceCell<Box<Sha256Digest>>,
    http_headers: OnceCell<Box<FileHeaders>>,
}

impl ComputedValues {
    /// The hash, if a request has needed it.
    #[must_use]
    pub fn hash(&self) -> Option<ContentHash> {
        self.hash.get().map(|hash| **hash)
    }
}

impl SmallContent<'_> {
    /// The hash.
    #[must_use]
    pub fn hash(&self) -> ContentHash {
        let hash = || ContentHash::of(self.bytes).into();
        **self.computed.hash.get_or_init(hash)
    }

    /// The headers in HTTP, which `make` makes of the hash.
    pub fn http_headers(&self, make: impl FnOnce(ContentHash) -> FileHeaders) -> &FileHeaders {
        let headers = &self.computed.http_headers;
        headers.get_or_init(|| make(self.hash()).into())
    }

    /// The SHA-256, which is computed once likewise.
    #[must_use]
    pub fn sha256(&self) -> Sha256Digest {
        let digest = || Sha256Digest::of(self.bytes).into();
        **self.computed.sha256.get_or_init(digest)
    }
}

/// Why a file cannot be sent.
#[derive(Debug)]
pub enum Unavailable {
    /// The file does not exist or is not shared.
    NotFound,
    /// The file is one of [`Share::set_partial_files`].
    Incomplete,
    /// The file exists but may not be read.
    NotAllowed,
    /// The system lacks a resource; a later request may succeed.
    Busy,
    /// Reading failed.
    Failed(String),
}
