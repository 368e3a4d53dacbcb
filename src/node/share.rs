//! What a node shares, as the node sees it: names to look up and to list.

use std::fmt;
use std::time::Duration;

use indicatif::DecimalBytes;

use crate::escaped::Escaped;
use crate::protocol::{FileItem, FileName, FileStat};

/// A collection of files. Only what is behind it touches a disk.
pub trait Share {
    /// A file that is open.
    type File;
    /// What is found out in another thread: which files there are, and about them.
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
    ) -> Result<FileContent<'_, Self::File>, Unavailable>;

    /// At most `most` files in the order of their names, from the one after
    /// `after` on; each is handed to `each`.
    fn list(&mut self, after: Option<&str>, most: usize, each: &mut dyn FnMut(&FileItem<'_>));

    /// Looks a name up.
    ///
    /// # Errors
    /// Why there is nothing to say about it.
    fn stat(&mut self, name: &FileName<'_>) -> Result<FileStat, Unavailable>;

    /// Something was found out. If that changes the list, it says how long to
    /// wait before it is looked at.
    fn on_message(&mut self, finding: Self::Finding) -> Option<Duration>;

    /// A number that changes when the list does.
    fn revision(&mut self) -> u64;

    /// Something may have changed outside: a look at it may be wanted, of which
    /// [`Share::on_message`] hears. If the list has changed since its revision was asked
    /// for, it says how long to wait before it is looked at.
    fn on_external_event(&mut self) -> Option<Duration>;

    /// How many files there are from the one after `after` on.
    fn count(&mut self, after: Option<&str>) -> u64;

    /// How many bytes they have together.
    fn bytes(&self) -> u64;

    /// Shares what lies at `path` as well, where it lies: a file under its own
    /// name, a folder with all that is in it under `NAME/…`. What was removed is
    /// shared again by its path. [`Share::on_external_event`] tells when to look at the list.
    ///
    /// # Errors
    /// Why not, and what to do.
    fn add(&mut self, path: &str) -> Result<Added, AddError>;

    /// Shares a file no longer, or a folder with all that is in it. Nothing is
    /// deleted. [`Share::on_external_event`] tells when to look at the list.
    ///
    /// # Errors
    /// Why not, and what to do.
    fn remove(&mut self, name: &FileName<'_>) -> Result<Removed, AddError>;
}

/// What [`Share::add`] has done, in a line for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Added {
    /// Under which name: that of a file, or what its files' names begin with.
    pub name: FileName<'static>,
    /// What is shared under it now.
    pub extent: ShareTotals,
}

impl fmt::Display for Added {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, extent } = self;
        write!(f, "sharing {extent} as {}", Escaped::text(name.as_str()))
    }
}

/// What [`Share::remove`] has done, in a line for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Removed {
    /// What nobody gets any more.
    pub name: FileName<'static>,
    /// What was listed under it.
    pub extent: ShareTotals,
}

impl fmt::Display for Removed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, extent } = self;
        let name = Escaped::text(name.as_str());
        write!(f, "no longer sharing {name}: {extent}")
    }
}

/// How much some files are together: `3 files (12.35 kB)`.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub struct ShareTotals {
    /// How many.
    pub files: u64,
    /// Of all of them.
    pub bytes: u64,
}

impl fmt::Display for ShareTotals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { files, bytes } = *self;
        let plural = if files == 1 { "" } else { "s" };
        write!(f, "{files} file{plural} ({})", DecimalBytes(bytes))
    }
}

/// Why something is not shared, or still is, and what to do, in a line for people.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AddError(pub String);

impl fmt::Display for AddError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is in a file.
#[derive(Debug)]
pub enum FileContent<'a, F> {
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
