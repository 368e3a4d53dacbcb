//! The client's user, as a program has one: talk on stderr, content on stdout
//! or in files.

mod destination;
mod printer;
mod saving;
mod talk;

pub use destination::{Destination, Target};
pub use printer::Printer;
pub use talk::{Style, Talk};

use crate::protocol::{FileName, NodeAddress};
use crate::role::client::{News, NotStored, User};

/// A terminal, a pipe or a folder with a person or a program behind it.
pub struct Screen {
    talk: Talk,
    destination: Destination,
    ready: Box<dyn FnMut()>,
}

impl Screen {
    /// Talks through `talk` and puts content into `destination`. `ready` is
    /// called when the next command may come.
    #[must_use]
    pub fn new(talk: Talk, destination: Destination, ready: impl FnMut() + 'static) -> Self {
        Self {
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

    fn show_nodes(&mut self, nodes: &[NodeAddress]) -> Result<(), NotStored> {
        self.talk
            .show_nodes(nodes)
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
