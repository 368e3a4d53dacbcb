//! The relay of a Peerline network. See `peerline::cli::relay`.

use std::process::ExitCode;

use clap::Parser;
use peerline::cli::{exit_code, relay};

fn main() -> ExitCode {
    exit_code("relay-server", relay::run(&relay::RelayArgs::parse()))
}
