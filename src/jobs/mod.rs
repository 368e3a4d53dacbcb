//! Jobs that a client and a node's console do for a user: queries to the relay,
//! files to fetch. And the commands that start them.

mod attempt;
mod choice;
mod command;
mod completion;
mod connection;
mod fetch;
mod job;
mod query;
mod relay_check;
mod relay_query;
mod runner;
mod show;
mod task_result;
mod terminal_event;
mod user;

pub use choice::{Choice, ChoiceResult, Choices, Offer};
pub use command::{BLANKS, COMMAND_WORDS, HELP, PromptCommand};
pub use completion::NamesCallback;
pub use connection::JobConnection;
pub use job::{FinishedJob, Job, JobId, JobResult};
pub use query::Query;
pub use runner::{JobRunner, RunsJobs};
pub use task_result::TaskResult;
pub use terminal_event::TerminalEvent;
pub use user::{Failure, Listing, PromptKind, StoreError, User, UserEvent};
