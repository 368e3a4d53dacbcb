//! A client of a Peerline network.

use std::process::ExitCode;

use peerline::cli::{self, ClientArgs};

fn main() -> ExitCode {
    cli::main::<ClientArgs>()
}
