//! Jobs that a client and a node's console do for a user: queries to the relay,
//! files to fetch. And the commands that start them.

mod attempt;
mod candidate;
mod choice;
mod command;
mod command_flags;
mod connection;
mod content;
mod content_search;
mod download_status;
mod expand;
mod failure;
mod fetch;
mod file_pattern;
mod file_search;
mod get_command;
mod get_queue;
mod hidden_names;
mod ids;
mod job;
mod job_context;
mod job_step;
mod left_out_files;
mod listed_nodes;
mod merged_answer;
mod merged_files;
mod name_search;
mod node_pool;
mod node_tls;
mod offer;
mod open_query;
mod peer_source;
mod piece_download;
mod relay_query;
mod runner;
mod show;
mod similar_names;
mod slow_node;
mod stored_check;
mod task_result;
mod unreachable_nodes;
mod user;
mod user_event;
mod verify_command;
mod wait;
mod wanted_file;
mod words;

pub use choice::{Choice, ChoiceResult, Choices};
pub use command::{COMMAND_WORDS, HELP, NOT_UTF8, PromptCommand, near_command};
pub use connection::{JobConnection, RunsJobs};
pub use content::{
    ContentInfo, DiscardedContent, Opened, PartialContent, PieceSet, StoreError, StoreErrorKind,
    StoredContent, StoredPart,
};
pub use download_status::{DownloadStatus, TransferStatus};
pub use failure::Failure;
pub use file_pattern::FilePattern;
pub use file_search::FileSearch;
pub use get_command::{GetCommand, OutputSpec};
pub use get_queue::GetQueue;
pub use ids::JobId;
pub use job::Job;
pub use job_step::{FinishedJob, JobResult};
pub use left_out_files::LeftOutFiles;
pub use node_tls::NodeTls;
pub use offer::{Offer, Selection};
pub use peer_source::PeerSource;
pub use relay_query::Query;
pub use runner::{JobRunner, PartialFile};
pub use task_result::TaskResult;
pub use user::{FoundNames, Listing, NamesCallback, PromptKind, TerminalEvent, User};
pub use user_event::UserEvent;
pub use verify_command::VerifyCommand;
pub use wanted_file::{ListedContent, WantedFile};
pub use words::{BLANKS, last_word, quoted, word_before_last};
