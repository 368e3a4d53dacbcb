//! Programs that run while something is measured. Each is stopped by its
//! process id, also when the benchmark fails or is killed.

use std::env;
use std::io::{self, BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Signal, set_parent_process_death_signal};

use crate::machine::{self, Side};

/// The hidden word that makes this program another one, see [`launch`].
pub(crate) const LAUNCH: &str = "launch";

/// No server needs longer to start.
const PATIENCE: Duration = Duration::from_secs(30);

/// A server that runs until it is dropped.
pub(crate) struct Server {
    child: Child,
    /// Where it listens.
    pub(crate) address: SocketAddr,
    /// Kept open: who prints to a closed pipe dies.
    _stdout: Option<BufReader<ChildStdout>>,
}

impl Server {
    /// Starts a program whose first line says `listening on` and the address.
    pub(crate) fn that_tells(program: &str, args: &[&str]) -> io::Result<Self> {
        let mut child = on_its_core(program, args).stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().expect("stdout is a pipe");
        let mut stdout = BufReader::new(stdout);
        let mut line = String::new();
        stdout.read_line(&mut line)?;
        let address = line
            .split("listening on ")
            .nth(1)
            .and_then(|rest| rest.split([',', '\n']).next()?.parse().ok());
        // Whatever it is, it stops when this is dropped.
        let mut server = Self {
            child,
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            _stdout: Some(stdout),
        };
        server.address =
            address.ok_or_else(|| io::Error::other(format!("{program} says {line:?}")))?;
        Ok(server)
    }

    /// Starts a program that listens at `address` without a word.
    pub(crate) fn at(address: SocketAddr, program: &str, args: &[&str]) -> io::Result<Self> {
        let child = on_its_core(program, args).stdout(Stdio::null()).spawn()?;
        let mut server = Self {
            child,
            address,
            _stdout: None,
        };
        let begun = Instant::now();
        while TcpStream::connect(address).is_err() {
            if let Some(status) = server.child.try_wait()? {
                return Err(io::Error::other(format!("{program}: {status}")));
            }
            if begun.elapsed() > PATIENCE {
                return Err(io::Error::other(format!("{program} does not listen")));
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(server)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The processor time that it has used so far.
    pub(crate) fn processor_time(&self) -> Duration {
        machine::processor_time(self.pid()).unwrap_or_default()
    }

    /// Bytes of memory that are its own.
    pub(crate) fn memory(&self) -> io::Result<u64> {
        machine::own_memory(self.pid())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // If it has ended by itself, all is well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server's command: on its processor, and it does not outlive us.
fn on_its_core(program: &str, args: &[&str]) -> Command {
    let this = env::current_exe().expect("a program has a path");
    let mut command = Command::new(this);
    command.arg(LAUNCH).arg(program).args(args);
    command.stdin(Stdio::null()).stderr(Stdio::null());
    command
}

/// Becomes the program that is named first, on the processor of the servers.
/// It is ended with the process that started it.
pub(crate) fn launch(args: &[String]) -> io::Error {
    let prepared = machine::settle(Side::Server)
        .and_then(|()| Ok(set_parent_process_death_signal(Some(Signal::KILL))?));
    match (prepared, args) {
        (Err(error), _) => error,
        (Ok(()), [program, args @ ..]) => Command::new(program).args(args).exec(),
        (Ok(()), []) => io::Error::other("no program"),
    }
}

/// Runs a program to its end, on the processor of the load; it must succeed.
pub(crate) fn run(program: &str, args: &[&str]) -> io::Result<Duration> {
    let begun = Instant::now();
    let status = quiet(program, args).status()?;
    let time = begun.elapsed();
    succeeded(program, status)?;
    Ok(time)
}

/// The same, and returns what it printed.
pub(crate) fn output_of(program: &str, args: &[&str]) -> io::Result<(Vec<u8>, Duration)> {
    let begun = Instant::now();
    let output = quiet(program, args).stdout(Stdio::piped()).output()?;
    let time = begun.elapsed();
    succeeded(program, output.status)?;
    Ok((output.stdout, time))
}

fn quiet(program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

fn succeeded(program: &str, status: ExitStatus) -> io::Result<()> {
    if status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("{program}: {status}")))
}

/// An address at which nobody listens at the moment.
pub(crate) fn free_address() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}
