//! A whole Peerline network in one process.

use std::process::ExitCode;

use peerline::cli::{self, DemoArgs};

fn main() -> ExitCode {
    cli::main::<DemoArgs>()
}
