//! The terminal: the prompt on its input side, the reports, lists and contents on
//! its output side. Reports go to stderr, results to stdout or into files.

mod completion;
mod event_text;
mod history;
mod json;
mod line_editor;
mod listing;
mod output;
pub mod prompt;
mod reporter;
mod share_totals;

pub use history::HistoryArgs;
pub use output::TerminalOutput;
pub use reporter::{Reporter, Style};

use crate::download::{self, Destination};
use crate::jobs::{JobId, Listing, PromptKind, StoreError, User, UserEvent};
use crate::protocol::FileName;
use crate::terminal::listing::ListingPrinter;

/// The [`User`] of a program: a person or a script at a terminal, pipes and files.
pub struct Screen {
    reporter: Reporter,
    listing_printer: ListingPrinter,
    destination: Destination,
    request_line: Box<dyn FnMut(PromptKind)>,
}

impl Screen {
    /// Reports with `reporter` and stores contents in `destination`. `request_line`
    /// is called when the program can take the next line.
    #[must_use]
    pub fn new(
        reporter: Reporter,
        destination: Destination,
        request_line: impl FnMut(PromptKind) + 'static,
    ) -> Self {
        Self {
            listing_printer: ListingPrinter::new(reporter.style(), reporter.output()),
            reporter,
            destination,
            request_line: Box::new(request_line),
        }
    }
}

impl User for Screen {
    fn on_event(&mut self, event: UserEvent<'_>) {
        self.reporter.on_event(&event);
    }

    fn prompt(&mut self, kind: PromptKind) {
        (self.request_line)(kind);
    }

    fn show(&mut self, listing: Listing<'_>) -> Result<(), StoreError> {
        self.listing_printer
            .print(&listing)
            .map_err(|error| download::stdout_error(&error))
    }

    fn open(&mut self, job: JobId, name: &FileName<'_>, size: u64) -> Result<(), StoreError> {
        self.reporter.start_progress(job, size);
        self.destination.open(job, name)
    }

    fn write(&mut self, job: JobId, bytes: &[u8]) -> Result<(), StoreError> {
        self.destination.write(job, bytes)
    }

    fn commit(&mut self, job: JobId) -> Result<(), StoreError> {
        self.reporter.end_progress(job);
        self.destination.commit(job)
    }

    fn discard(&mut self, job: JobId) -> u64 {
        self.reporter.end_progress(job);
        self.destination.discard(job)
    }
}
