//! Unmodified HTTP clients: `curl`, `wget`, `aria2c`, `python3`. `.ci/run` installs them.

use std::path::Path;
use std::process::Command;

use crate::support::{ProgramOutput, run};

/// Whether a client is not installed; then the test is skipped.
pub fn is_missing(program: &str) -> bool {
    let is_missing = Command::new(program).arg("--version").output().is_err();
    if is_missing {
        println!("skipped: there is no {program}");
    }
    is_missing
}

/// Runs a client in a folder, to which it downloads.
pub fn http_program(name: &str, folder: &Path, args: &[&str]) -> ProgramOutput {
    let mut command = Command::new(name);
    // The settings of the user of this machine must not matter.
    command
        .current_dir(folder)
        .args(args)
        .env("HOME", folder)
        .env("no_proxy", "*")
        .env("LC_ALL", "C.UTF-8");
    run(command, b"")
}
