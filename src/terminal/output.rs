//! The one way to the terminal for what a program says, whatever thread it is
//! in: no line comes in the middle of another one, nor of one that is typed.
//!
//! While a line editor has the terminal, nobody else may write there. What is
//! said waits meanwhile, for a moment: the editor is nudged, and draws it above
//! the line that is being edited.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::logging::LogQueue;
use crate::logging::{AsyncLogWriter, LogWriterHandle};

/// How long an editor may need to take the terminal.
const TAKING: Duration = Duration::from_secs(1);

/// Longer lines of the log come in pieces, of which some may be lost.
const LONG_LINE: usize = 64 * 1024;

/// A way to speak on stderr. All clones are the same voice.
#[derive(Clone, Default)]
pub struct TerminalOutput(Arc<SharedOutput>);

#[derive(Default)]
struct SharedOutput {
    state: Mutex<OutputState>,
    /// The editor has taken the terminal.
    taken: Condvar,
    /// For whoever writes on stderr in our stead.
    desk: Option<LogWriterHandle>,
}

#[derive(Default)]
struct OutputState {
    editor: EditorState,
    /// What waits for the editor: it draws nothing while it asks its user
    /// something.
    waiting: LogQueue,
    /// Tells the editor that something waits.
    nudge: Option<Sender<()>>,
}

/// What a line editor does.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum EditorState {
    /// Nothing: whoever speaks writes.
    #[default]
    Absent,
    /// It takes the terminal, but has not drawn anything.
    Comes,
    /// It has the terminal.
    Edits,
    /// The program ends, and no editor may come any more.
    Banned,
}

#[derive(Clone, Copy)]
enum Stream {
    Stdout,
    Stderr,
}

impl TerminalOutput {
    /// The voice of a server. It waits for no reader of stderr, unless that is a
    /// terminal: there who writes takes turns with the line editor.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn of_server() -> io::Result<(Self, Option<AsyncLogWriter>)> {
        if io::stderr().is_terminal() {
            return Ok((Self::default(), None));
        }
        let scribe = AsyncLogWriter::start(io::stderr())?;
        let stage = SharedOutput {
            desk: Some(scribe.handle()),
            ..SharedOutput::default()
        };
        Ok((Self(Arc::new(stage)), Some(scribe)))
    }

    /// Says a line, or several, on stderr. If nobody reads there any more, the
    /// work goes on all the same.
    pub fn say(&self, line: impl fmt::Display) {
        let _ = self.put(Stream::Stderr, format!("{line}\n").as_bytes());
    }

    /// Likewise on stdout.
    pub fn show(&self, line: impl fmt::Display) {
        let _ = writeln!(self.results(), "{line}");
    }

    /// Writes a prompt on stderr: what is typed stands behind it.
    pub fn prompt(&self, prompt: impl fmt::Display) {
        let _ = self.put(Stream::Stderr, prompt.to_string().as_bytes());
    }

    /// For the log, on stderr.
    #[must_use]
    pub fn log(&self) -> impl Write + Send + 'static {
        let output = StreamOutput {
            voice: self.clone(),
            stream: Stream::Stderr,
            may_wait: true,
        };
        io::LineWriter::with_capacity(LONG_LINE, output)
    }

    /// For results, on stdout. Into a pipe or a file they go without waiting.
    pub(crate) fn results(&self) -> StreamOutput {
        StreamOutput {
            voice: self.clone(),
            stream: Stream::Stdout,
            may_wait: io::stdout().is_terminal(),
        }
    }

    /// Whenever something waits for the editor, `nudge` is sent something.
    pub fn nudge_by(&self, nudge: Sender<()>) {
        self.lock().nudge = Some(nudge);
    }

    /// An editor wants to take the terminal. Returns whether it may.
    #[must_use]
    pub fn give_way(&self) -> bool {
        let mut state = self.lock();
        if state.editor == EditorState::Banned {
            return false;
        }
        state.editor = EditorState::Comes;
        true
    }

    /// Whether an editor has the terminal.
    #[must_use]
    pub fn is_away(&self) -> bool {
        matches!(self.lock().editor, EditorState::Comes | EditorState::Edits)
    }

    /// The editor has the terminal and draws: whole lines that it has to draw
    /// above its own.
    #[must_use]
    pub fn drawing(&self) -> String {
        let mut state = self.lock();
        if state.editor == EditorState::Comes {
            state.editor = EditorState::Edits;
            self.0.taken.notify_all();
        }
        with_gap(state.waiting.take_lines())
    }

    /// The editor has left the terminal as it was.
    pub fn come_back(&self) {
        let mut state = self.lock();
        if state.editor != EditorState::Banned {
            state.editor = EditorState::Absent;
            self.0.taken.notify_all();
        }
        self.0.catch_up(&mut state);
    }

    /// The program ends. Returns whether an editor has the terminal: it will not
    /// give it back by itself.
    #[must_use]
    pub fn end(&self) -> bool {
        let state = self.lock();
        // What it is about to take cannot be given back before.
        let (mut state, _) = self
            .0
            .taken
            .wait_timeout_while(state, TAKING, |state| state.editor == EditorState::Comes)
            .unwrap_or_else(PoisonError::into_inner);
        let was_away =
            std::mem::replace(&mut state.editor, EditorState::Banned) == EditorState::Edits;
        if was_away {
            // The line that was being edited stays as it is.
            let _ = self.0.write(Stream::Stderr, b"\n");
        }
        self.0.catch_up(&mut state);
        was_away
    }

    fn put(&self, stream: Stream, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.lock();
        match state.editor {
            EditorState::Absent | EditorState::Banned => self.0.write(stream, bytes),
            EditorState::Comes | EditorState::Edits => {
                state.wait(bytes);
                Ok(())
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, OutputState> {
        // No step below leaves it in pieces.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl SharedOutput {
    fn write(&self, stream: Stream, bytes: &[u8]) -> io::Result<()> {
        match (stream, &self.desk) {
            (Stream::Stdout, _) => io::stdout().write_all(bytes),
            (Stream::Stderr, None) => io::stderr().write_all(bytes),
            (Stream::Stderr, Some(desk)) => {
                desk.write(bytes);
                Ok(())
            }
        }
    }

    /// Says what still waits for an editor.
    fn catch_up(&self, state: &mut OutputState) {
        let rest = with_gap(state.waiting.take_all());
        let _ = self.write(Stream::Stderr, rest.as_bytes());
    }
}

impl OutputState {
    fn wait(&mut self, bytes: &[u8]) {
        self.waiting.push(bytes);
        if let Some(nudge) = &self.nudge {
            // If the editor has gone, its lines come when the terminal is back.
            let _ = nudge.send(());
        }
    }
}

/// Text, and a line about those that were left out after it.
fn with_gap((mut text, left_out): (String, u64)) -> String {
    if left_out > 0 {
        text.push_str(&format!("({left_out} more lines were left out)\n"));
    }
    text
}

/// A stream that gives way to the editor.
pub(crate) struct StreamOutput {
    voice: TerminalOutput,
    stream: Stream,
    /// Whether it leads to the terminal.
    may_wait: bool,
}

impl Write for StreamOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.may_wait {
            self.voice.put(self.stream, bytes)?;
        } else {
            self.voice.0.write(self.stream, bytes)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        match self.stream {
            Stream::Stdout => io::stdout().flush(),
            Stream::Stderr => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logging::MAX_QUEUED;
    use std::sync::mpsc;

    #[test]
    fn what_is_said_while_a_line_is_edited_waits_for_the_editor() {
        let voice = TerminalOutput::default();
        let (nudge, nudged) = mpsc::channel();
        voice.nudge_by(nudge);
        assert!(voice.give_way());
        voice.say("one");
        voice.say("two");
        assert_eq!(nudged.try_iter().count(), 2);
        assert_eq!(voice.drawing(), "one\ntwo\n");
        assert_eq!(voice.drawing(), "");
        // Half a line is drawn when the other half has come.
        let _ = voice.put(Stream::Stderr, b"three\nfo");
        assert_eq!(voice.drawing(), "three\n");
        let _ = voice.put(Stream::Stderr, b"ur\n");
        assert_eq!(voice.drawing(), "four\n");
    }

    #[test]
    fn when_there_is_no_room_lines_are_left_out_and_counted() {
        let voice = TerminalOutput::default();
        assert!(voice.give_way());
        let long = "x".repeat(MAX_QUEUED / 4 - 1);
        (0..6).for_each(|_| voice.say(&long));
        let drawn = voice.drawing();
        assert!(drawn.ends_with("x\n(2 more lines were left out)\n"));
        assert_eq!(drawn.lines().count(), 5);
        voice.say("room again");
        assert_eq!(voice.drawing(), "room again\n");
    }

    #[test]
    fn at_the_end_no_editor_may_come_any_more() {
        let voice = TerminalOutput::default();
        assert!(voice.give_way());
        let _ = voice.drawing();
        assert!(voice.is_away());
        assert!(voice.end(), "it had the terminal");
        assert!(!voice.give_way());
        voice.come_back();
        assert!(!voice.give_way(), "not even after it has left");
        assert!(!voice.end());
    }
}
