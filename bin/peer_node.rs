//! A node of a Peerline network. See `peerline::cli::node`.

use std::process::ExitCode;

use clap::Parser;
use peerline::cli::{exit_code, node};

fn main() -> ExitCode {
    exit_code("peer-node", node::run(&node::NodeArgs::parse()))
}
