//! A whole Peerline network in one process.

use std::process::ExitCode;

fn main() -> ExitCode {
    peerline::cli::peerline()
}
