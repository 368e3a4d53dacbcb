//! The relay of a Peerline network.

use std::process::ExitCode;

use peerline::cli::{self, RelayArgs};

fn main() -> ExitCode {
    cli::main::<RelayArgs>()
}
