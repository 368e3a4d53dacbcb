//! The history file of the prompt: one command per line, the newest last. Several
//! programs may use the file at the same time: each of them locks the file before
//! it appends to it or shortens it.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use log::warn;
use rustix::fs::OFlags;

use crate::logging::OPERATOR;
use crate::protocol::MAX_LINE;
use crate::system_error::Reason;

/// Lines that are loaded at the next start. The file is shortened when it holds
/// more than twice as many.
pub(crate) const MAX_LINES: usize = 1000;

/// The most bytes that are loaded: more than so many lines and as many that are not yet removed.
const MAX_READ: u64 = 3 * (MAX_LINES * MAX_LINE) as u64;

/// The flags of the history file.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Prompt")]
pub struct HistoryArgs {
    /// Keep the lines that are typed at the prompt in this file
    /// [default: peerline/history in the user's state folder]
    #[arg(long, value_name = "FILE")]
    pub history: Option<PathBuf>,
    /// Keep no lines
    #[arg(long, conflicts_with = "history")]
    pub no_history: bool,
}

impl HistoryArgs {
    pub(crate) fn path(&self) -> Option<PathBuf> {
        if self.no_history {
            return None;
        }
        let default = || {
            Some(crate::xdg::user_folder("XDG_STATE_HOME", ".local/state", None)?.join("history"))
        };
        self.history.clone().or_else(default)
    }
}

/// The history file. Without a path, it is empty and stores nothing.
pub(crate) struct History {
    path: Option<PathBuf>,
}

impl History {
    pub(crate) fn new(path: Option<PathBuf>) -> Self {
        Self { path }
    }

    /// The newest lines, at most [`MAX_LINES`].
    pub(crate) fn load(&mut self) -> Vec<String> {
        self.with_locked_file(read).unwrap_or_default()
    }

    /// Appends a line.
    pub(crate) fn append(&mut self, line: &str) {
        if is_storable(line) {
            self.with_locked_file(|file| file.write_all(format!("{line}\n").as_bytes()));
        }
    }

    /// Calls `work` with the locked file. A failure is logged once and ends the use
    /// of the file.
    fn with_locked_file<T>(&mut self, work: impl FnOnce(&mut File) -> io::Result<T>) -> Option<T> {
        let path = self.path.as_deref()?;
        match open(path).and_then(|mut file| work(&mut file)) {
            Ok(result) => Some(result),
            Err(error) => {
                let (path, reason) = (path.display(), Reason(&error));
                warn!(
                    target: OPERATOR,
                    "cannot use the history file {path}: {reason}; --no-history disables it"
                );
                self.path = None;
                None
            }
        }
    }
}

/// Opens or creates the file, and the folders above it, for reading and appending, and locks the
/// file. Closing it unlocks it.
///
/// # Errors
/// The system's reason.
pub fn open(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        // The history is private: it names the files that were fetched.
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
    }
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true).mode(0o600);
    // Opening a FIFO would block.
    options.custom_flags(OFlags::NONBLOCK.bits() as i32);
    let file = options.open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    file.lock()?;
    Ok(file)
}

fn read(file: &mut File) -> io::Result<Vec<String>> {
    // Only the end: a damaged file may have any length.
    let skipped = file.metadata()?.len().saturating_sub(MAX_READ);
    file.seek(SeekFrom::Start(skipped))?;
    let mut bytes = Vec::new();
    file.take(MAX_READ).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let surplus = lines.len().saturating_sub(MAX_LINES);
    lines.drain(..surplus);
    if surplus > MAX_LINES || skipped > 0 {
        file.set_len(0)?;
        file.write_all((lines.join("\n") + "\n").as_bytes())?;
    }
    // Another program may have written the file: control characters must not reach
    // the terminal.
    lines.retain(|line| is_storable(line));
    Ok(lines)
}

fn is_storable(line: &str) -> bool {
    !line.trim().is_empty() && !line.contains(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Regression: all of it was read into memory.
    #[test]
    fn of_an_endless_history_only_the_end_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("history");
        File::create(&path).unwrap().set_len(1 << 40).unwrap();
        let mut history = History::new(Some(path.clone()));
        let end = OpenOptions::new().append(true).open(&path);
        end.unwrap().write_all(b"\nls\nget a\n").unwrap();
        assert_eq!(history.load(), ["ls", "get a"]);
        assert!(path.metadata().unwrap().len() <= MAX_READ);
        history.append("nodes");
        assert_eq!(history.load(), ["ls", "get a", "nodes"]);
    }
}
