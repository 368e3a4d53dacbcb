//! Programs that run to their end.

use std::io;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::host;

/// Runs a program to its end, on the processor of the load. Fails if the program fails.
pub(crate) fn run(program: &str, args: &[&str]) -> io::Result<Duration> {
    let start = Instant::now();
    let status = quiet_command(program, args).status()?;
    let time = start.elapsed();
    check_status(program, status)?;
    Ok(time)
}

/// The same, with the output.
pub(crate) fn run_with_output(program: &str, args: &[&str]) -> io::Result<(Vec<u8>, Duration)> {
    let start = Instant::now();
    let output = quiet_command(program, args)
        .stdout(Stdio::piped())
        .output()?;
    let time = start.elapsed();
    check_status(program, output.status)?;
    Ok((output.stdout, time))
}

/// The processor time of all programs that have run to their end. Servers count once
/// they are stopped.
pub(crate) fn processor_time() -> io::Result<Duration> {
    // Fields 16 and 17 (cutime, cstime).
    host::ticks("self", 16)
}

/// Runs a program to its end. Returns what it prints.
pub(crate) fn output_of(program: &str, args: &[&str]) -> io::Result<String> {
    let (output, _) = run_with_output(program, args)?;
    Ok(String::from_utf8_lossy(&output).into_owned())
}

fn quiet_command(program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

fn check_status(program: &str, status: ExitStatus) -> io::Result<()> {
    if status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("{program}: {status}")))
}
