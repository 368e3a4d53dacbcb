//! A client of a Peerline network. See `peerline::cli::client`.

use std::process::ExitCode;

use clap::Parser;
use peerline::cli::{client, exit_code};

fn main() -> ExitCode {
    exit_code("peer-client", client::run(&client::ClientArgs::parse()))
}
