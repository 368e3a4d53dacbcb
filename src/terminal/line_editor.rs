//! The line editor of the prompt. It uses the controlling terminal, so that it
//! never writes into the content on stdout.

use std::borrow::Cow;
use std::cell::Cell;
use std::fs::OpenOptions;
use std::io::{self, ErrorKind, IsTerminal};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use rustix::process::{Signal, kill_current_process_group};
use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::MemHistory;
use rustyline::validate::Validator;
use rustyline::{
    Behavior, Cmd, ColorMode, CompletionType, ConditionalEventHandler, Config, Context, Event,
    EventContext, EventHandler, ExternalPrinter, Helper, KeyCode, KeyEvent, Modifiers, Movement,
    RepeatCount,
};

use crate::jobs::{PromptKind, TerminalEvent};
use crate::logging::OPERATOR;
use crate::protocol::MAX_LINE;
use crate::terminal::completion::LineCompleter;
use crate::terminal::history::{History, MAX_LINES};
use crate::terminal::resumes::Resumes;
use crate::terminal::{TerminalOutput, mode};

/// Terminals whose cursor cannot be moved. The list is rustyline's.
const PLAIN_TERMINALS: [&str; 3] = ["dumb", "cons25", "emacs"];

/// The editor waits with select(2), which supports descriptors below 1024 only. It
/// opens a few more itself.
const MAX_DESCRIPTOR: i32 = 1000;

/// How long a signal may take to stop the thread that sent it.
const STOP_TIMEOUT: Duration = Duration::from_millis(100);

/// Printed through the editor, makes it redraw its line: the editor expects a line
/// to print above the edited one, so this moves up and ends that line again.
const REDRAW: &str = "\x1b[A\n";

/// Reads lines from a terminal, with editing, history and completion.
pub(crate) struct LineEditor {
    inner: rustyline::Editor<EditorHelper, MemHistory>,
    last_key: Arc<LastKey>,
    output: TerminalOutput,
    history: History,
}

impl LineEditor {
    /// Returns none if the terminal does not support editing.
    pub(crate) fn new(
        output: TerminalOutput,
        completer: LineCompleter,
        history: History,
    ) -> Option<Self> {
        let term = std::env::var("TERM").unwrap_or_default();
        let is_plain = PLAIN_TERMINALS
            .iter()
            .any(|t| t.eq_ignore_ascii_case(&term));
        let mut tty = OpenOptions::new();
        let tty = tty.read(true).write(true).open("/dev/tty");
        if is_plain || (tty.is_err() && !io::stdout().is_terminal()) {
            return None;
        }
        match Self::open(output, completer, history) {
            Ok(editor) => Some(editor),
            Err(error) => {
                log::warn!(target: OPERATOR, "no line editing: {error}");
                None
            }
        }
    }

    fn open(
        output: TerminalOutput,
        completer: LineCompleter,
        mut history: History,
    ) -> rustyline::Result<Self> {
        let config = Config::builder()
            .behavior(Behavior::PreferTerm)
            .max_history_size(MAX_LINES)?
            // Like a shell: complete the common prefix, then list.
            .completion_type(CompletionType::List)
            // A long list stops after each page. A question before it would ignore ctrl-C.
            .completion_prompt_limit(usize::MAX)
            // `KeyHandler` ignores the marks.
            .bracketed_paste(false)
            // No colours, but the highlighter draws the pending output.
            .color_mode(ColorMode::Forced)
            .build();
        let entries = MemHistory::with_config(&config);
        let mut inner = rustyline::Editor::with_history(config, entries)?;
        for line in history.load() {
            inner.add_history_entry(line)?;
        }
        let is_listing = Arc::default();
        inner.set_helper(Some(EditorHelper {
            output: output.clone(),
            completer,
            kind: Cell::new(PromptKind::Command),
            is_empty: Cell::new(true),
            is_listing: Arc::clone(&is_listing),
        }));
        let last_key = Arc::default();
        let keys = Box::new(KeyHandler {
            last_key: Arc::clone(&last_key),
            is_listing,
        });
        inner.bind_sequence(Event::Any, EventHandler::Conditional(keys));
        start_redraw_thread(&output, inner.create_external_printer()?)?;
        start_resume_thread(&output)?;
        Ok(Self {
            inner,
            last_key,
            output,
            history,
        })
    }

    /// Whether the next descriptor is low enough for select(2). On a busy server it
    /// may not be. Then lines are read without editing.
    pub(crate) fn has_usable_descriptors() -> bool {
        let next = io::stdin().as_fd().try_clone_to_owned();
        next.is_ok_and(|next| next.as_raw_fd() < MAX_DESCRIPTOR)
    }

    /// Blocks until the user enters a line or ends the input. In the background, it leaves the
    /// terminal alone.
    pub(crate) fn read_line(&mut self, prompt: &str, kind: PromptKind) -> TerminalEvent {
        if let Some(helper) = self.inner.helper() {
            helper.kind.set(kind);
        }
        let mut typed = String::new();
        loop {
            mode::wait_for_foreground();
            if !self.output.acquire_for_editor() {
                return TerminalEvent::EndOfInput;
            }
            let before = std::mem::take(&mut typed);
            self.last_key.forget();
            let result = self.inner.readline_with_initial(prompt, (&before, ""));
            self.output.release_from_editor();
            match result {
                Ok(line) if self.last_key.is_suspend.load(Ordering::Relaxed) => {
                    typed = line;
                    stop_job();
                }
                Ok(line) if !self.last_key.is_interrupt.load(Ordering::Relaxed) => {
                    self.add_to_history(&line, kind);
                    return TerminalEvent::Typed(line);
                }
                // Another key than ctrl-C may interrupt: see stty(1).
                Ok(_) | Err(ReadlineError::Interrupted) if self.is_empty() => {
                    return TerminalEvent::Interrupt;
                }
                Ok(_) | Err(ReadlineError::Interrupted) => {}
                Err(ReadlineError::Eof) => return TerminalEvent::EndOfInput,
                Err(ReadlineError::Io(error)) if mode::is_background_error(&error) => {}
                // The editor gives up the line, with what was pasted behind it.
                Err(ReadlineError::Io(error)) if error.kind() == ErrorKind::InvalidData => {
                    return TerminalEvent::Unreadable;
                }
                Err(error) => {
                    if !mode::is_gone() {
                        let error = io::Error::other(error);
                        self.output.fail("cannot read the terminal", &error);
                    }
                    return TerminalEvent::EndOfInput;
                }
            }
        }
    }

    /// Chat lines stay in memory. Only commands are stored in the file.
    fn add_to_history(&mut self, line: &str, kind: PromptKind) {
        if matches!(kind, PromptKind::Choice | PromptKind::Confirmation) {
            return;
        }
        // False if the line equals the previous one.
        let is_new = matches!(self.inner.add_history_entry(line), Ok(true));
        if is_new && kind == PromptKind::Command {
            self.history.append(line);
        }
    }

    /// Whether the line was empty when it was last drawn.
    fn is_empty(&self) -> bool {
        self.inner
            .helper()
            .is_none_or(|helper| helper.is_empty.get())
    }
}

/// Stops the program with all others of its job, as ctrl-Z does, until the shell continues them.
/// The system does not stop a job that no shell would continue.
fn stop_job() {
    let _ = kill_current_process_group(Signal::TSTP);
    // Another thread takes the signal, and this one may stop a moment later. A second signal to
    // this thread could stop the program again after it was continued.
    thread::sleep(STOP_TIMEOUT);
}

/// Passes redraw requests to the editor. The editor may be slow to take one, so a
/// thread of its own waits for it.
fn start_redraw_thread(
    output: &TerminalOutput,
    mut printer: impl ExternalPrinter + Send + 'static,
) -> io::Result<()> {
    let (sender, requests) = mpsc::channel();
    output.set_redraw_sender(sender);
    let output = output.clone();
    let body = move || {
        while requests.recv().is_ok() {
            while requests.try_recv().is_ok() {}
            if output.is_held_by_editor() && printer.print(REDRAW.into()).is_err() {
                return;
            }
        }
    };
    thread::Builder::new().name("redraw".into()).spawn(body)?;
    Ok(())
}

/// After the program was stopped, the terminal gets the settings of the editor again.
fn start_resume_thread(output: &TerminalOutput) -> io::Result<()> {
    let mut resumes = Resumes::new()?;
    let output = output.clone();
    let body = move || {
        while resumes.wait().is_ok() {
            // Nothing reports it later: the editor may wait for a key all the time.
            mode::wait_for_foreground();
            output.resume_editor();
        }
    };
    thread::Builder::new().name("resume".into()).spawn(body)?;
    Ok(())
}

/// Whether the last key was one that ends the line without entering it.
#[derive(Default)]
struct LastKey {
    /// Ctrl-C.
    is_interrupt: AtomicBool,
    /// Ctrl-Z.
    is_suspend: AtomicBool,
}

impl LastKey {
    fn forget(&self) {
        self.is_interrupt.store(false, Ordering::Relaxed);
        self.is_suspend.store(false, Ordering::Relaxed);
    }
}

/// Changes what keys do, and sees each key.
struct KeyHandler {
    last_key: Arc<LastKey>,
    is_listing: Arc<AtomicBool>,
}

impl ConditionalEventHandler for KeyHandler {
    fn handle(
        &self,
        event: &Event,
        _: RepeatCount,
        _: bool,
        context: &EventContext<'_>,
    ) -> Option<Cmd> {
        let key = event.get(0);
        // At `--More--` the editor would ignore most keys, and show a line at ctrl-C. Here each
        // key ends the list, as Backspace does, unless it shows more of it.
        if self.is_listing.load(Ordering::Relaxed) {
            let ends_list = !key.is_some_and(continues_list);
            return ends_list.then_some(Cmd::Kill(Movement::BackwardChar(1)));
        }
        // Each pasted line is a command, as if it were typed. Some terminals mark the ends of a
        // paste all the same, and between the marks the editor would read one line.
        if let Some(KeyEvent(KeyCode::BracketedPasteStart | KeyCode::BracketedPasteEnd, _)) = key {
            return Some(Cmd::Noop);
        }
        // Ctrl-C ends the line like Enter: at its own interrupt, the editor forgets what was
        // pasted behind it. So does ctrl-Z: at its own stop, the editor goes on to use the
        // terminal in the background.
        let is_interrupt = key == Some(&KeyEvent::ctrl('C'));
        let is_suspend = key == Some(&KeyEvent::ctrl('Z'));
        let last_key = &self.last_key;
        (last_key.is_interrupt).store(is_interrupt, Ordering::Relaxed);
        last_key.is_suspend.store(is_suspend, Ordering::Relaxed);
        if is_interrupt || is_suspend {
            return Some(Cmd::AcceptLine);
        }
        // Characters beyond the longest line that is read without the editor are ignored. No
        // command is that long, and the editor draws the whole line again whenever it fills
        // another row.
        let is_control = Modifiers::CTRL | Modifiers::ALT;
        let is_text = matches!(key, Some(KeyEvent(KeyCode::Char(_), modifiers))
            if !modifiers.intersects(is_control));
        (is_text && context.line().len() >= MAX_LINE).then_some(Cmd::Noop)
    }
}

/// Whether a key shows more of a list of candidates: the next page, or the next line.
fn continues_list(key: &KeyEvent) -> bool {
    let KeyEvent(code, modifiers) = key;
    let is_known = matches!(code, KeyCode::Enter | KeyCode::Char(' ' | 'y' | 'Y'));
    (is_known && modifiers.is_empty()) || *key == KeyEvent::ctrl('J')
}

/// The callbacks of the editor.
struct EditorHelper {
    output: TerminalOutput,
    completer: LineCompleter,
    /// The kind of line that is being edited.
    kind: Cell<PromptKind>,
    /// Whether the edited line is empty.
    is_empty: Cell<bool>,
    /// Whether candidates are being listed. A key that comes meanwhile answers `--More--`.
    is_listing: Arc<AtomicBool>,
}

impl Helper for EditorHelper {}

impl Validator for EditorHelper {}

impl Completer for EditorHelper {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        cursor: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        Ok(match self.kind.get() {
            PromptKind::Command => self.completer.complete(&line[..cursor]),
            PromptKind::Choice
            | PromptKind::Confirmation
            | PromptKind::Name
            | PromptKind::Message(_) => (cursor, Vec::new()),
        })
    }
}

/// Gives no hints. The editor calls it after each change of the line.
impl Hinter for EditorHelper {
    type Hint = String;

    fn hint(&self, line: &str, _: usize, _: &Context<'_>) -> Option<String> {
        self.is_empty.set(line.is_empty());
        None
    }
}

/// Adds no colours. The editor calls it before it draws the prompt, with the cursor
/// at the start of an empty line: there the pending output is inserted. A list of candidates
/// begins with the first of them, and ends when the prompt is drawn again.
impl Highlighter for EditorHelper {
    fn highlight_candidate<'c>(&self, candidate: &'c str, _: CompletionType) -> Cow<'c, str> {
        self.is_listing.store(true, Ordering::Relaxed);
        candidate.into()
    }

    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _: bool) -> Cow<'b, str> {
        self.is_listing.store(false, Ordering::Relaxed);
        let lines = self.output.take_pending_lines();
        if lines.is_empty() {
            prompt.into()
        } else {
            format!("{lines}{prompt}").into()
        }
    }
}
