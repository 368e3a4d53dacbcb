//! The programs under test. Each is stopped by its process id, also if the benchmark
//! fails or is killed.

use std::env;
use std::io::{self, BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};
use std::time::Duration;

use rustix::process::{Signal, set_parent_process_death_signal};

use crate::host::{self, CpuRole};

/// The hidden argument that calls [`launch`].
pub(crate) const LAUNCH: &str = "launch";

/// A running server. It is killed when this is dropped.
pub(crate) struct Server {
    child: Child,
    /// The address on which it listens.
    pub(crate) address: SocketAddr,
    /// Kept open: a write to a closed pipe would end the server.
    _stdout: Option<BufReader<ChildStdout>>,
}

impl Server {
    /// Starts a program that prints `listening on` and its address as the first line.
    pub(crate) fn start_reporting_address(program: &str, args: &[&str]) -> io::Result<Self> {
        let mut child = pinned_command(CpuRole::Server, program, args)?
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().expect("stdout is a pipe");
        let mut stdout = BufReader::new(stdout);
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        let address = line
            .split("listening on ")
            .nth(1)
            .and_then(|rest| rest.split([',', '\n']).next()?.parse().ok());
        // From here on an error stops the program by drop.
        let mut server = Self::new(child, SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        server._stdout = Some(stdout);
        server.address =
            address.ok_or_else(|| io::Error::other(format!("{program} says {line:?}")))?;
        Ok(server)
    }

    /// A program that was started by [`pinned_command`].
    pub(crate) fn new(child: Child, address: SocketAddr) -> Self {
        Self {
            child,
            address,
            _stdout: None,
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The processor time so far.
    pub(crate) fn processor_time(&self) -> Duration {
        host::processor_time(self.pid()).unwrap_or_default()
    }

    /// A memory figure in bytes, by its name in `/proc/PID/status`.
    pub(crate) fn memory(&self, name: &str) -> io::Result<u64> {
        host::memory(self.pid(), name)
    }

    /// Fails if the program has ended.
    pub(crate) fn check_running(&mut self) -> io::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => Err(io::Error::other(format!("a server has ended: {status}"))),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Errors mean that it has exited.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The command line of a server: it runs on this processor and ends with this process.
pub(crate) fn pinned_command(
    processor: CpuRole,
    program: &str,
    args: &[&str],
) -> io::Result<Command> {
    let mut command = Command::new(env::current_exe()?);
    let cpu = processor.cpu()?.to_string();
    command.args([LAUNCH, &cpu, program]).args(args);
    command.stdin(Stdio::null()).stderr(Stdio::null());
    Ok(command)
}

/// Replaces this process by a program: the arguments are the number of its processor, the
/// program and its arguments. The program ends with its parent process.
pub(crate) fn launch(args: &[String]) -> io::Error {
    let [cpu, program, args @ ..] = args else {
        return io::Error::other("no program");
    };
    let cpu = cpu.parse().map_err(io::Error::other);
    let prepared = cpu
        .and_then(host::pin_to_cpu)
        .and_then(|()| Ok(set_parent_process_death_signal(Some(Signal::KILL))?));
    match prepared {
        Err(error) => error,
        Ok(()) => Command::new(program).args(args).exec(),
    }
}

/// The exit code of a benchmark: failure if a demand is missed, a reply is wrong, or the
/// benchmark itself fails, which is reported.
pub(crate) fn exit_code(program: &str, outcome: io::Result<bool>) -> ExitCode {
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{program}: {error}");
            ExitCode::FAILURE
        }
    }
}
