//! The terminal output of a program. All threads print through one
//! [`TerminalOutput`], so that no line appears inside another one.
//!
//! While the line editor holds the terminal, nobody else may write to it. Lines
//! that are printed meanwhile are queued. A redraw request makes the editor draw
//! them above the line that is being edited.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::counted::Counted;
use crate::logging::{AsyncLogWriter, LogBuffer, LogFormat, LogQueue};
use crate::stdio::{Stderr, Stdout, write_at_once};
use crate::system_error::Reason;
use crate::terminal::{TerminalMode, mode};

/// How long the editor may take from acquiring the terminal to its first draw.
const EDITOR_START_TIMEOUT: Duration = Duration::from_secs(1);

/// Buffer size of the log writer. A longer log line is written in pieces, and
/// some of them may be lost.
const LOG_BUFFER_SIZE: usize = 64 * 1024;

/// Prints to stdout and stderr. All clones share one state.
#[derive(Clone, Default)]
pub struct TerminalOutput(Arc<SharedOutput>);

#[derive(Default)]
struct SharedOutput {
    state: Mutex<OutputState>,
    /// Signals that the editor has left [`EditorState::Starting`].
    editor_changed: Condvar,
    /// The thread that writes to stderr instead of the caller, if there is one.
    log_writer: Option<LogBuffer>,
    /// Stdin or stdout has failed.
    has_failed: AtomicBool,
    /// The user was told of it.
    has_reported_failure: AtomicBool,
}

#[derive(Default)]
struct OutputState {
    editor: EditorState,
    /// The settings of the terminal while a line is edited.
    editing_mode: Option<TerminalMode>,
    /// Output for the editor to draw. It may stay here for a while: the editor
    /// draws nothing while it waits for an answer from the user.
    pending: LogQueue,
    /// Asks the editor to draw the pending output.
    redraw: Option<Sender<()>>,
}

/// Whether the line editor holds the terminal.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum EditorState {
    /// The editor does not hold the terminal. Output is written at once.
    #[default]
    Absent,
    /// The editor has acquired the terminal, but has drawn nothing yet.
    Starting,
    /// The editor has drawn its line.
    Active,
    /// The program ends. The editor may not acquire the terminal again.
    Closed,
}

#[derive(Clone, Copy)]
enum Stream {
    Stdout,
    Stderr,
}

impl TerminalOutput {
    /// The output of a server. It does not block on a slow reader of stderr, unless it
    /// `may_edit` lines at a terminal: there, output is synchronised with the line editor.
    ///
    /// # Errors
    /// The system cannot start a thread.
    pub fn for_server(may_edit: bool) -> io::Result<(Self, Option<AsyncLogWriter>)> {
        if may_edit && io::stderr().is_terminal() {
            return Ok((Self::default(), None));
        }
        let writer = AsyncLogWriter::start(Stderr)?;
        let shared = SharedOutput {
            log_writer: Some(writer.buffer()),
            ..SharedOutput::default()
        };
        Ok((Self(Arc::new(shared)), Some(writer)))
    }

    /// Prints a line, or several, on stderr. Write errors are ignored: the program
    /// goes on if nobody reads its stderr.
    pub fn eprintln(&self, line: impl fmt::Display) {
        let _ = self.write(Stream::Stderr, format!("{line}\n").as_bytes());
    }

    /// Prints a line, or several, on stdout.
    pub fn println(&self, line: impl fmt::Display) {
        if let Err(error) = writeln!(self.stdout(), "{line}") {
            self.fail("cannot write to stdout", &error);
        }
    }

    /// An operation on stdin or stdout has failed. The first failure is reported, unless
    /// the reader of stdout has closed it.
    pub(crate) fn fail(&self, operation: &str, error: &io::Error) {
        self.0.has_failed.store(true, Ordering::Relaxed);
        if error.kind() != io::ErrorKind::BrokenPipe
            && !self.0.has_reported_failure.swap(true, Ordering::Relaxed)
        {
            self.eprintln(format_args!("{operation}: {}", Reason(error)));
        }
    }

    /// Whether stdin or stdout has failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.0.has_failed.load(Ordering::Relaxed)
    }

    /// Prints on stderr without a line end: a prompt.
    pub fn eprint(&self, text: impl fmt::Display) {
        let _ = self.write(Stream::Stderr, text.to_string().as_bytes());
    }

    /// A writer for the log, to stderr.
    #[must_use]
    pub fn log_writer(&self, format: LogFormat) -> impl Write + Send + 'static {
        if let Some(writer) = &self.0.log_writer {
            writer.set_format(format);
        }
        let output = StreamOutput {
            output: self.clone(),
            stream: Stream::Stderr,
            waits_for_editor: true,
        };
        io::LineWriter::with_capacity(LOG_BUFFER_SIZE, output)
    }

    /// A writer for results, to stdout. If stdout is a pipe or a file, it does not
    /// wait for the editor.
    pub(crate) fn stdout(&self) -> StreamOutput {
        StreamOutput {
            output: self.clone(),
            stream: Stream::Stdout,
            waits_for_editor: io::stdout().is_terminal(),
        }
    }

    /// From now on, each output that waits for the editor also sends a redraw request.
    pub fn set_redraw_sender(&self, redraw: Sender<()>) {
        self.lock().redraw = Some(redraw);
    }

    /// Gives the terminal to the editor. Returns false if the program ends.
    #[must_use]
    pub fn acquire_for_editor(&self) -> bool {
        let mut state = self.lock();
        if state.editor == EditorState::Closed {
            return false;
        }
        state.editor = EditorState::Starting;
        true
    }

    /// Whether the editor holds the terminal.
    #[must_use]
    pub fn is_held_by_editor(&self) -> bool {
        matches!(
            self.lock().editor,
            EditorState::Starting | EditorState::Active
        )
    }

    /// The editor calls this when it draws. Returns the complete lines to draw above
    /// the edited line.
    #[must_use]
    pub fn take_pending_lines(&self) -> String {
        let mut state = self.lock();
        if state.editor == EditorState::Starting {
            state.editor = EditorState::Active;
            state.editing_mode = Some(TerminalMode::current());
            self.0.editor_changed.notify_all();
        }
        with_omission_note(state.pending.take_lines())
    }

    /// The program goes on after it was stopped. Meanwhile the shell has changed the
    /// settings of the terminal. In the background it is the shell's.
    pub(crate) fn resume_editor(&self) {
        if mode::is_in_background() {
            return;
        }
        let state = self.lock();
        if let (EditorState::Active, Some(mode)) = (state.editor, &state.editing_mode) {
            mode.apply();
            state.request_redraw();
        }
    }

    /// Takes the terminal back from the editor, which has restored it.
    pub fn release_from_editor(&self) {
        let mut state = self.lock();
        if state.editor != EditorState::Closed {
            state.editor = EditorState::Absent;
            self.0.editor_changed.notify_all();
        }
        self.0.flush_pending(&mut state);
    }

    /// The program ends. Returns whether the editor still holds the terminal: then
    /// the caller has to restore it.
    #[must_use]
    pub fn close(&self) -> bool {
        let state = self.lock();
        // Waits for an editor that is starting: it would change the terminal after the
        // caller has restored it.
        let (mut state, _) = self
            .0
            .editor_changed
            .wait_timeout_while(state, EDITOR_START_TIMEOUT, |state| {
                state.editor == EditorState::Starting
            })
            .unwrap_or_else(PoisonError::into_inner);
        let was_active =
            std::mem::replace(&mut state.editor, EditorState::Closed) == EditorState::Active;
        if was_active {
            // The line that was being edited stays visible.
            let _ = self.0.write(Stream::Stderr, b"\n");
        }
        self.0.flush_pending(&mut state);
        was_active
    }

    fn write(&self, stream: Stream, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.lock();
        match state.editor {
            EditorState::Absent | EditorState::Closed => self.0.write(stream, bytes),
            EditorState::Starting | EditorState::Active => {
                state.pending.push(bytes);
                state.request_redraw();
                Ok(())
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, OutputState> {
        // A panic leaves the state valid: each change below is a single step.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OutputState {
    fn request_redraw(&self) {
        if let Some(redraw) = &self.redraw {
            // If the editor has just ended, `release_from_editor` writes the text.
            let _ = redraw.send(());
        }
    }
}

impl SharedOutput {
    fn write(&self, stream: Stream, bytes: &[u8]) -> io::Result<()> {
        match (stream, &self.log_writer) {
            (Stream::Stdout, _) => Stdout.write_all(bytes),
            (Stream::Stderr, None) => Stderr.write_all(bytes),
            (Stream::Stderr, Some(writer)) => {
                writer.push(bytes);
                Ok(())
            }
        }
    }

    fn flush_pending(&self, state: &mut OutputState) {
        let rest = with_omission_note(state.pending.take_all());
        let _ = self.write(Stream::Stderr, rest.as_bytes());
    }
}

/// Appends a line that says how many later lines were dropped.
fn with_omission_note((mut text, omitted): (String, u64)) -> String {
    if omitted > 0 {
        text.push_str(&format!("({} omitted)\n", Counted(omitted, "line")));
    }
    text
}

/// A writer to one of the streams.
pub(crate) struct StreamOutput {
    output: TerminalOutput,
    stream: Stream,
    /// Whether the stream may be the terminal: output then waits while the editor holds it.
    waits_for_editor: bool,
}

impl Write for StreamOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.waits_for_editor {
            self.output.write(self.stream, bytes)?;
        } else {
            self.output.0.write(self.stream, bytes)?;
        }
        Ok(bytes.len())
    }

    fn write_fmt(&mut self, text: fmt::Arguments<'_>) -> io::Result<()> {
        write_at_once(self, text)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_that_follows_a_broken_pipe_is_reported() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let writer = AsyncLogWriter::start(file.reopen().expect("a file")).expect("a thread");
        let output = TerminalOutput(Arc::new(SharedOutput {
            log_writer: Some(writer.buffer()),
            ..SharedOutput::default()
        }));
        output.fail("write", &io::ErrorKind::BrokenPipe.into());
        assert!(output.has_failed());
        output.fail("read", &io::ErrorKind::StorageFull.into());
        output.fail("write", &io::ErrorKind::StorageFull.into());
        // It is flushed.
        drop(writer);
        let text = std::fs::read_to_string(file.path()).expect("text");
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.starts_with("read: "), "{text}");
    }
}
