//! The relay of a Peerline network.

use std::process::ExitCode;

fn main() -> ExitCode {
    peerline::cli::relay_server()
}
