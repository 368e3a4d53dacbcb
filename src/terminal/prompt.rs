//! Reads the user's lines. Reading a terminal, a pipe or a file blocks, so a thread
//! of its own does it. The thread reads one line per request.

use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read};
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use crate::jobs::{FoundNames, PromptKind, TerminalEvent};
use crate::protocol::MAX_LINE;
use crate::reactor::Handle;
use crate::stdio::Stdin;
use crate::terminal::completion::LineCompleter;
use crate::terminal::history::History;
use crate::terminal::line_editor::LineEditor;
use crate::terminal::resumes::Resumes;
use crate::terminal::{TerminalMode, TerminalOutput, mode};

/// The byte order mark.
const BOM: char = '\u{feff}';

/// How long the TAB key waits for file names.
const COMPLETION_TIMEOUT: Duration = Duration::from_secs(1);

/// The prompt before a line. In a chat it names the receiver of the line, so that
/// the user does not send a command to a person by mistake.
fn prompt_text(kind: PromptKind) -> String {
    match kind {
        PromptKind::Command => "peerline> ".into(),
        PromptKind::Choice => "number> ".into(),
        PromptKind::Confirmation => "save it? [y/N] ".into(),
        PromptKind::Name => "name> ".into(),
        PromptKind::Message(Some(to)) => format!("{to}> "),
        // The receiver may change while the line is typed.
        PromptKind::Message(None) => "reply> ".into(),
    }
}

/// The prompt of a running program. Dropping it restores the terminal: the thread
/// may still be editing a line.
pub(crate) struct Prompt {
    output: TerminalOutput,
    /// The settings of the terminal at the start.
    original: TerminalMode,
}

impl Drop for Prompt {
    fn drop(&mut self) {
        if self.output.close() {
            self.original.apply();
        }
    }
}

/// The settings of a prompt.
pub(crate) struct PromptSettings {
    /// The help text: one command per line.
    pub(crate) help: &'static str,
    /// The history file, if there is one.
    pub(crate) history: Option<PathBuf>,
    /// Read a file instead of stdin.
    pub(crate) file: Option<File>,
    /// The program goes on after the end of input, if that is not a terminal.
    pub(crate) outlives_input: bool,
    /// The program goes on if its terminal is closed.
    pub(crate) survives_hangup: bool,
}

/// Starts the thread. It reads a line for each of `requests`, and ends with the
/// process.
pub(crate) fn start<M>(
    requests: Receiver<PromptKind>,
    program: Handle<M>,
    output: &TerminalOutput,
    mut settings: PromptSettings,
) -> io::Result<Prompt>
where
    M: From<TerminalEvent> + Send + 'static,
{
    let prompt = Prompt {
        output: output.clone(),
        original: TerminalMode::current(),
    };
    let output = output.clone();
    let body = move || {
        // Without it, the prompt stops the program in the background.
        let _ = mode::block_stops();
        // Opened at the first request: a client that saves a file may never make one.
        let mut source = None;
        while let Ok(kind) = requests.recv() {
            let source = source
                .get_or_insert_with(|| LineSource::open(&mut settings, &program, output.clone()));
            match source.read_line(kind) {
                TerminalEvent::EndOfInput if source.may_continue(&settings) => return,
                event @ TerminalEvent::EndOfInput => return program.send(event.into()),
                event => program.send(event.into()),
            }
        }
    };
    thread::Builder::new().name("prompt".into()).spawn(body)?;
    Ok(prompt)
}

/// Returns the file names that begin with `prefix`, or none if the answer takes too
/// long.
fn find_names<M: From<TerminalEvent>>(program: &Handle<M>, prefix: &str) -> FoundNames {
    let (sender, names) = mpsc::channel();
    let prefix = prefix.to_owned();
    let callback = Box::new(move |names| {
        // Nobody waits for names that come too late.
        let _ = sender.send(names);
    });
    program.send(TerminalEvent::Complete { prefix, callback }.into());
    names.recv_timeout(COMPLETION_TIMEOUT).unwrap_or_default()
}

/// The input of the prompt: a terminal, with or without line editor, or a pipe.
struct LineSource {
    /// A file, or stdin.
    input: BufReader<Box<dyn Read>>,
    /// The input's name for messages.
    name: &'static str,
    is_terminal: bool,
    is_first_line: bool,
    output: TerminalOutput,
    editor: Option<LineEditor>,
    /// For a terminal without the editor.
    resumes: Option<Resumes>,
}

impl LineSource {
    fn open<M>(settings: &mut PromptSettings, program: &Handle<M>, output: TerminalOutput) -> Self
    where
        M: From<TerminalEvent> + Send + 'static,
    {
        let is_terminal = settings.file.is_none() && io::stdin().is_terminal();
        let (input, name): (Box<dyn Read>, _) = match settings.file.take() {
            Some(file) => (Box::new(file), "the list of names"),
            None => (Box::new(Stdin), "stdin"),
        };
        let can_edit =
            is_terminal && io::stderr().is_terminal() && LineEditor::has_usable_descriptors();
        let new_editor = || {
            let program = program.clone();
            let completer = LineCompleter {
                help: settings.help,
                find_names: Box::new(move |prefix: &str| find_names(&program, prefix)),
            };
            let history = History::new(settings.history.clone());
            LineEditor::new(output.clone(), completer, history)
        };
        let editor = can_edit.then(new_editor).flatten();
        let is_plain_terminal = is_terminal && editor.is_none();
        Self {
            input: BufReader::new(input),
            name,
            is_terminal,
            is_first_line: true,
            editor,
            output,
            // Without them, the prompt is not shown again after a stop.
            resumes: is_plain_terminal.then(|| Resumes::new().ok()).flatten(),
        }
    }

    fn read_line(&mut self, kind: PromptKind) -> TerminalEvent {
        if let Some(editor) = &mut self.editor
            && LineEditor::has_usable_descriptors()
        {
            return editor.read_line(&prompt_text(kind), kind);
        }
        let line = self.read_bytes(kind);
        let is_first = std::mem::replace(&mut self.is_first_line, false);
        match line {
            Some(line) => match String::from_utf8(line) {
                // Some editors begin a file with a byte order mark.
                Ok(line) if is_first => TerminalEvent::Typed(line.trim_start_matches(BOM).into()),
                Ok(line) => TerminalEvent::Typed(line),
                // With other characters in its place, it could be the name of another file.
                Err(_) => TerminalEvent::Unreadable,
            },
            None => {
                if self.is_terminal {
                    self.output.eprintln("");
                }
                TerminalEvent::EndOfInput
            }
        }
    }

    /// Reads a line without the editor. Returns none at the end of input.
    fn read_bytes(&mut self, kind: PromptKind) -> Option<Vec<u8>> {
        loop {
            if self.is_terminal {
                mode::wait_for_foreground();
                // A command may have been stopped.
                self.resumes.iter_mut().for_each(Resumes::forget);
                self.output.eprint(prompt_text(kind));
                // The system has discarded what was typed before the stop.
                if self.has_resumed() {
                    continue;
                }
            }
            match read_line(&mut self.input) {
                Ok(line) => return line,
                Err(error) if !self.is_terminal => {
                    let operation = format!("cannot read {}", self.name);
                    self.output.fail(&operation, &error);
                    return None;
                }
                Err(error) if !mode::is_background_error(&error) => return None,
                Err(_) => {}
            }
        }
    }

    /// Waits for input. Returns whether the program was stopped meanwhile, and goes on.
    fn has_resumed(&mut self) -> bool {
        match &mut self.resumes {
            // An error is reported when the input is read.
            Some(resumes) if self.input.buffer().is_empty() => {
                resumes.wait_beside(io::stdin()).unwrap_or(false)
            }
            _ => false,
        }
    }

    /// Whether the program goes on without a prompt after the end of input.
    fn may_continue(&self, settings: &PromptSettings) -> bool {
        settings.outlives_input
            && (!self.is_terminal || (settings.survives_hangup && mode::is_gone()))
    }
}

/// Reads one line. Returns none at the end of input.
fn read_line(input: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let length = input
        .by_ref()
        .take(MAX_LINE as u64)
        .read_until(b'\n', &mut line)?;
    if length == MAX_LINE && !line.ends_with(b"\n") {
        // The rest of a line that is too long must not become a command.
        input.skip_until(b'\n')?;
    }
    Ok((length > 0).then_some(line))
}
