//! The file of a log. Programs such as logrotate move it away, and expect that the log goes
//! on in a new file of the same name.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::PathBuf;

use crate::stdio::Stderr;
use crate::system_error::Reason;

/// A log file. A write opens it anew if its name leads to another file, or to none. If that
/// fails, the lines go on to the file that was moved away, as long as it exists.
pub struct LogFile {
    path: PathBuf,
    file: File,
    /// The last attempt to open or to write the file has failed, and stderr says so.
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

    /// Opens the file anew if its name leads to another file, or to none.
    fn follow_name(&mut self) -> io::Result<()> {
        if self.is_moved() {
            *self = Self::open(self.path.clone())?;
        }
        Ok(())
    }

    fn is_moved(&self) -> bool {
        let identity = |found: fs::Metadata| (found.dev(), found.ino());
        let named = fs::metadata(&self.path).map(identity);
        named.ok() != self.file.metadata().map(identity).ok()
    }

    fn is_removed(&self) -> bool {
        self.file.metadata().is_ok_and(|found| found.nlink() == 0)
    }

    /// Tells the first of several failures.
    fn report(&mut self, action: &str, error: &io::Error) {
        if !std::mem::replace(&mut self.has_failed, true) {
            let (path, reason) = (self.path.display(), Reason(error));
            // Without stderr, only the number of lost lines remains.
            let _ = writeln!(Stderr, "cannot {action} {path}: {reason}");
        }
    }
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let followed = self.follow_name();
        if let Err(error) = &followed {
            self.report("reopen the log file", error);
        }
        let written = match &followed {
            // The lines would be lost without a count.
            Err(error) if self.is_removed() => return Err(error.kind().into()),
            _ => self.file.write(bytes),
        };
        match &written {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => self.report("write the log to", error),
            Ok(_) => self.has_failed = followed.is_err(),
        }
        written
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_without_a_file_are_errors() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("log");
        let mut log = LogFile::open(path.clone()).expect("a new file");
        log.write_all(b"first\n").expect("it is open");
        fs::remove_file(&path).expect("it was there");
        fs::create_dir(&path).expect("a free name");
        log.write(b"lost\n").expect_err("nobody can read it");
        fs::remove_dir(&path).expect("it is empty");
        log.write_all(b"second\n").expect("a new file");
        assert_eq!(fs::read(&path).expect("readable"), b"second\n");
    }
}
