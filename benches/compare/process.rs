//! The programs under test. Each is stopped by its process id, also if the benchmark
//! fails or is killed.

use std::env;
use std::io::{self, BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Signal, set_parent_process_death_signal};

use crate::host::{self, CpuRole};

/// The hidden argument that calls [`launch`].
pub(crate) const LAUNCH: &str = "launch";

/// The longest time for a server to start.
const TIMEOUT: Duration = Duration::from_secs(30);

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
        let mut child = pinned_command(program, args)
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
        let mut server = Self {
            child,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            _stdout: Some(stdout),
        };
        server.address =
            address.ok_or_else(|| io::Error::other(format!("{program} says {line:?}")))?;
        Ok(server)
    }

    /// Starts a program that listens on `address` and prints nothing.
    pub(crate) fn start_at(address: SocketAddr, program: &str, args: &[&str]) -> io::Result<Self> {
        let child = pinned_command(program, args)
            .stdout(Stdio::null())
            .spawn()?;
        let mut server = Self {
            child,
            address,
            _stdout: None,
        };
        let start = Instant::now();
        while TcpStream::connect(address).is_err() {
            if let Some(status) = server.child.try_wait()? {
                return Err(io::Error::other(format!("{program}: {status}")));
            }
            if start.elapsed() > TIMEOUT {
                return Err(io::Error::other(format!("{program} does not listen")));
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(server)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The processor time so far.
    pub(crate) fn processor_time(&self) -> Duration {
        host::processor_time(self.pid()).unwrap_or_default()
    }

    /// Private memory in bytes.
    pub(crate) fn memory(&self) -> io::Result<u64> {
        host::private_memory(self.pid())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Errors mean that it has exited.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The command line of a server: it runs on its own processor and ends with this
/// process.
fn pinned_command(program: &str, args: &[&str]) -> Command {
    let this = env::current_exe().expect("a program has a path");
    let mut command = Command::new(this);
    command.arg(LAUNCH).arg(program).args(args);
    command.stdin(Stdio::null()).stderr(Stdio::null());
    command
}

/// Replaces this process by the program in the first argument, on the processor of the
/// servers. The program ends with its parent process.
pub(crate) fn launch(args: &[String]) -> io::Error {
    let prepared = host::pin_to_cpu(CpuRole::Server)
        .and_then(|()| Ok(set_parent_process_death_signal(Some(Signal::KILL))?));
    match (prepared, args) {
        (Err(error), _) => error,
        (Ok(()), [program, args @ ..]) => Command::new(program).args(args).exec(),
        (Ok(()), []) => io::Error::other("no program"),
    }
}

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

/// An address with a port that is free at the moment.
pub(crate) fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}
