//! The programs: their command lines, and how each one is put together from a role,
//! the loop and the parts around them. The files in `bin/` only name a program.

mod access;
mod announced_relays;
mod client;
mod client_args;
mod client_servers;
mod console;
mod demo;
mod discovery;
mod exit;
mod get;
mod group;
mod host_port;
mod http;
mod id;
mod logging;
mod message_command;
mod message_queue;
mod network;
mod node;
mod node_events;
mod node_relays;
mod registry;
mod relay;
mod relay_address;
mod relay_tls;
mod rights;
mod sample_files;
mod saving;
mod secret;
mod service_manager;
mod shared_folder;
mod signals;
mod sockets;
mod startup_error;
mod tls;
mod usage;
mod user;
mod values;
mod verify;

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;

use clap::Parser;
use signal_hook::consts::SIGXFSZ;

use crate::cli::service_manager::ServiceManager;
use crate::cli::startup_error::StartupError;
use crate::discovery::Announcement;
use crate::escaped::Escaped;
use crate::logging::OPERATOR;
use crate::reactor::{
    Clock, DatagramSocket, ListeningSocket, LoopOutcome, Reactor, ReactorSettings,
    reserve_descriptors,
};
use crate::role::Role;
use crate::stdio::Stderr;
use crate::system_error::check_close;
pub use exit::Exit;

/// Bytes per read of a server. Requests are short, but many are read together, and
/// there is room for the longest datagram.
const SERVER_READ_SIZE: usize = 128 * 1024;

/// Runs `relay-server`.
#[must_use]
pub fn relay_server() -> ExitCode {
    match id::is_requested() {
        true => run_program(id::run_relay, ""),
        false => {
            reserve_descriptors();
            run_program(relay::run, relay::HINTS)
        }
    }
}

/// Runs `peer-node`.
#[must_use]
pub fn peer_node() -> ExitCode {
    match id::is_requested() {
        true => run_program(id::run_node, ""),
        false => {
            reserve_descriptors();
            run_program(node::run, node::HINTS)
        }
    }
}

/// Runs `peer-client`.
#[must_use]
pub fn peer_client() -> ExitCode {
    run_program(client::run, client_args::HINTS)
}

/// Runs `peerline`, a whole network in one process.
#[must_use]
pub fn peerline() -> ExitCode {
    run_program(demo::run, "")
}

/// Parses the command line and runs a program. Prints an error on stderr. See
/// [`usage::parse`] for `hints`.
fn run_program<P: Parser>(run: fn(P) -> Result<Exit, StartupError>, hints: &str) -> ExitCode {
    let words: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let result = signals::handle_by_nothing(SIGXFSZ)
        .and_then(|()| usage::parse(&words, hints))
        .and_then(run)
        .and_then(check_stdout);
    log::logger().flush();
    let exit = result.unwrap_or_else(|error| {
        let help = match error.exit {
            Exit::Usage => format!("\nFor help: {}", usage::help_command::<P>(&words)),
            _ => String::new(),
        };
        if !error.text.is_empty() {
            let name = P::command().get_name().to_owned();
            let text = Escaped::text(&error.text);
            // If stderr is closed, only the exit code remains.
            let _ = writeln!(Stderr, "{name}: {text}{help}");
        }
        error.exit
    });
    exit.into()
}

/// The file system of stdout may report only now that a write has failed.
fn check_stdout(exit: Exit) -> Result<Exit, StartupError> {
    if exit == Exit::Success {
        check_close(io::stdout()).map_err(StartupError::stdout)?;
    }
    Ok(exit)
}

/// Builds the loop of a role.
fn build_reactor<R: Role>(
    role: R,
    settings: ReactorSettings,
    listeners: Vec<ListeningSocket>,
    sockets: Vec<DatagramSocket>,
    clock: Clock,
) -> Result<Reactor<R>, StartupError>
where
    R::File: AsFd,
{
    let build = || {
        let mut reactor = Reactor::new(role, settings, clock)?;
        for listener in listeners {
            reactor.listen(listener)?;
        }
        for socket in sockets {
            reactor.add_datagram_socket(socket)?;
        }
        Ok(reactor)
    };
    build().map_err(StartupError::system("cannot start the loop"))
}

/// Runs a server until it is stopped, and is announced no longer. That is a success, unless
/// transfers were aborted.
fn run_server<R: Role>(
    mut reactor: Reactor<R>,
    manager: ServiceManager,
    announcement: Option<Announcement>,
) -> Result<Exit, StartupError>
where
    R::File: AsFd,
{
    manager.notify_and_wait("READY=1");
    reactor.on_stopping(move || {
        manager.notify("STOPPING=1");
        drop(announcement);
    });
    let (_, outcome) = reactor.run().map_err(StartupError::system("poll"))?;
    Ok(match outcome {
        LoopOutcome::Finished | LoopOutcome::Drained | LoopOutcome::Aborted(0) => Exit::Success,
        LoopOutcome::Aborted(connections) => {
            log::warn!(target: OPERATOR, "connections closed before all data was sent: {connections}");
            Exit::Aborted
        }
    })
}

/// Whether a person is at a terminal, for input and for reports.
fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}
