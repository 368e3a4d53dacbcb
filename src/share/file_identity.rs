//! Recognises an unchanged file without reading it: by device, inode, size and times.

use std::fmt;
use std::str::{FromStr, Split};
use std::time::{Duration, UNIX_EPOCH};

use rustix::fs::Stat;

use crate::wall_clock;

/// A version of a file's content. No program can set the time of the last change
/// (ctime, stat(2)), so a write changes the identity even if the mtime is set back.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct FileIdentity {
    pub(super) device: u64,
    inode: u64,
    pub(super) size: u64,
    /// Seconds since 1970.
    pub(super) mtime: i64,
    ctime: i64,
    ctime_nanos: i64,
}

impl FileIdentity {
    /// Parses a printed identity.
    pub(super) fn parse(text: &str) -> Option<Self> {
        fn next<T: FromStr>(fields: &mut Split<'_, char>) -> Option<T> {
            fields.next()?.parse().ok()
        }
        let mut fields = text.split(' ');
        let identity = Self {
            device: next(&mut fields)?,
            inode: next(&mut fields)?,
            size: next(&mut fields)?,
            mtime: next(&mut fields)?,
            ctime: next(&mut fields)?,
            ctime_nanos: next(&mut fields)?,
        };
        fields.next().is_none().then_some(identity)
    }

    /// Stands for a file that is still being fetched. No file on disk has it.
    pub(super) fn partial(size: u64) -> Self {
        Self {
            device: 0,
            inode: 0,
            size,
            mtime: 0,
            ctime: 0,
            ctime_nanos: 0,
        }
    }

    /// Whether it is the same file; the content may differ.
    pub(super) fn is_same_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }

    /// The time since the last change. None for a change in the future, by the clock of
    /// another host.
    pub(super) fn age(&self) -> Option<Duration> {
        let seconds = u64::try_from(self.ctime).unwrap_or(0);
        let nanos = u32::try_from(self.ctime_nanos).unwrap_or(0);
        let now = wall_clock::now().duration_since(UNIX_EPOCH);
        now.ok()?.checked_sub(Duration::new(seconds, nanos))
    }
}

#[allow(
    clippy::cast_sign_loss,
    clippy::unnecessary_cast,
    clippy::useless_conversion,
    reason = "the types of the fields differ by platform"
)]
impl From<&Stat> for FileIdentity {
    fn from(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev.into(),
            inode: stat.st_ino.into(),
            size: stat.st_size as u64,
            mtime: stat.st_mtime as i64,
            ctime: stat.st_ctime as i64,
            ctime_nanos: stat.st_ctime_nsec as i64,
        }
    }
}

/// Prints six numbers separated by spaces, as in the hash cache.
impl fmt::Display for FileIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            device,
            inode,
            size,
            mtime,
            ctime,
            ctime_nanos,
        } = self;
        write!(f, "{device} {inode} {size} {mtime} {ctime} {ctime_nanos}")
    }
}
