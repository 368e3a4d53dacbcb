//! The line editor of the prompt, on the controlling terminal, so that content
//! on stdout meets nothing of it.

use std::borrow::Cow;
use std::cell::Cell;
use std::fs::OpenOptions;
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, AsRawFd};
use std::sync::mpsc;
use std::thread;

use rustyline::completion::{Completer, Pair};
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::history::MemHistory;
use rustyline::validate::Validator;
use rustyline::{Behavior, ColorMode, CompletionType, Config, Context, ExternalPrinter, Helper};

use crate::jobs::PromptKind;
use crate::terminal::TerminalOutput;
use crate::terminal::completion::Offers;
use crate::terminal::history::{History, MAX_LINES};
use crate::terminal::prompt::{PromptInput, prompt};

/// Terminals without a cursor that could be moved; the crate's own list.
const PLAIN_TERMINALS: [&str; 3] = ["dumb", "cons25", "emacs"];

/// The editor waits by select(2), which sees no descriptor from 1024 on. It
/// needs a few below that.
const HIGHEST_DESCRIPTOR: i32 = 1000;

/// Makes the editor draw its line once more: it ends the line that it is to
/// print above, so there must be one to be ended.
const NUDGE: &str = "\x1b[A\n";

/// Lets a person edit a line.
pub(crate) struct LineEditor {
    inner: rustyline::Editor<Assistant, MemHistory>,
    voice: TerminalOutput,
    history: History,
}

impl LineEditor {
    /// An editor, if the terminal is one for it.
    pub(crate) fn new(voice: TerminalOutput, offers: Offers, history: History) -> Option<Self> {
        let term = std::env::var("TERM").unwrap_or_default();
        let is_plain = PLAIN_TERMINALS
            .iter()
            .any(|t| t.eq_ignore_ascii_case(&term));
        let mut tty = OpenOptions::new();
        let tty = tty.read(true).write(true).open("/dev/tty");
        if is_plain || (tty.is_err() && !io::stdout().is_terminal()) {
            return None;
        }
        match Self::on_terminal(voice, offers, history) {
            Ok(editor) => Some(editor),
            Err(error) => {
                log::warn!("lines cannot be edited: {error}");
                None
            }
        }
    }

    fn on_terminal(
        voice: TerminalOutput,
        offers: Offers,
        mut history: History,
    ) -> rustyline::Result<Self> {
        let config = Config::builder()
            .behavior(Behavior::PreferTerm)
            .max_history_size(MAX_LINES)?
            // As shells do it: as far as it is clear, then a list.
            .completion_type(CompletionType::List)
            // Each pasted line is a command, as if it was typed.
            .bracketed_paste(false)
            // Not for colours: what waits to be said is drawn by the same means.
            .color_mode(ColorMode::Forced)
            .build();
        let known = MemHistory::with_config(&config);
        let mut inner = rustyline::Editor::with_history(config, known)?;
        for line in history.lines() {
            inner.add_history_entry(line)?;
        }
        inner.set_helper(Some(Assistant {
            voice: voice.clone(),
            offers,
            wanted: Cell::new(PromptKind::Command),
            is_empty: Cell::new(true),
        }));
        let mut printer = inner.create_external_printer()?;
        let (nudge, nudged) = mpsc::channel();
        voice.nudge_by(nudge);
        let listener = voice.clone();
        // The editor may be slow to take a nudge, and nobody else should wait.
        let body = move || {
            while nudged.recv().is_ok() {
                while nudged.try_recv().is_ok() {}
                if listener.is_away() && printer.print(NUDGE.into()).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new().name("nudge".into()).spawn(body)?;
        Ok(Self {
            inner,
            voice,
            history,
        })
    }

    /// Whether there are descriptors with which the editor can work. A busy
    /// server may have none; then a line is read without being edited.
    pub(crate) fn has_room() -> bool {
        let next = io::stdin().as_fd().try_clone_to_owned();
        next.is_ok_and(|next| next.as_raw_fd() < HIGHEST_DESCRIPTOR)
    }

    /// The next line.
    pub(crate) fn next(&mut self, wanted: PromptKind) -> PromptInput {
        if let Some(assistant) = self.inner.helper() {
            assistant.wanted.set(wanted);
        }
        let prompt = prompt(wanted);
        while self.voice.give_way() {
            let result = self.inner.readline(&prompt);
            self.voice.come_back();
            match result {
                Ok(line) => {
                    self.remember(&line, wanted);
                    return PromptInput::Line(line);
                }
                Err(ReadlineError::Interrupted) if self.is_empty() => {
                    return PromptInput::Interrupt;
                }
                Err(ReadlineError::Interrupted) => {}
                Err(ReadlineError::Eof) => return PromptInput::End,
                Err(error) => {
                    log::debug!("the terminal cannot be read: {error}");
                    return PromptInput::End;
                }
            }
        }
        PromptInput::End
    }

    /// What was said can be brought back, but commands only are kept.
    fn remember(&mut self, line: &str, wanted: PromptKind) {
        if wanted == PromptKind::Choice {
            return;
        }
        // The same line once more is no news.
        let is_new = matches!(self.inner.add_history_entry(line), Ok(true));
        if is_new && wanted == PromptKind::Command {
            self.history.keep(line);
        }
    }

    /// Whether nothing stood on the line in the end.
    fn is_empty(&self) -> bool {
        self.inner
            .helper()
            .is_none_or(|helper| helper.is_empty.get())
    }
}

/// What the editor calls while a line is edited.
struct Assistant {
    voice: TerminalOutput,
    offers: Offers,
    /// What the line is to be.
    wanted: Cell<PromptKind>,
    /// Whether nothing stands on the line.
    is_empty: Cell<bool>,
}

impl Helper for Assistant {}

impl Validator for Assistant {}

impl Completer for Assistant {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        cursor: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        Ok(match self.wanted.get() {
            PromptKind::Command => self.offers.instead_of(&line[..cursor]),
            PromptKind::Choice | PromptKind::Words(_) => (cursor, Vec::new()),
        })
    }
}

/// Gives no hints, but is told about each change.
impl Hinter for Assistant {
    type Hint = String;

    fn hint(&self, line: &str, _: usize, _: &Context<'_>) -> Option<String> {
        self.is_empty.set(line.is_empty());
        None
    }
}

/// Colours nothing, but is called each time before the prompt is drawn, at the
/// beginning of an empty line.
impl Highlighter for Assistant {
    fn highlight_prompt<'b, 's: 'b, 'p: 'b>(&'s self, prompt: &'p str, _: bool) -> Cow<'b, str> {
        let lines = self.voice.drawing();
        if lines.is_empty() {
            prompt.into()
        } else {
            format!("{lines}{prompt}").into()
        }
    }
}
