//! What a client and a node's console do for a user: jobs (queries to the relay,
//! files to fetch), and the commands that start them.

mod choice;
mod command;
mod completion;
mod connection;
mod fetch;
mod query;
mod relay_query;
mod runner;
mod terminal_event;
mod udp;
mod user;

pub use choice::{Choice, Choices, Chosen, Offer};
pub use command::{BLANKS, HELP, Typed, WORDS};
pub use connection::JobConnection;
pub use query::Query;
pub use runner::{Done, Job, JobId, JobRunner, RunsJobs};
pub use terminal_event::TerminalEvent;
pub use user::{Failure, Listing, PromptKind, StoreError, User, UserEvent};
