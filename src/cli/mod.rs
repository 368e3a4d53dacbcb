//! The programs: their command lines, and how each one is put together from a role,
//! the loop and the parts around them. The files in `bin/` only name a program.

mod client;
mod client_args;
mod console;
mod demo;
pub mod exit;
mod logging;
mod node;
mod node_args;
mod relay;
mod relay_address;
mod sockets;
mod startup_error;
mod usage;
mod values;

use std::ffi::OsString;
use std::fmt;
use std::io::{self, Write};
use std::process::ExitCode;

use clap::Parser;

pub use client_args::ClientArgs;
pub use console::ConsoleArgs;
pub use demo::DemoArgs;
pub use logging::LogArgs;
pub use node_args::NodeArgs;
pub use relay::RelayArgs;
pub use startup_error::StartupError;
pub use usage::{Mistake, MistakeKind};

pub use crate::cli::exit::Exit;
use crate::logging::AsyncLogWriter;
use crate::reactor::LoopOutcome;
pub use crate::terminal::HistoryArgs;
use crate::terminal::TerminalOutput;

/// Bytes per read of a server. Requests are short, but many are read together, and
/// there is room for the longest datagram.
const SERVER_READ_SIZE: usize = 128 * 1024;

/// A program, as its parsed command line.
pub trait Program: Parser {
    /// Runs the program to its end.
    ///
    /// # Errors
    /// The program cannot start, or the system's poll fails.
    fn run(&self) -> Result<Exit, StartupError>;

    /// The right form of a wrong command line, if it is known.
    fn hint(mistake: &Mistake<'_>) -> Option<String>;
}

/// Runs a program. Prints an error on stderr and returns the exit code.
#[must_use]
pub fn main<P: Program>() -> ExitCode {
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    let result = match usage::parse::<P>(&words) {
        Ok(Some(args)) => args.run(),
        Ok(None) => Ok(Exit::Success),
        Err(error) => Err(error),
    };
    match result {
        Ok(exit) => exit.into(),
        Err(error) => {
            // If stderr is closed, only the exit code remains.
            let _ = print_error::<P>(&error, &words);
            error.exit.into()
        }
    }
}

fn print_error<P: Program>(error: &StartupError, words: &[OsString]) -> io::Result<()> {
    let mut stderr = io::stderr().lock();
    writeln!(stderr, "{}: {error}", P::command().get_name())?;
    if error.exit == Exit::Usage {
        writeln!(stderr, "For help: {}", usage::help_command::<P>(words))?;
    }
    Ok(())
}

/// The output of a server, and the writer thread behind it. Dropping the writer
/// writes the last lines.
fn server_output() -> Result<(TerminalOutput, Option<AsyncLogWriter>), StartupError> {
    TerminalOutput::for_server()
        .map_err(|error| StartupError::system("cannot start a thread", &error))
}

/// A server that was stopped has succeeded, unless transfers were aborted.
fn server_exit(outcome: LoopOutcome) -> Exit {
    match outcome {
        LoopOutcome::Finished | LoopOutcome::Drained | LoopOutcome::Aborted(0) => Exit::Success,
        LoopOutcome::Aborted(connections) => {
            log::warn!("connections closed before all data was sent: {connections}");
            Exit::Cut
        }
    }
}

/// Prints a line on stdout and flushes it. Ignores a closed stdout.
fn print_line(line: impl fmt::Display) {
    let mut stdout = io::stdout().lock();
    let _ = writeln!(stdout, "{line}");
    let _ = stdout.flush();
}
