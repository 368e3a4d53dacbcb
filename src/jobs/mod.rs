//! Jobs that a client and a node's console do for a user: queries to the relay,
//! files to fetch. And the commands that start them.

mod attempt;
mod candidate;
mod choice;
mod command;
mod connection;
mod content;
mod expand;
mod failure;
mod fetch;
mod file_pattern;
mod file_search;
mod get_command;
mod get_queue;
mod job;
mod listed_nodes;
mod name_search;
mod node_pool;
mod piece_download;
mod relay_query;
mod runner;
mod show;
mod similar_names;
mod stored_check;
mod unreachable_nodes;
mod user;
mod user_event;
mod wanted_file;
mod words;

pub use choice::{Choice, ChoiceResult, Choices, Offer, Selection};
pub use command::{BLANKS, COMMAND_WORDS, HELP, PromptCommand};
pub use connection::{JobConnection, RunsJobs};
pub use content::{ContentInfo, DiscardedContent, Opened, PieceSet, StoredContent, StoredPart};
pub use failure::Failure;
pub use file_pattern::FilePattern;
pub use file_search::FileSearch;
pub use get_command::{GetCommand, OutputSpec};
pub use get_queue::GetQueue;
pub use job::{FinishedJob, Job, JobId, JobResult, TaskResult};
pub use name_search::NamesCallback;
pub use relay_query::Query;
pub use runner::JobRunner;
pub use user::{Listing, PromptKind, StoreError, TerminalEvent, User};
pub use user_event::UserEvent;
pub use wanted_file::{ListedContent, WantedFile};
pub use words::{last_word, quoted};
