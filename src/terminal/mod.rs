//! The terminal: the prompt on its input side, the reports, lists and contents on
//! its output side. Reports go to stderr, results to stdout or into files.

mod batch;
mod command_output;
mod completion;
mod event_text;
mod expansion_text;
mod fetched_text;
mod history;
mod json;
mod json_progress;
mod line_editor;
mod listing;
mod mode;
mod node_text;
mod output;
mod part_text;
mod progress;
pub mod prompt;
mod rate_text;
mod repair_text;
mod resumes;
mod screen;
mod share_totals;
mod status_text;
mod transfer_rate;

pub use completion::{FindNames, LineCompleter};
pub use history::{HistoryArgs, open as open_history};
pub(crate) use mode::{TerminalMode, block_stops, is_in_foreground};
pub(crate) use node_text::node_text;
pub use output::TerminalOutput;
pub use screen::{Screen, Style};
