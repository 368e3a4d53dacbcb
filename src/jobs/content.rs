//! What jobs and their user's storage say to each other about the content of a file.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::jobs::task_result::TaskResult;
use crate::protocol::{ContentHash, PieceLayout};

/// What is known of a content before it is fetched.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ContentInfo {
    /// In bytes.
    pub size: u64,
    /// Its hash, if a node has announced it or the user has given it.
    pub hash: Option<ContentHash>,
    /// The modification time at the source, in seconds since 1970.
    pub mtime: Option<i64>,
    /// Whether the file is executable at the source.
    pub is_executable: bool,
}

impl ContentInfo {
    /// A content of which only the size and perhaps the hash are known.
    #[must_use]
    pub fn new(size: u64, hash: Option<ContentHash>) -> Self {
        Self {
            size,
            hash,
            mtime: None,
            is_executable: false,
        }
    }
}

/// An output that was opened for a content.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Opened {
    /// Stdout, a device or a FIFO: the bytes are written in order, each of them once.
    InOrder,
    /// A file without content: the bytes may be written in any order.
    Empty,
    /// A file that an earlier job has written in part. The bytes that are missing may be
    /// written in any order.
    Part {
        /// The pieces that are complete and right.
        pieces: PieceSet,
        /// The pieces that may be right, and must be checked first: somebody may have
        /// changed them, or they were not written before the power failed.
        unchecked: PieceSet,
    },
}

/// What a target holds, compared with a content.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StoredContent {
    /// Nothing, or another content.
    Other,
    /// This content.
    Same,
    /// Not known yet: there is more to read.
    Unfinished,
}

/// A set of the pieces of one content.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct PieceSet {
    words: Vec<u64>,
    length: u32,
}

impl PieceSet {
    /// Adds a piece. Returns whether it is new.
    pub fn insert(&mut self, index: u32) -> bool {
        let (word, bit) = position(index);
        if word >= self.words.len() {
            self.words.resize(word + 1, 0);
        }
        let is_new = self.words[word] & bit == 0;
        self.words[word] |= bit;
        self.length += u32::from(is_new);
        is_new
    }

    /// Removes a piece. Returns whether it was there.
    pub fn remove(&mut self, index: u32) -> bool {
        let was_there = self.contains(index);
        if was_there {
            let (word, bit) = position(index);
            self.words[word] &= !bit;
            self.length -= 1;
        }
        was_there
    }

    /// Whether the piece is in the set.
    #[must_use]
    pub fn contains(&self, index: u32) -> bool {
        let (word, bit) = position(index);
        self.words.get(word).is_some_and(|word| word & bit != 0)
    }

    /// The number of pieces.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.length
    }

    /// Whether no piece is in the set.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// The bytes of the pieces.
    #[must_use]
    pub fn bytes(&self, layout: &PieceLayout) -> u64 {
        let ranges = self.iter().map(|index| layout.range(index as usize));
        ranges.map(|range| range.end - range.start).sum()
    }

    /// The pieces, in order.
    pub fn iter(&self) -> impl Iterator<Item = u32> {
        (0..self.words.len() as u32 * u64::BITS).filter(|index| self.contains(*index))
    }
}

impl FromIterator<u32> for PieceSet {
    fn from_iter<I: IntoIterator<Item = u32>>(pieces: I) -> Self {
        let mut set = Self::default();
        for index in pieces {
            set.insert(index);
        }
        set
    }
}

fn position(index: u32) -> (usize, u64) {
    ((index / u64::BITS) as usize, 1 << (index % u64::BITS))
}

/// Content that will not be complete.
#[derive(Clone, Copy, Default, Debug)]
pub struct DiscardedContent {
    /// The number of bytes that were printed, and cannot be deleted.
    pub printed: u64,
    /// The longest time that one write took.
    pub longest_write: Duration,
}

/// What is left of a content when its job is broken off.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PartialContent {
    /// Nothing.
    Nothing,
    /// So many bytes went to stdout or a device.
    Printed(u64),
    /// A part on the disk.
    Stored(StoredPart),
}

impl PartialContent {
    /// The part on the disk, if there is one.
    #[must_use]
    pub fn stored(self) -> Option<StoredPart> {
        match self {
            Self::Stored(part) => Some(part),
            Self::Nothing | Self::Printed(_) => None,
        }
    }
}

/// A part of a content that stays on the disk, for a later job.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoredPart {
    /// The path of the file that will get the content, escaped for people.
    pub path: String,
    /// The bytes of the complete pieces.
    pub stored: u64,
    /// The bytes of further pieces, which may be wrong: the next download checks them.
    pub unchecked: u64,
    /// The size of the content in bytes.
    pub size: u64,
}

/// Why content cannot be shown or stored. Prints as advice.
#[derive(Debug)]
pub struct StoreError {
    /// For people.
    pub reason: String,
    /// What can be done about it.
    pub kind: StoreErrorKind,
}

/// What can be done if content cannot be shown or stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum StoreErrorKind {
    /// The reader of the output has closed it. A person needs no message.
    ReaderGone,
    /// A file that may not be replaced has the name. Another program may have fetched the
    /// same content meanwhile.
    NameTaken,
    /// The disk has no space for content of the size that a node has announced.
    NoSpace,
    /// The system has no space for what was to be written. Further files fail likewise.
    DiskFull,
    /// The file to check is not there.
    FileMissing,
    /// Nothing, by the program.
    Other,
}

impl StoreErrorKind {
    /// What the system's error says about the output.
    pub(crate) fn of(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::AlreadyExists => Self::NameTaken,
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull,
            _ => Self::Other,
        }
    }

    /// How a task ends because of it.
    pub(super) fn task_result(self) -> TaskResult {
        match self {
            Self::DiskFull => TaskResult::DiskFull,
            _ => TaskResult::StoreError,
        }
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}
