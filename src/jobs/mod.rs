//! Jobs that a client and a node's console do for a user: queries to the relay,
//! files to fetch. And the commands that start them.

mod attempt;
mod choice;
mod command;
mod completion;
mod connection;
mod fetch;
mod job;
mod look;
mod query;
mod relay_query;
mod runner;
mod show;
mod task_result;
mod terminal_event;
mod udp;
mod user;

pub use choice::{Choice, Choices, Chosen, Offer};
pub use command::{BLANKS, HELP, Typed, WORDS};
pub use completion::NamesCallback;
pub use connection::JobConnection;
pub use job::{FinishedJob, Job, JobId, JobResult};
pub use query::Query;
pub use runner::{JobRunner, RunsJobs};
pub use task_result::TaskResult;
pub use terminal_event::TerminalEvent;
pub use user::{Failure, Listing, PromptKind, StoreError, User, UserEvent};
