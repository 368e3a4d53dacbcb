//! Starts the log: one line per event, on stderr or in a file.

use std::io::{LineWriter, Write};
use std::path::PathBuf;

use log::{LevelFilter, Log};
use simplelog::{ConfigBuilder, WriteLogger};

use crate::cli::{Exit, StartupError, values};
use crate::logging::{
    AsyncLogWriter, JsonLogger, LogFile, LogFormat, RateLimitedLogger, TIMESTAMP,
};
use crate::quantity::integer;
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
    /// Format of the log: text, or json with one object a line
    /// [default: text, but json in a client with --json]
    #[arg(
        long,
        value_name = "FORMAT",
        global = true,
        hide_possible_values = true
    )]
    log_format: Option<LogFormat>,
    /// Maximum number of log lines per second, for each level; the rest is counted
    #[arg(long, value_name = "N", default_value = "100", global = true,
          value_parser = integer::<u32>(1..))]
    log_rate: u32,
}

impl LogArgs {
    /// Whether the log goes to a file.
    pub(super) fn has_file(&self) -> bool {
        self.log_file.is_some()
    }

    /// Lines per second.
    pub(super) fn rate(&self) -> u32 {
        self.log_rate
    }

    /// The same, but JSON unless the user has chosen a format.
    pub(super) fn or_json(self, is_json: bool) -> Self {
        let default = is_json.then_some(LogFormat::Json);
        Self {
            log_format: self.log_format.or(default),
            ..self
        }
    }

    /// Starts the log. `default` is the level without a flag. Without a file, the
    /// log goes to stderr through `output`. Returns the writer of the file.
    pub(super) fn start(
        &self,
        default: LevelFilter,
        output: &TerminalOutput,
    ) -> Result<Option<AsyncLogWriter>, StartupError> {
        let level = self.log_level.unwrap_or(default);
        let format = self.log_format.unwrap_or_default();
        let (lines, writer): (Box<dyn Write + Send>, _) = match &self.log_file {
            None => (Box::new(output.log_writer(format)), None),
            Some(path) => {
                let file = LogFile::open(path.clone()).map_err(|error| {
                    let (path, reason) = (path.display(), Reason(&error));
                    let text = format!("cannot open the log file {path}: {reason}");
                    StartupError::new(Exit::System, text)
                })?;
                let writer = AsyncLogWriter::start(file)
                    .map_err(StartupError::system("cannot start a thread"))?;
                writer.buffer().set_format(format);
                (Box::new(LineWriter::new(writer.buffer())), Some(writer))
            }
        };
        let config = ConfigBuilder::new()
            .set_time_format_custom(TIMESTAMP)
            .set_thread_level(LevelFilter::Off)
            .set_target_level(LevelFilter::Off)
            .set_location_level(LevelFilter::Off)
            .build();
        let logger: Box<dyn Log> = match format {
            LogFormat::Text => WriteLogger::new(level, config, lines),
            LogFormat::Json => Box::new(JsonLogger::new(level, lines)),
        };
        let logger = RateLimitedLogger::new(logger, self.log_rate);
        log::set_boxed_logger(Box::new(logger))
            .map_err(|error| StartupError::new(Exit::System, error))?;
        log::set_max_level(level);
        Ok(writer)
    }
}
