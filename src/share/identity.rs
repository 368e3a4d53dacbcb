//! What tells a file's content from another, short of reading it: which file it
//! is, its size and when it was changed.

use std::fmt;
use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::str::FromStr;

/// A content as the file system knows it. Two files with the same identity have
/// the same content, unless somebody sets clocks back.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Identity {
    device: u64,
    inode: u64,
    pub(super) size: u64,
    /// Seconds since 1970.
    pub(super) mtime: i64,
    nanos: i64,
}

impl From<&Metadata> for Identity {
    fn from(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            mtime: metadata.mtime(),
            nanos: metadata.mtime_nsec(),
        }
    }
}

/// Five numbers, as in the cache of hashes.
impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            device,
            inode,
            size,
            mtime,
            nanos,
        } = self;
        write!(f, "{device} {inode} {size} {mtime} {nanos}")
    }
}

impl FromStr for Identity {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        fn next<T: FromStr>(fields: &mut std::str::Split<'_, char>) -> Result<T, ()> {
            fields.next().and_then(|field| field.parse().ok()).ok_or(())
        }
        let mut fields = text.split(' ');
        Ok(Self {
            device: next(&mut fields)?,
            inode: next(&mut fields)?,
            size: next(&mut fields)?,
            mtime: next(&mut fields)?,
            nanos: next(&mut fields)?,
        })
    }
}
