//! The client's user, as a program has one: talk on stderr, content on stdout
//! or in files.

mod completion;
mod history;
mod line_editor;
mod listing;
mod output;
pub mod prompt;
mod reporter;

pub use history::HistoryArgs;
pub use output::Voice;
pub use reporter::{Style, Talk};

use crate::download::{self, Destination};
use crate::jobs::{ErrandId, Listing, News, NotStored, User, Wanted};
use crate::protocol::FileName;
use crate::terminal::listing::Lister;

/// A terminal, a pipe or a folder with a person or a program behind it.
pub struct Screen {
    talk: Talk,
    lister: Lister,
    destination: Destination,
    ready: Box<dyn FnMut(Wanted)>,
}

impl Screen {
    /// Talks through `talk` and puts content into `destination`. `ready` is
    /// called when the next line may come.
    #[must_use]
    pub fn new(talk: Talk, destination: Destination, ready: impl FnMut(Wanted) + 'static) -> Self {
        Self {
            lister: Lister::new(talk.style(), talk.voice()),
            talk,
            destination,
            ready: Box::new(ready),
        }
    }
}

impl User for Screen {
    fn tell(&mut self, news: News<'_>) {
        self.talk.tell(&news);
    }

    fn ready(&mut self, wanted: Wanted) {
        (self.ready)(wanted);
    }

    fn show(&mut self, listing: Listing<'_>) -> Result<(), NotStored> {
        self.lister
            .show(&listing)
            .map_err(|error| download::failed(&error))
    }

    fn begin(&mut self, errand: ErrandId, name: &FileName<'_>, size: u64) -> Result<(), NotStored> {
        self.talk.begin(errand, size);
        self.destination.begin(errand, name)
    }

    fn take(&mut self, errand: ErrandId, bytes: &[u8]) -> Result<(), NotStored> {
        self.destination.take(errand, bytes)
    }

    fn finish(&mut self, errand: ErrandId) -> Result<(), NotStored> {
        self.talk.end_of_content(errand);
        self.destination.finish(errand)
    }

    fn abandon(&mut self, errand: ErrandId) -> u64 {
        self.talk.end_of_content(errand);
        self.destination.abandon(errand)
    }
}
