//! Starts the log: one line an event, on stderr or in a file.

use std::fs::OpenOptions;
use std::io::LineWriter;
use std::path::PathBuf;

use log::LevelFilter;
use simplelog::{Config, ConfigBuilder, WriteLogger};

use crate::cli::StartupError;
use crate::cli::exit::Exit;
use crate::terminal::TerminalOutput;

/// Where the log goes and how much it says.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Log")]
pub struct LogArgs {
    /// Append the log to this file instead of stderr
    #[arg(long, value_name = "FILE", global = true)]
    pub log_file: Option<PathBuf>,
    /// How much to log: off, error, warn, info, debug [default: by program]
    #[arg(long, value_name = "LEVEL", global = true)]
    pub log_level: Option<LevelFilter>,
}

impl LogArgs {
    /// Starts the log; `default` is the level without a flag. Without a file it
    /// is a part of what `voice` says.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn start(&self, default: LevelFilter, voice: &TerminalOutput) -> Result<(), StartupError> {
        let level = self.log_level.unwrap_or(default);
        let result = match &self.log_file {
            None => WriteLogger::init(level, config(), voice.log()),
            Some(path) => {
                let file = OpenOptions::new().create(true).append(true).open(path);
                let file = file.map_err(|error| {
                    let path = path.display();
                    StartupError::new(Exit::System, format!("log file {path}: {error}"))
                })?;
                WriteLogger::init(level, config(), LineWriter::new(file))
            }
        };
        result.map_err(|error| StartupError::new(Exit::System, error.to_string()))
    }
}

fn config() -> Config {
    ConfigBuilder::new()
        .set_time_format_rfc3339()
        .set_thread_level(LevelFilter::Off)
        .set_target_level(LevelFilter::Off)
        .set_location_level(LevelFilter::Off)
        // It tells each key, and would tell what it draws.
        .add_filter_ignore_str("rustyline")
        .build()
}
