//! Starts the log: one line per event, on stderr or in a file.

use std::fs::OpenOptions;
use std::io::{LineWriter, Write};
use std::path::PathBuf;

use log::LevelFilter;
use simplelog::{ConfigBuilder, WriteLogger};

use crate::cli::{Exit, StartupError, values};
use crate::system_error::Reason;
use crate::terminal::TerminalOutput;

/// The flags of the log.
#[derive(clap::Args)]
#[command(next_help_heading = "Log")]
pub(super) struct LogArgs {
    /// Append the log to this file instead of stderr
    #[arg(long, value_name = "FILE", global = true)]
    log_file: Option<PathBuf>,
    /// Log level: off, error, warn, info or debug
    /// [default: info in servers, warn in clients and consoles]
    #[arg(long, value_name = "LEVEL", global = true, value_parser = values::log_level)]
    log_level: Option<LevelFilter>,
}

impl LogArgs {
    /// Starts the log. `default` is the level without a flag. Without a file, the
    /// log goes to stderr through `output`.
    pub(super) fn start(
        &self,
        default: LevelFilter,
        output: &TerminalOutput,
    ) -> Result<(), StartupError> {
        let level = self.log_level.unwrap_or(default);
        let writer: Box<dyn Write + Send> = match &self.log_file {
            None => Box::new(output.log_writer()),
            Some(path) => {
                let file = OpenOptions::new().create(true).append(true).open(path);
                let file = file.map_err(|error| {
                    let (path, reason) = (path.display(), Reason(&error));
                    let text = format!("cannot open the log file {path}: {reason}");
                    StartupError::new(Exit::System, text)
                })?;
                Box::new(LineWriter::new(file))
            }
        };
        let config = ConfigBuilder::new()
            .set_time_format_rfc3339()
            .set_thread_level(LevelFilter::Off)
            .set_target_level(LevelFilter::Off)
            .set_location_level(LevelFilter::Off)
            // The editor logs each key, and would log the output that it draws.
            .add_filter_ignore_str("rustyline")
            .build();
        WriteLogger::init(level, config, writer)
            .map_err(|error| StartupError::new(Exit::System, error))
    }
}
