//! The client's user, as a program has one: talk on stderr, content on stdout
//! or in files.

mod completion;
mod history;
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

/// A terminal, a pipe or a folder with a person or a program behind it.
pub struct Screen {
    talk: Reporter,
    lister: ListingPrinter,
    destination: Destination,
    ready: Box<dyn FnMut(PromptKind)>,
}

impl Screen {
    /// Talks through `talk` and puts content into `destination`. `ready` is
    /// called when the next line may come.
    #[must_use]
    pub fn new(
        talk: Reporter,
        destination: Destination,
        ready: impl FnMut(PromptKind) + 'static,
    ) -> Self {
        Self {
            lister: ListingPrinter::new(talk.style(), talk.voice()),
            talk,
            destination,
            ready: Box::new(ready),
        }
    }
}

impl User for Screen {
    fn on_event(&mut self, news: UserEvent<'_>) {
        self.talk.tell(&news);
    }

    fn prompt(&mut self, wanted: PromptKind) {
        (self.ready)(wanted);
    }

    fn show(&mut self, listing: Listing<'_>) -> Result<(), StoreError> {
        self.lister
            .show(&listing)
            .map_err(|error| download::stdout_error(&error))
    }

    fn open(&mut self, job: JobId, name: &FileName<'_>, size: u64) -> Result<(), StoreError> {
        self.talk.open(job, size);
        self.destination.open(job, name)
    }

    fn write(&mut self, job: JobId, bytes: &[u8]) -> Result<(), StoreError> {
        self.destination.write(job, bytes)
    }

    fn commit(&mut self, job: JobId) -> Result<(), StoreError> {
        self.talk.end_of_content(job);
        self.destination.commit(job)
    }

    fn discard(&mut self, job: JobId) -> u64 {
        self.talk.end_of_content(job);
        self.destination.discard(job)
    }
}
