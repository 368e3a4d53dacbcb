//! The flags of a node's console.

use log::LevelFilter;

use crate::cli::is_interactive;
use crate::limits::JobLimits;
use crate::quantity::integer;
use crate::terminal::is_in_foreground;

/// The flags of the console.
#[derive(clap::Args)]
#[command(next_help_heading = "Console")]
pub(super) struct ConsoleArgs {
    /// Read commands from stdin, as at the client's prompt [default: at a terminal]
    #[arg(long, overrides_with = "no_console")]
    console: bool,
    /// Read no commands
    #[arg(long)]
    no_console: bool,
    /// Maximum number of files to fetch at the same time; others wait. Eight files of at most 64
    /// KiB count as one, unless N is 1
    #[arg(long, value_name = "N", default_value = "8", value_parser = integer::<usize>(1..))]
    pub(super) max_downloads: usize,
    #[command(flatten)]
    pub(super) limits: JobLimits,
}

impl ConsoleArgs {
    pub(super) fn is_enabled(&self) -> bool {
        self.console || (!self.no_console && is_in_foreground() && is_interactive())
    }

    /// A person at the console wants results, not a line per connection.
    pub(super) fn log_level(&self) -> LevelFilter {
        match self.is_enabled() {
            true => LevelFilter::Warn,
            false => LevelFilter::Info,
        }
    }
}
