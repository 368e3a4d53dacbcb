//! Why a content cannot be saved into a file.

use std::ffi::OsString;
use std::io;

use rustix::io::Errno;

use crate::download::repair_error::RepairError;

/// Why a content cannot be saved into a file.
#[derive(Debug)]
pub(super) enum SaveError {
    System(io::Error),
    /// What is there already cannot be read.
    Unreadable(io::Error),
    /// Another program, or another job, writes the same file.
    InUse,
    /// The part file of this name holds a part of another content.
    OtherContent(OsString),
    /// The part file of this name holds a part of another content, or of one that cannot be
    /// told from this one, whose hash is not known.
    UnknownContent(OsString),
    /// The file has the name of a part file, but no state file belongs to it.
    UnknownPart(OsString),
    /// The file has the name of a part file in the network.
    PartFile,
    /// A file of the user is not repaired.
    Repair(RepairError),
    /// The hash of the content is not known, so a file cannot be compared with it.
    NoHash,
    /// The file system has too little space, in bytes.
    NoSpace {
        needed: u64,
        free: u64,
    },
    /// The file system cannot reserve the space, although it seems to have as much.
    NotReserved(io::Error),
}

impl From<io::Error> for SaveError {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

impl From<Errno> for SaveError {
    fn from(error: Errno) -> Self {
        Self::System(error.into())
    }
}

impl From<RepairError> for SaveError {
    fn from(error: RepairError) -> Self {
        Self::Repair(error)
    }
}
