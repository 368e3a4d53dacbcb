//! The console of a node: its flags, and the user behind it.

use std::io::{self, IsTerminal};
use std::path::Path;

use rustix::process::getpgrp;
use rustix::termios::tcgetpgrp;

use crate::download::{Destination, Target};
use crate::limits::at_least_one;
use crate::node::NodeEvent;
use crate::terminal::prompt::PromptHandle;
use crate::terminal::{Reporter, Screen, Style, TerminalOutput};

/// Whether there is a console, and what it may do.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Console")]
pub struct ConsoleArgs {
    /// Obey commands, as at the client's prompt [default: at a terminal]
    #[arg(long, overrides_with = "no_console")]
    pub console: bool,
    /// Obey no commands
    #[arg(long)]
    pub no_console: bool,
    /// Files that are fetched at once; others wait
    #[arg(long, value_name = "N", default_value = "8", value_parser = at_least_one)]
    pub max_downloads: usize,
    /// Nodes that the relay may list for the console
    #[arg(long, value_name = "N", default_value = "1000000")]
    pub max_nodes: u64,
}

impl ConsoleArgs {
    /// Whether there is to be a console.
    pub(super) fn is_wanted(&self) -> bool {
        self.console || (!self.no_console && is_before_us())
    }
}

/// Whether there is a person at a terminal who types to us: in the background we
/// would be stopped for reading what is typed to others.
fn is_before_us() -> bool {
    let foreground = tcgetpgrp(io::stdin()).is_ok_and(|group| group == getpgrp());
    foreground && has_terminal()
}

/// Whether the user is at a terminal, for input and for talk.
pub(super) fn has_terminal() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// The user at the console of a node that shares `folder`.
pub(super) fn screen(folder: &Path, output: &TerminalOutput, prompt: PromptHandle) -> Screen {
    let destination = Destination::save(Target::Share(folder.to_owned()), false);
    let talk = Reporter::new(Style::Console, output.clone());
    Screen::new(talk, destination, move |kind| prompt.request_line(kind))
}

/// Tells the user at the console how the node is.
pub(super) fn announcing_node(output: &TerminalOutput) -> impl FnMut(&NodeEvent<'_>) + 'static {
    let output = output.clone();
    move |news| output.eprintln(news)
}
