//! The user's lines. Reading a terminal, a pipe or a file blocks, so it happens
//! in a thread of its own that only hands lines over, one each time it is asked.

use std::io::{self, BufRead, IsTerminal, Read, StdinLock};
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::jobs::{PromptKind, TerminalEvent};
use crate::protocol::MAX_LINE;
use crate::reactor::Handle;
use crate::terminal::TerminalOutput;
use crate::terminal::completion::Offers;
use crate::terminal::history::History;
use crate::terminal::line_editor::LineEditor;

/// How long a user waits for names after the TAB key.
const PATIENCE: Duration = Duration::from_secs(1);

/// What stands before the line. In a conversation it names who will hear the line,
/// so that no command is sent to a person by mistake.
pub(crate) fn prompt(wanted: PromptKind) -> String {
    match wanted {
        PromptKind::Command | PromptKind::Choice => "peerline> ".into(),
        PromptKind::Words(Some(to)) => format!("{to}> "),
        // That may become another one while the line is typed.
        PromptKind::Words(None) => "reply> ".into(),
    }
}

/// Asks the thread for the next line.
pub(crate) struct PromptHandle(Sender<PromptKind>);

impl PromptHandle {
    pub(crate) fn ask(&self, wanted: PromptKind) {
        // If the thread is gone, the end of input has been told already.
        let _ = self.0.send(wanted);
    }
}

/// Prepares the two ends: one asks, the other waits to be asked.
pub(crate) fn channel() -> (PromptHandle, Receiver<PromptKind>) {
    let (sender, receiver) = mpsc::channel();
    (PromptHandle(sender), receiver)
}

/// What the user did.
pub(crate) enum PromptInput {
    /// Entered a line.
    Line(String),
    /// Ended the input.
    End,
    /// Pressed ctrl-C where there was no line to be thrown away.
    Interrupt,
}

/// What the program does when a pipe of commands has ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum AtEnd {
    /// It ends as well; so it does at an empty line, as the programs did that
    /// Peerline descends from.
    Ends,
    /// It is told. An empty line is one like any other.
    IsTold,
    /// It goes on.
    GoesOn,
}

/// The prompt of a running program. When this is dropped, the terminal is given
/// back as it was: the thread may still be in the middle of a line.
pub(crate) struct Prompt {
    voice: TerminalOutput,
    /// How the terminal was, if there is one.
    found: Option<Termios>,
}

impl Drop for Prompt {
    fn drop(&mut self) {
        if self.voice.end()
            && let Some(found) = &self.found
        {
            // A terminal that is gone needs nothing.
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, found);
        }
    }
}

/// How a prompt differs from others.
pub(crate) struct PromptSettings {
    /// The commands, as they are explained, one a line.
    pub(crate) help: &'static str,
    /// Where lines are kept for the next time.
    pub(crate) history: Option<PathBuf>,
    /// What happens at the end of a pipe.
    pub(crate) at_end: AtEnd,
}

/// Starts the thread. It ends with the process.
pub(crate) fn start<M>(
    asked: Receiver<PromptKind>,
    program: Handle<M>,
    voice: &TerminalOutput,
    settings: PromptSettings,
) -> io::Result<Prompt>
where
    M: From<TerminalEvent> + Send + 'static,
{
    let prompt = Prompt {
        voice: voice.clone(),
        found: tcgetattr(io::stdin()).ok(),
    };
    let voice = voice.clone();
    let body = move || {
        let mut lines = None;
        while let Ok(wanted) = asked.recv() {
            // Not before: a client that saves a file may never ask.
            let lines = lines.get_or_insert_with(|| {
                let program = program.clone();
                let names = Box::new(move |prefix: &str| names(&program, prefix));
                let help = settings.help;
                let history = History::new(settings.history.clone());
                Lines::new(
                    voice.clone(),
                    Offers { help, names },
                    history,
                    settings.at_end,
                )
            });
            match lines.next(wanted) {
                PromptInput::Line(line) => program.send(TerminalEvent::Typed(line).into()),
                PromptInput::End if settings.at_end == AtEnd::GoesOn && !lines.terminal => {
                    return;
                }
                PromptInput::End => return program.send(TerminalEvent::EndOfInput.into()),
                PromptInput::Interrupt => program.send(TerminalEvent::Interrupt.into()),
            }
        }
    };
    thread::Builder::new().name("prompt".into()).spawn(body)?;
    Ok(prompt)
}

/// The names of files that begin so. None, if the answer takes too long.
fn names<M: From<TerminalEvent>>(program: &Handle<M>, prefix: &str) -> Vec<String> {
    let (answer, names) = mpsc::channel();
    let prefix = prefix.to_owned();
    program.send(TerminalEvent::Complete { prefix, answer }.into());
    names.recv_timeout(PATIENCE).unwrap_or_default()
}

/// Where lines come from.
struct Lines {
    stdin: StdinLock<'static>,
    /// Whether a person is there.
    terminal: bool,
    voice: TerminalOutput,
    at_end: AtEnd,
    editor: Option<LineEditor>,
}

impl Lines {
    fn new(voice: TerminalOutput, offers: Offers, history: History, at_end: AtEnd) -> Self {
        let terminal = io::stdin().is_terminal();
        let editor = if terminal && io::stderr().is_terminal() && LineEditor::has_room() {
            LineEditor::new(voice.clone(), offers, history)
        } else {
            None
        };
        Self {
            stdin: io::stdin().lock(),
            terminal,
            voice,
            at_end,
            editor,
        }
    }

    fn next(&mut self, wanted: PromptKind) -> PromptInput {
        if let Some(editor) = &mut self.editor
            && LineEditor::has_room()
        {
            return editor.next(wanted);
        }
        if self.terminal {
            self.voice.prompt(prompt(wanted));
        }
        match next_line(&mut self.stdin) {
            Some(line) if !self.is_end(&line) => PromptInput::Line(line),
            Some(_) | None => {
                if self.terminal {
                    self.voice.say("");
                }
                PromptInput::End
            }
        }
    }

    /// Whether this line ends the input.
    fn is_end(&self, line: &str) -> bool {
        self.at_end == AtEnd::Ends && !self.terminal && line.trim().is_empty()
    }
}

/// One line; what is no UTF-8 in it cannot be a file name anyway.
fn next_line(input: &mut impl BufRead) -> Option<String> {
    let mut line = Vec::new();
    let length = input
        .by_ref()
        .take(MAX_LINE as u64)
        .read_until(b'\n', &mut line)
        .ok()?;
    if length == MAX_LINE && !line.ends_with(b"\n") {
        // The rest of a line that is too long is no command of its own.
        input.skip_until(b'\n').ok()?;
    }
    (length > 0).then(|| String::from_utf8_lossy(&line).into_owned())
}
