//! The user at a terminal: events become lines for people or JSON; content is printed or saved.

mod report;

use std::io::{self, BufWriter, IsTerminal};
use std::path::PathBuf;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant};

use crate::byte_size::ByteSize;
use crate::download::{
    self, AdvisedCommands, Destination, FileWriter, SaveOptions, VerifyTargetError,
};
use crate::jobs::{
    ContentInfo, DiscardedContent, FilePattern, JobId, Listing, Opened, OutputSpec, PartialContent,
    PieceSet, PromptKind, StoreError, StoreErrorKind, StoredContent, User, UserEvent,
    VerifyCommand,
};
use crate::limits::RateLimits;
use crate::protocol::{FileName, PieceValue};
use crate::terminal::batch::{self, Batch};
use crate::terminal::json_progress::JsonProgress;
use crate::terminal::output::StreamOutput;
use crate::terminal::progress::Progress;
use crate::terminal::{TerminalOutput, command_output, event_text};

/// The most bytes that the system has received for us while a write took its time. A node
/// that fails after so many more does not fail because of that write.
const MAX_IN_TRANSIT: usize = 16 * 1024 * 1024;

/// The form of the reports.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Style {
    /// Lines on stderr.
    Human {
        /// Only failures.
        quiet: bool,
        /// The steps of each file, also of many.
        verbose: bool,
        /// A progress bar, if stderr is a terminal.
        progress: bool,
    },
    /// For the console of a node: results, and one line at the end of several files.
    Console,
    /// The same as records of the log, for a node without a console.
    Log,
    /// One JSON object per result.
    Json {
        /// On stdout, as no content goes there. Else on stderr.
        on_stdout: bool,
    },
}

/// The [`User`] of a program: a person or a script at a terminal, pipes and files.
pub struct Screen {
    style: Style,
    output: TerminalOutput,
    progress: Progress,
    /// The same for programs.
    json_progress: JsonProgress,
    /// The relay's list that was shown last, as a hash.
    shown_list: Option<u64>,
    /// Several files that are being saved.
    batch: Option<Batch>,
    /// Where the last file was saved.
    saved: Option<PathBuf>,
    /// Where lists are printed.
    stdout: BufWriter<StreamOutput>,
    stdout_is_terminal: bool,
    stderr_is_terminal: bool,
    destination: Destination,
    /// Commits small files of many.
    writer: Option<FileWriter>,
    /// The usual destination, while a command has another one.
    usual: Option<Destination>,
    /// Commands save below these folders only; none: anywhere.
    pub(crate) save_folders: Option<Vec<PathBuf>>,
    /// The file that was printed last.
    printed: Option<FileName<'static>>,
    /// The longest of the last writes of content, and how much was written since.
    longest_write: Duration,
    written_since: usize,
    line_requests: Sender<PromptKind>,
}

impl Screen {
    /// Reports in this style, through this output, and stores contents in
    /// `destination`. Each of `line_requests` makes the prompt read a line.
    #[must_use]
    pub fn new(
        style: Style,
        output: &TerminalOutput,
        destination: Destination,
        line_requests: Sender<PromptKind>,
    ) -> Self {
        Self {
            style,
            output: output.clone(),
            progress: Progress::new(),
            json_progress: JsonProgress::new(Instant::now()),
            shown_list: None,
            batch: None,
            saved: None,
            stdout: BufWriter::new(output.stdout()),
            stdout_is_terminal: io::stdout().is_terminal(),
            stderr_is_terminal: io::stderr().is_terminal(),
            destination,
            writer: None,
            usual: None,
            save_folders: None,
            printed: None,
            longest_write: Duration::ZERO,
            written_since: 0,
            line_requests,
        }
    }

    /// The progress shall name the limit on the rate.
    #[must_use]
    pub fn with_rates(mut self, rates: &RateLimits) -> Self {
        if let Some(rate) = rates.limit_rate {
            self.progress.limit_text = format!(" (limit {}/s)", ByteSize(rate));
        }
        self
    }

    /// Many small files are committed by `writer`.
    #[must_use]
    pub fn with_writer(mut self, writer: FileWriter) -> Self {
        self.writer = Some(writer);
        self
    }

    /// Whether progress bars are shown.
    fn has_bars(&self) -> bool {
        match self.style {
            Style::Human {
                quiet, progress, ..
            } => self.stderr_is_terminal && (progress || (!quiet && self.usual.is_some())),
            Style::Console | Style::Log | Style::Json { .. } => false,
        }
    }

    /// A transfer has ended.
    fn end_transfer(&mut self, job: JobId, is_complete: bool) {
        self.progress.end(job);
        self.json_progress.end(job, is_complete);
    }
}

impl User for Screen {
    fn on_event(&mut self, event: UserEvent<'_>) {
        match &event {
            UserEvent::BatchStarted { files } => {
                self.batch = Some(Batch::new(self.destination.repairs()));
                if self.has_bars() {
                    self.progress.start_batch(*files);
                }
            }
            UserEvent::BatchFinished { unfetched } => return self.end_batch(*unfetched),
            _ => {}
        }
        self.progress.on_event(&event, batch::is_failure(&event));
        let is_counted = self
            .batch
            .as_mut()
            .is_some_and(|batch| batch.on_event(&event));
        let is_progress = event_text::is_progress(&event);
        let is_printed = match (self.style, &event) {
            (Style::Json { on_stdout }, event) => {
                return match self.json_event(event) {
                    Some(value) if on_stdout => self.output.println(value),
                    Some(value) => self.output.eprintln(value),
                    None => {}
                };
            }
            (
                Style::Human { verbose, .. },
                UserEvent::SentBytes(..)
                | UserEvent::SourceAnswered { .. }
                | UserEvent::UntrustedNode { .. },
            ) => verbose,
            (_, UserEvent::NotShown(error) | UserEvent::StoreError { error, .. })
                if error.kind == StoreErrorKind::ReaderGone =>
            {
                false
            }
            (Style::Human { quiet: true, .. }, UserEvent::NoResult(_)) => false,
            (_, UserEvent::NoResult(_)) => self.stdout_is_terminal,
            (Style::Human { quiet, verbose, .. }, _) => {
                let is_step = verbose && is_progress;
                is_step || !(is_counted || quiet && is_progress)
            }
            (Style::Console | Style::Log, UserEvent::MessageSent { .. }) => true,
            (
                Style::Console | Style::Log,
                UserEvent::Fetched { .. } | UserEvent::UpToDate { .. } | UserEvent::NodeFailed(..),
            ) => !is_counted,
            (Style::Console | Style::Log, _) => !is_progress,
        };
        if is_printed {
            self.print_event(&event);
        }
    }

    fn prompt(&mut self, kind: PromptKind) {
        // A prompt that has ended has reported the end of input.
        let _ = self.line_requests.send(kind);
    }

    fn show(&mut self, listing: Listing<'_>) -> Result<(), StoreError> {
        self.print_listing(&listing)
            .map_err(|error| download::stdout_error(&error))
    }

    fn set_output(&mut self, output: Option<&OutputSpec>) -> Result<(), StoreError> {
        if let Some(usual) = self.usual.take() {
            self.destination = usual;
        }
        // Only a command has an output of its own.
        self.progress.is_at_prompt = output.is_some();
        self.json_progress = JsonProgress::new(Instant::now());
        if let Some(output) = output {
            let destination = command_output::destination(output, self.save_folders.as_deref())?;
            self.usual = Some(std::mem::replace(&mut self.destination, destination));
        }
        Ok(())
    }

    fn set_verify(&mut self, command: &VerifyCommand) -> Result<FilePattern, StoreError> {
        self.set_output(None)?;
        let commands = AdvisedCommands {
            start: String::new(),
            hash: command.hash,
        };
        let target = download::verify_target(command, commands);
        let (pattern, target) = target.map_err(|error| StoreError {
            kind: match error {
                VerifyTargetError::Missing(_) => StoreErrorKind::FileMissing,
                VerifyTargetError::Usage(_) => StoreErrorKind::Other,
            },
            reason: error.into_text(),
        })?;
        let destination = Destination::save(target, SaveOptions::default());
        self.usual = Some(std::mem::replace(&mut self.destination, destination));
        self.progress.is_at_prompt = true;
        Ok(pattern)
    }

    fn take_unprinted(&mut self) -> Option<FileName<'static>> {
        self.printed.take_if(|_| self.destination.take_binary())
    }

    fn compare(
        &mut self,
        job: JobId,
        name: &FileName<'_>,
        content: &ContentInfo,
    ) -> Result<StoredContent, StoreError> {
        self.destination.compare(job, name, content)
    }

    fn has_content(
        &mut self,
        job: JobId,
        name: &FileName<'_>,
        content: &ContentInfo,
    ) -> Result<StoredContent, StoreError> {
        self.destination.has_content(job, name, content)
    }

    fn stores_times(&self) -> bool {
        matches!(self.destination, Destination::Save { .. })
    }

    fn repairs_file(&self) -> bool {
        self.destination.repairs()
    }

    fn open(
        &mut self,
        job: JobId,
        name: &FileName<'_>,
        content: &ContentInfo,
    ) -> Result<Opened, StoreError> {
        if self.has_bars() {
            self.progress.start(job, name, content.size);
        }
        self.longest_write = Duration::ZERO;
        self.printed = self.destination.printed_name(name);
        self.destination.open(job, name, content)
    }

    fn write_at(&mut self, job: JobId, offset: u64, bytes: &[u8]) -> Result<(), StoreError> {
        let started = Instant::now();
        let result = self.destination.write_at(job, offset, bytes);
        let time = started.elapsed();
        self.written_since += bytes.len();
        if time >= self.longest_write || self.written_since > MAX_IN_TRANSIT {
            (self.longest_write, self.written_since) = (time, 0);
        }
        result
    }

    fn record_piece(&mut self, job: JobId, index: u32) -> Result<(), StoreError> {
        self.destination.record_piece(job, index)
    }

    fn part_file(&self, job: JobId) -> Option<std::os::fd::OwnedFd> {
        self.destination.part_file(job)
    }

    fn start_check(
        &mut self,
        job: JobId,
        pieces: &PieceSet,
        values: &[PieceValue],
    ) -> Result<(), StoreError> {
        self.destination.start_check(job, pieces, values)
    }

    fn checked_pieces(&mut self, job: JobId) -> Result<Vec<(u32, bool)>, StoreError> {
        self.destination.checked_pieces(job)
    }

    fn commit(&mut self, job: JobId, content: &ContentInfo) -> Result<(), StoreError> {
        self.end_transfer(job, true);
        self.saved = self.destination.path(job);
        self.destination.commit(job, content)
    }

    fn start_commit(&mut self, job: JobId, content: &ContentInfo) -> Result<bool, StoreError> {
        if let (Some(_), Some(writer)) = (&self.batch, &self.writer)
            && self.destination.commit_by(writer, job, content)
        {
            return Ok(false);
        }
        self.commit(job, content).map(|()| true)
    }

    fn next_committed(&mut self) -> Option<(JobId, Result<(), StoreError>)> {
        let (job, result) = self.writer.as_ref()?.next_result()?;
        self.end_transfer(job, result.is_ok());
        let (path, result) = self.destination.on_committed(job, result);
        self.saved = path;
        Some((job, result))
    }

    fn discard(&mut self, job: JobId) -> DiscardedContent {
        self.end_transfer(job, false);
        DiscardedContent {
            printed: self.destination.discard(job),
            longest_write: self.longest_write,
        }
    }

    fn keep(&mut self, job: JobId) -> PartialContent {
        self.end_transfer(job, false);
        self.destination.keep(job)
    }
}
