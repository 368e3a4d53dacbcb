//! A client of a Peerline network. See `peerline::program::client`.

use std::process::ExitCode;

use clap::Parser;
use peerline::program::{client, exit_code};

fn main() -> ExitCode {
    exit_code("peer-client", client::run(&client::Args::parse()))
}
