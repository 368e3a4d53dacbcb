//! The lines that were typed at a prompt, kept in a file for the next time: one
//! a line, the last one at the end. Several programs may do so at once: each
//! adds its lines to the file, and only shortens it while nobody else has it.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use log::warn;
use rustix::fs::OFlags;

/// Lines that are known again at the next start. The file may have twice as many
/// before it is shortened.
pub(crate) const MAX_LINES: usize = 1000;

/// Where typed lines are kept.
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
        let own =
            || Some(crate::xdg::user_folder("XDG_STATE_HOME", ".local/state")?.join("history"));
        self.history.clone().or_else(own)
    }
}

/// A file of lines; without one, nothing is kept.
pub(crate) struct History {
    path: Option<PathBuf>,
}

impl History {
    pub(crate) fn new(path: Option<PathBuf>) -> Self {
        Self { path }
    }

    /// The lines that are kept, at most [`MAX_LINES`].
    pub(crate) fn lines(&mut self) -> Vec<String> {
        self.with_file(read).unwrap_or_default()
    }

    /// Keeps one more line.
    pub(crate) fn keep(&mut self, line: &str) {
        if may_stand(line) {
            self.with_file(|file| file.write_all(format!("{line}\n").as_bytes()));
        }
    }

    /// Does something with the file, as the only one. If it cannot be done, that
    /// is told once, and it is not tried again.
    fn with_file<T>(&mut self, work: impl FnOnce(&mut File) -> io::Result<T>) -> Option<T> {
        let path = self.path.as_deref()?;
        match open(path).and_then(|mut file| work(&mut file)) {
            Ok(result) => Some(result),
            Err(error) => {
                let path = path.display();
                warn!("no history is kept in {path}: {error}; --no-history asks for none");
                self.path = None;
                None
            }
        }
    }
}

/// Opens it for reading and for writing at its end. The lock goes with the file.
fn open(path: &Path) -> io::Result<File> {
    if let Some(folder) = path.parent() {
        // Nobody else needs to know what was fetched.
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)?;
    }
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true).mode(0o600);
    // A FIFO would be waited for.
    options.custom_flags(OFlags::NONBLOCK.bits() as i32);
    let file = options.open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    file.lock()?;
    Ok(file)
}

fn read(file: &mut File) -> io::Result<Vec<String>> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let surplus = lines.len().saturating_sub(MAX_LINES);
    lines.drain(..surplus);
    if surplus > MAX_LINES {
        file.set_len(0)?;
        file.write_all((lines.join("\n") + "\n").as_bytes())?;
    }
    // Whoever wrote the file: what is drawn must not play with the terminal.
    lines.retain(|line| may_stand(line));
    Ok(lines)
}

fn may_stand(line: &str) -> bool {
    !line.trim().is_empty() && !line.contains(char::is_control)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn history(path: &Path) -> History {
        History::new(Some(path.to_owned()))
    }

    #[test]
    fn lines_are_known_again_and_only_to_their_user() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("state/peerline/history");
        assert_eq!(history(&path).lines(), [""; 0]);
        // Two programs at once.
        let (mut one, mut other) = (history(&path), history(&path));
        one.keep("ls");
        other.keep("two words.txt");
        one.keep(" \t");
        one.keep("a\u{1b}[2Jb");
        one.keep("größe");
        assert_eq!(history(&path).lines(), ["ls", "two words.txt", "größe"]);
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        fs::write(&path, b"good\n\x1b[31m\n\n\xff\n").unwrap();
        assert_eq!(history(&path).lines(), ["good", "\u{fffd}"]);
    }

    #[test]
    fn the_last_lines_stay() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("history");
        let count = || fs::read_to_string(&path).unwrap().lines().count();
        let text: String = (0..2 * MAX_LINES).map(|n| format!("{n}\n")).collect();
        fs::write(&path, text).unwrap();
        let last = (2 * MAX_LINES - 1).to_string();
        assert_eq!(history(&path).lines().last(), Some(&last));
        assert_eq!(count(), 2 * MAX_LINES);
        history(&path).keep("one too many");
        let lines = history(&path).lines();
        assert_eq!(lines.last().map(String::as_str), Some("one too many"));
        assert_eq!((lines.len(), count()), (MAX_LINES, MAX_LINES));
        history(&path).keep("goes on");
        assert_eq!(count(), MAX_LINES + 1);
    }

    #[test]
    fn what_cannot_be_kept_is_not_tried_again() {
        let home = tempfile::tempdir().unwrap();
        fs::write(home.path().join("file"), b"").unwrap();
        for place in ["", "file/history", "/dev/null"] {
            let mut history = history(&home.path().join(place));
            assert_eq!(history.lines(), [""; 0]);
            assert_eq!(history.path, None, "{place}");
            history.keep("x");
        }
    }
}
