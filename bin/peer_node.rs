//! A node of a Peerline network.

use std::process::ExitCode;

use peerline::cli::{self, NodeArgs};

fn main() -> ExitCode {
    cli::main::<NodeArgs>()
}
