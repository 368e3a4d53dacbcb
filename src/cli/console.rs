//! The console of a node: its flags, and its user.

use std::io::{self, IsTerminal};
use std::path::Path;
use std::sync::mpsc::Sender;

use rustix::process::getpgrp;
use rustix::termios::tcgetpgrp;

use crate::download::{Destination, Target};
use crate::jobs::PromptKind;
use crate::node::NodeEvent;
use crate::quantity::whole_number;
use crate::terminal::{Screen, Style, TerminalOutput};

/// The flags of the console.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Console")]
pub struct ConsoleArgs {
    /// Read commands from stdin, as at the client's prompt [default: at a terminal]
    #[arg(long, overrides_with = "no_console")]
    pub console: bool,
    /// Read no commands
    #[arg(long)]
    pub no_console: bool,
    /// Maximum number of files to fetch at the same time; others wait
    #[arg(long, value_name = "N", default_value = "8", value_parser = whole_number::<usize>(1..))]
    pub max_downloads: usize,
    /// Maximum number of nodes to accept from the relay
    #[arg(long, value_name = "N", default_value = "1000000", value_parser = whole_number::<u64>(0..))]
    pub max_nodes: u64,
}

impl ConsoleArgs {
    pub(super) fn is_enabled(&self) -> bool {
        self.console || (!self.no_console && is_in_foreground() && is_interactive())
    }
}

/// Whether we are in the foreground of the terminal. Reading it in the background
/// would stop the process.
fn is_in_foreground() -> bool {
    tcgetpgrp(io::stdin()).is_ok_and(|group| group == getpgrp())
}

/// Whether a person is at a terminal, for input and for reports.
pub(super) fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// The user at the console of a node that shares `folder`.
pub(super) fn screen(
    folder: &Path,
    output: &TerminalOutput,
    line_requests: Sender<PromptKind>,
) -> Screen {
    let destination = Destination::save(Target::Share(folder.to_owned()), false);
    Screen::new(Style::Console, output, destination, line_requests)
}

/// Prints the events of the node at its console.
pub(super) fn event_printer(output: &TerminalOutput) -> impl FnMut(&NodeEvent<'_>) + 'static {
    let output = output.clone();
    move |event| output.eprintln(event)
}
