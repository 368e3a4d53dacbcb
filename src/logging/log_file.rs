//! The file of a log. Programs such as logrotate move it away, and expect that the log goes
//! on in a new file of the same name.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::PathBuf;

use crate::stdio::Stderr;
use crate::system_error::Reason;

/// A log file. A write opens it anew if its name leads to another file, or to none.
pub struct LogFile {
    path: PathBuf,
    file: File,
    /// The last write has failed, and stderr says so.
    has_failed: bool,
}

impl LogFile {
    /// Opens the file, or creates it.
    ///
    /// # Errors
    /// The system's reason.
    pub fn open(path: PathBuf) -> io::Result<Self> {
        // For writing alone, open(2) of a FIFO waits for a reader.
        let is_fifo = fs::metadata(&path).is_ok_and(|found| found.file_type().is_fifo());
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .read(is_fifo)
            .open(&path)?;
        Ok(Self {
            path,
            file,
            has_failed: false,
        })
    }

    fn is_moved(&self) -> bool {
        let identity = |found: fs::Metadata| (found.dev(), found.ino());
        let named = fs::metadata(&self.path).map(identity);
        named.ok() != self.file.metadata().map(identity).ok()
    }
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.is_moved()
            && let Ok(file) = Self::open(self.path.clone())
        {
            *self = file;
        }
        let written = self.file.write(bytes);
        match &written {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                if !std::mem::replace(&mut self.has_failed, true) {
                    let (path, reason) = (self.path.display(), Reason(error));
                    // Without stderr, only the number of lost lines remains.
                    let _ = writeln!(Stderr, "cannot write the log to {path}: {reason}");
                }
            }
            Ok(_) => self.has_failed = false,
        }
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
