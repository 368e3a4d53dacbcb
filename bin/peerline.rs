//! A whole Peerline network in one process. See `peerline::cli::demo`.

use std::process::ExitCode;

use clap::Parser;
use peerline::cli::{demo, exit_code};

fn main() -> ExitCode {
    exit_code("peerline", demo::run(&demo::DemoArgs::parse()))
}
