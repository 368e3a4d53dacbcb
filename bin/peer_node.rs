//! A node of a Peerline network.

use std::process::ExitCode;

fn main() -> ExitCode {
    peerline::cli::peer_node()
}
