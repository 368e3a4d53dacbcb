//! Content on stdout.

use std::io::{self, IsTerminal, Write};

use crate::escaped::EscapedStream;
use crate::jobs::StoreError;

/// So much is held back until it has arrived: a source that breaks off before
/// leaves nothing behind, and another can be asked.
const HELD_BACK: usize = 1024 * 1024;

/// Prints files on stdout, as they are, or on a terminal with their control
/// characters made visible.
pub struct Printer {
    /// Show control characters instead of sending them to the terminal.
    careful: bool,
    held: Vec<u8>,
    /// Nothing is held back any more.
    released: bool,
    shown: u64,
    visible: EscapedStream,
    ends_line: bool,
}

impl Printer {
    /// Prints raw bytes if asked to or if stdout is no terminal.
    #[must_use]
    pub(crate) fn new(raw: bool) -> Self {
        Self {
            careful: !raw && io::stdout().is_terminal(),
            held: Vec::new(),
            released: false,
            shown: 0,
            visible: EscapedStream::default(),
            ends_line: true,
        }
    }

    pub(crate) fn open(&mut self) {
        self.held.clear();
        self.released = false;
        self.shown = 0;
        self.visible = EscapedStream::default();
        self.ends_line = true;
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        if self.released {
            return self.print(bytes);
        }
        self.held.extend_from_slice(bytes);
        if self.held.len() >= HELD_BACK {
            self.release()?;
        }
        Ok(())
    }

    pub(crate) fn commit(&mut self) -> Result<(), StoreError> {
        if !self.released {
            self.release()?;
        }
        if self.careful {
            let mut rest = String::new();
            self.visible.finish(&mut rest);
            // The prompt starts on a line of its own.
            if !self.ends_line || !rest.is_empty() {
                rest.push('\n');
            }
            write(rest.as_bytes())?;
        }
        io::stdout().flush().map_err(|error| failed(&error))
    }

    pub(crate) fn discard(&mut self) -> u64 {
        self.held.clear();
        if self.careful && !std::mem::replace(&mut self.ends_line, true) {
            // What is said next starts on a line of its own.
            let _ = write(b"\n");
        }
        std::mem::take(&mut self.shown)
    }

    fn release(&mut self) -> Result<(), StoreError> {
        self.released = true;
        let held = std::mem::take(&mut self.held);
        if self.careful && is_binary(&held) {
            return Err(StoreError {
                reason: "it is no text: on the command line get NAME -o FILE saves it, and --raw prints it"
                    .into(),
                is_reader_gone: false,
            });
        }
        self.print(&held)
    }

    fn print(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        if self.careful {
            let mut text = String::new();
            self.visible.push(bytes, &mut text);
            write(text.as_bytes())?;
        } else {
            write(bytes)?;
        }
        self.shown += bytes.len() as u64;
        self.ends_line = bytes.last().map_or(self.ends_line, |last| *last == b'\n');
        Ok(())
    }
}

/// A text has no NUL and, but for a character that the end cuts, is UTF-8.
fn is_binary(bytes: &[u8]) -> bool {
    bytes.contains(&0) || std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_some())
}

fn write(bytes: &[u8]) -> Result<(), StoreError> {
    io::stdout()
        .lock()
        .write_all(bytes)
        .map_err(|error| failed(&error))
}

pub(crate) fn failed(error: &io::Error) -> StoreError {
    StoreError {
        reason: format!("stdout cannot be written: {error}"),
        is_reader_gone: error.kind() == io::ErrorKind::BrokenPipe,
    }
}
