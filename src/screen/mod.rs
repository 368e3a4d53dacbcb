//! The client's user, as a program has one: talk on stderr, content on stdout
//! or in files.

mod destination;
mod listing;
mod printer;
mod saving;
mod talk;

pub use destination::{Destination, Target};
pub use printer::Printer;
pub use talk::{Style, Talk};

use self::listing::Lister;
use crate::protocol::FileName;
use crate::role::client::{Listing, News, NotStored, User};

/// A terminal, a pipe or a folder with a person or a program behind it.
pub struct Screen {
    talk: Talk,
    lister: Lister,
    destination: Destination,
    ready: Box<dyn FnMut()>,
}

impl Screen {
    /// Talks through `talk` and puts content into `destination`. `ready` is
    /// called when the next command may come.
    #[must_use]
    pub fn new(talk: Talk, destination: Destination, ready: impl FnMut() + 'static) -> Self {
        Self {
            lister: Lister::new(talk.style()),
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

    fn ready(&mut self) {
        (self.ready)();
    }

    fn show(&mut self, listing: Listing<'_>) -> Result<(), NotStored> {
        self.lister
            .show(&listing)
            .map_err(|error| printer::failed(&error))
    }

    fn begin(&mut self, name: &FileName<'_>, size: u64) -> Result<(), NotStored> {
        self.talk.begin(size);
        self.destination.begin(name)
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), NotStored> {
        self.destination.take(bytes)
    }

    fn finish(&mut self) -> Result<(), NotStored> {
        self.talk.end_of_content();
        self.destination.finish()
    }

    fn abandon(&mut self) -> u64 {
        self.talk.end_of_content();
        self.destination.abandon()
    }
}
