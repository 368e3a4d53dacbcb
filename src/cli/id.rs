//! `relay-server id` and `peer-node id`: print who a server is, without starting it.

use std::io::Write;

use clap::Parser;

use crate::cli::tls::KeyArgs;
use crate::cli::{Exit, StartupError};
use crate::stdio::Stdout;

/// The command line of `relay-server id`.
#[derive(Parser)]
#[command(name = "relay-server", version, max_term_width = 100)]
pub(super) struct RelayIdArgs {
    #[command(subcommand)]
    command: IdCommand,
}

/// The command line of `peer-node id`.
#[derive(Parser)]
#[command(name = "peer-node", version, max_term_width = 100)]
pub(super) struct NodeIdArgs {
    #[command(subcommand)]
    command: IdCommand,
}

#[derive(clap::Subcommand)]
enum IdCommand {
    /// Prints the id of the server and exits. The first time, it makes the key
    Id(KeyArgs),
}

/// Whether the command line begins with `id`.
pub(super) fn is_requested() -> bool {
    std::env::args_os().nth(1).is_some_and(|word| word == "id")
}

/// Prints the id of the relay.
pub(super) fn run_relay(args: RelayIdArgs) -> Result<Exit, StartupError> {
    print(&args.command, "relay")
}

/// Prints the id of the node.
pub(super) fn run_node(args: NodeIdArgs) -> Result<Exit, StartupError> {
    print(&args.command, "node")
}

fn print(command: &IdCommand, program: &str) -> Result<Exit, StartupError> {
    let IdCommand::Id(key) = command;
    let id = key.identity(program)?.id();
    let printed = writeln!(Stdout, "{id}");
    printed.map_err(StartupError::stdout)?;
    Ok(Exit::Success)
}
