//! Content on stdout.

use std::io::{self, IsTerminal, Write};

use crate::download::shell_command;
use crate::escaped::EscapedStream;
use crate::jobs::{StoreError, StoreErrorKind};
use crate::protocol::FileName;
use crate::stdio::{Stdout, stdout_is_closed};
use crate::system_error::Reason;

/// The first bytes of a file are buffered up to this size: if the source fails
/// before, nothing was printed and another source can be used.
const MAX_BUFFERED: usize = 1024 * 1024;

/// Prints files to stdout: as they are or, on a terminal, with control characters
/// escaped.
pub struct Printer {
    escapes: bool,
    /// Whether the user types commands at a prompt.
    is_prompt: bool,
    /// The name of the content.
    name: Option<FileName<'static>>,
    buffer: Vec<u8>,
    /// Whether the buffer was printed; from then on content is not buffered.
    is_flushed: bool,
    /// Bytes of the content that were printed.
    printed: u64,
    escaped: EscapedStream,
    is_at_line_start: bool,
    /// Whether the content was refused because it is binary.
    has_binary: bool,
}

impl Printer {
    /// Escapes control characters if stdout is a terminal, unless `raw` is set.
    #[must_use]
    pub(crate) fn new(raw: bool, is_prompt: bool) -> Self {
        Self::empty(!raw && io::stdout().is_terminal(), is_prompt)
    }

    fn empty(escapes: bool, is_prompt: bool) -> Self {
        Self {
            escapes,
            is_prompt,
            name: None,
            buffer: Vec::new(),
            is_flushed: false,
            printed: 0,
            escaped: EscapedStream::default(),
            is_at_line_start: true,
            has_binary: false,
        }
    }

    /// Whether the content was refused because it is binary. Says so once.
    pub(super) fn take_binary(&mut self) -> bool {
        std::mem::take(&mut self.has_binary)
    }

    /// Starts another content.
    pub(crate) fn open(&mut self, name: &FileName<'_>) {
        *self = Self::empty(self.escapes, self.is_prompt);
        self.name = Some(name.clone().into_owned());
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        if self.is_flushed {
            return self.print(bytes);
        }
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= MAX_BUFFERED {
            self.flush_buffer()?;
        }
        Ok(())
    }

    /// The content is complete.
    pub(crate) fn commit(&mut self) -> Result<(), StoreError> {
        if !self.is_flushed {
            self.flush_buffer()?;
        }
        if self.escapes {
            let mut rest = String::new();
            self.escaped.finish(&mut rest);
            // The prompt starts at the beginning of a line.
            if !self.is_at_line_start || !rest.is_empty() {
                rest.push('\n');
            }
            write_stdout(rest.as_bytes())?;
        }
        Ok(())
    }

    /// The content stays incomplete. Returns how many bytes were printed.
    pub(crate) fn discard(&mut self) -> u64 {
        self.buffer.clear();
        if self.escapes && !std::mem::replace(&mut self.is_at_line_start, true) {
            // The next message starts at the beginning of a line.
            let _ = write_stdout(b"\n");
        }
        std::mem::take(&mut self.printed)
    }

    fn flush_buffer(&mut self) -> Result<(), StoreError> {
        self.is_flushed = true;
        let bytes = std::mem::take(&mut self.buffer);
        if stdout_is_closed() {
            let reason = "cannot write to stdout: it is closed, or /dev/null opened for both reading and \
                          writing; to save the content, use -o FILE";
            return Err(StoreError {
                reason: reason.to_owned(),
                kind: StoreErrorKind::Other,
            });
        }
        if self.escapes && is_binary(&bytes) {
            self.has_binary = true;
            let advice = match &self.name {
                Some(name) if self.is_prompt => {
                    format!(
                        "get -o FILE -- {} saves it",
                        shell_command::word(name.as_str())
                    )
                }
                _ => "-o FILE saves it, --raw prints it".to_owned(),
            };
            return Err(StoreError {
                reason: format!("binary content is not printed on a terminal: {advice}"),
                kind: StoreErrorKind::Other,
            });
        }
        self.print(&bytes)
    }

    fn print(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        if self.escapes {
            let mut text = String::new();
            self.escaped.push(bytes, &mut text);
            write_stdout(text.as_bytes())?;
        } else {
            write_stdout(bytes)?;
        }
        self.printed += bytes.len() as u64;
        if let Some(last) = bytes.last() {
            self.is_at_line_start = *last == b'\n';
        }
        Ok(())
    }
}

/// Whether `bytes` hold a NUL or are not UTF-8. An incomplete character at the end
/// is allowed.
fn is_binary(bytes: &[u8]) -> bool {
    bytes.contains(&0) || std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_some())
}

fn write_stdout(bytes: &[u8]) -> Result<(), StoreError> {
    Stdout
        .write_all(bytes)
        .map_err(|error| stdout_error(&error))
}

pub(crate) fn stdout_error(error: &io::Error) -> StoreError {
    StoreError {
        reason: format!("cannot write to stdout: {}", Reason(error)),
        kind: match error.kind() {
            io::ErrorKind::BrokenPipe => StoreErrorKind::ReaderGone,
            _ => StoreErrorKind::of(error),
        },
    }
}
