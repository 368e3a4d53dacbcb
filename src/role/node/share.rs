//! What a node shares, as the node sees it: names to look up and to list.

use std::fmt;
use std::time::Duration;

use crate::protocol::{FileItem, FileName, MaybeHash};

/// A collection of files. Only what is behind it touches a disk.
pub trait Share {
    /// A file that is open.
    type File;
    /// What is found out about the files in another thread.
    type Finding: Send + 'static;

    /// Looks a name up and opens it. `arrival` names the read that brought the
    /// request: what was changed before that must be seen.
    ///
    /// # Errors
    /// Why it cannot be given.
    fn open(
        &mut self,
        name: &FileName<'_>,
        arrival: u64,
    ) -> Result<Content<'_, Self::File>, Unavailable>;

    /// At most `most` files in the order of their names, from the one after
    /// `after` on; each is handed to `each`.
    fn list(&mut self, after: Option<&str>, most: usize, each: &mut dyn FnMut(&FileItem<'_>));

    /// Looks a name up.
    ///
    /// # Errors
    /// Why there is nothing to say about it.
    fn stat(&mut self, name: &FileName<'_>) -> Result<Stat, Unavailable>;

    /// Something was found out. If that changes the list, it says how long to
    /// wait before it is looked at.
    fn told(&mut self, finding: Self::Finding) -> Option<Duration>;

    /// A number that changes when the list does.
    fn revision(&mut self) -> u64;

    /// Looks whether the list may have changed: then it says how long to wait
    /// before it is looked at, so that what changes together is seen together.
    fn noticed(&mut self) -> Option<Duration>;

    /// How many files there are from the one after `after` on.
    fn count(&mut self, after: Option<&str>) -> u64;

    /// How many bytes they have together.
    fn bytes(&self) -> u64;
}

/// What is known of a file: it prints as the answer to `STAT`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stat {
    /// In bytes.
    pub size: u64,
    /// The content's hash.
    pub hash: MaybeHash,
    /// When it was changed, in seconds since 1970.
    pub mtime: i64,
}

impl fmt::Display for Stat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { size, hash, mtime } = self;
        write!(f, "STAT {size} {hash} {mtime}")
    }
}

/// What is in a file.
#[derive(Debug)]
pub enum Content<'a, F> {
    /// All of it: it is small.
    Small(&'a [u8]),
    /// Where to read it.
    Large {
        /// Its size when it was opened.
        size: u64,
        /// The open file.
        file: F,
    },
}

/// Why a file cannot be given.
#[derive(Debug)]
pub enum Unavailable {
    /// There is no such file here, or it is not shared.
    NotFound,
    /// It is here, but must not be read.
    NotAllowed,
    /// The system is short of something; it may work later.
    Busy(String),
    /// Reading failed.
    Failed(String),
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound => f.write_str("there is no such file here"),
            Self::NotAllowed => f.write_str("the file may not be read"),
            Self::Busy(why) => write!(f, "{why}; try again later"),
            Self::Failed(why) => write!(f, "the file cannot be read: {why}"),
        }
    }
}
