//! The servers: they start on a free port, log into memory, and are killed when they
//! are dropped.

use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use wait_timeout::ChildExt;

use crate::support::{DEADLINE, ask, set_state};

/// A running server. It is killed when this is dropped.
pub struct Server {
    child: Child,
    address: SocketAddr,
    /// The first line on stdout.
    pub first_line: String,
    /// None while a thread reads it.
    stderr: Option<ChildStderr>,
    log: Arc<Log>,
    /// Kept open: a server with a closed stdout is another test.
    stdout: BufReader<ChildStdout>,
}

/// The output of a program on stderr.
#[derive(Default)]
struct Log {
    text: Mutex<String>,
    grown: Condvar,
}

/// Starts a relay on a free port.
pub fn relay(args: &[&str]) -> Server {
    Server::start(relay_command(args))
}

/// A limit on log lines that no test reaches, unless `args` has one.
fn whole_log<'a>(args: &[&str]) -> &'a [&'a str] {
    match args.contains(&"--log-rate") {
        true => &[],
        false => &["--log-rate", "1000000"],
    }
}

/// The command line of a relay.
pub fn relay_command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_relay-server"));
    command.arg("0").args(whole_log(args)).args(args);
    command
}

/// Starts a node that shares `folder`, and waits until it is registered.
pub fn node(relay: &Server, folder: &Path, args: &[&str]) -> Server {
    let node = unlisted_node(relay.address(), folder, args);
    node.log_until("registered as");
    node
}

/// Starts a node and does not wait for its registration.
pub fn unlisted_node(relay: SocketAddr, folder: &Path, args: &[&str]) -> Server {
    Server::start(node_command(relay, folder, args))
}

/// The command line of a node.
pub fn node_command(relay: SocketAddr, folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_peer-node"));
    command
        .arg(relay.ip().to_string())
        .arg(relay.port().to_string())
        .arg("--share")
        .arg(folder)
        // The time at which a hash is known is random. Tests of hashes wait for it.
        .arg("--no-hashes")
        .args(whole_log(args))
        .args(args);
    set_state(&mut command, args);
    command
}

impl Server {
    /// Starts a server and reads its first line.
    pub fn start(command: Command) -> Self {
        Self::start_with(command, Stdio::null(), Some(true))
    }

    /// Starts a server whose stdin is a pipe, for [`Server::enter`].
    pub fn start_with_stdin(command: Command) -> Self {
        Self::start_with(command, Stdio::piped(), Some(true))
    }

    /// Starts a server whose log is not read before [`Server::start_reading_log`].
    pub fn start_without_log_reader(command: Command, stdin: Stdio) -> Self {
        Self::start_with(command, stdin, Some(false))
    }

    /// Starts a server with the stderr of `command`.
    pub fn start_with_own_stderr(command: Command) -> Self {
        Self::start_with(command, Stdio::null(), None)
    }

    /// Stderr is a pipe if `reads_log` says whether it is read from the start.
    fn start_with(mut command: Command, stdin: Stdio, reads_log: Option<bool>) -> Self {
        command.stdin(stdin).stdout(Stdio::piped());
        if reads_log.is_some() {
            command.stderr(Stdio::piped());
        }
        let mut child = command.spawn().expect("the program starts");
        drop(command);
        let (log, mut stderr) = (Arc::new(Log::default()), child.stderr.take());
        if reads_log == Some(true) {
            log.follow(stderr.take().expect("stderr is a pipe"));
        }
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
        let mut first_line = String::new();
        stdout.read_line(&mut first_line).expect("a first line");
        let address = first_line
            .split("listening on ")
            .nth(1)
            .and_then(|rest| rest.split([',', '\n']).next())
            .and_then(|address| address.parse().ok())
            .unwrap_or_else(|| panic!("no address in {first_line:?}; log: {}", log.text()));
        Self {
            child,
            address,
            first_line,
            stderr,
            log,
            stdout,
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `ip port`, as on the wire and on command lines.
    pub fn wire_address(&self) -> String {
        format!("{} {}", self.address.ip(), self.address.port())
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Writes a line to its stdin.
    pub fn enter(&mut self, line: &str) {
        let stdin = self.child.stdin.as_mut().expect("it reads from a pipe");
        stdin
            .write_all(format!("{line}\n").as_bytes())
            .expect("it reads");
    }

    /// Closes its stdin.
    pub fn close_stdin(&mut self) {
        drop(self.child.stdin.take());
    }

    /// The next line on stdout, without the newline.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("a line");
        assert_eq!(line.pop(), Some('\n'), "the line is whole");
        line
    }

    /// Starts to read the log.
    pub fn start_reading_log(&mut self) {
        let stderr = self.stderr.take().expect("nobody reads it yet");
        self.log.follow(stderr);
    }

    /// Waits until the log contains `text`; returns the whole log.
    pub fn log_until(&self, text: &str) -> String {
        self.log.until(|log| log.contains(text), text)
    }

    /// Waits until the log contains `text` `count` times.
    pub fn log_until_count(&self, text: &str, count: usize) -> String {
        self.log
            .until(|log| log.matches(text).count() >= count, text)
    }

    /// The log so far.
    pub fn log(&self) -> String {
        self.log.text()
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().cast_signed()).expect("a process");
        kill_process(pid, signal).expect("the process is there");
    }

    /// Waits for the exit.
    pub fn wait(&mut self) -> ExitStatus {
        self.child
            .wait_timeout(DEADLINE)
            .expect("the child can be waited for")
            .unwrap_or_else(|| panic!("it still runs; log: {}", self.log()))
    }

    /// Whether the program still runs after `time`.
    pub fn is_running_after(&mut self, time: Duration) -> bool {
        let status = self.child.wait_timeout(time);
        status.expect("the child can be waited for").is_none()
    }

    /// Sends SIGTERM. Returns the exit code.
    pub fn stop(&mut self) -> Option<i32> {
        self.signal(Signal::TERM);
        self.wait().code()
    }

    /// Its resident memory in bytes.
    pub fn resident(&self) -> u64 {
        let statm = fs::read_to_string(format!("/proc/{}/statm", self.pid())).expect("statm");
        let pages = statm.split(' ').nth(1).expect("a second field");
        pages.parse::<u64>().expect("a number") * 4096
    }

    /// A value of its `STATS`.
    pub fn stat(&self, name: &str) -> u64 {
        let stats = ask(self.address, b"STATS\n");
        stats
            .lines()
            .find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
            .unwrap_or_else(|| panic!("no {name} in {stats:?}"))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // SIGKILL ends a stopped process too. Errors mean that it has exited.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- log of {}\n{}", self.first_line.trim(), self.log.text());
        }
    }
}

impl Log {
    fn follow(self: &Arc<Self>, stderr: impl Read + Send + 'static) {
        let writer = Arc::clone(self);
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines() {
                let Ok(line) = line else { break };
                let mut text = writer.text.lock().expect("no holder has failed");
                let _ = writeln!(text, "{line}");
                writer.grown.notify_all();
            }
        });
    }

    fn text(&self) -> String {
        self.text.lock().expect("no holder has failed").clone()
    }

    fn until(&self, is_complete: impl Fn(&str) -> bool, what: &str) -> String {
        let text = self.text.lock().expect("no holder has failed");
        let (guard, timeout) = self
            .grown
            .wait_timeout_while(text, DEADLINE, |text| !is_complete(text))
            .expect("no holder has failed");
        let text = guard.clone();
        // The lock is released: a failed assertion reads the log again.
        drop(guard);
        assert!(
            !timeout.timed_out(),
            "{what:?} never came in the log:\n{text}"
        );
        text
    }
}

/// Starts a relay, and a node that shares `folder`.
pub fn node_with_relay(folder: &Path, args: &[&str]) -> (Server, Server) {
    let relay = relay(&[]);
    let node = node(&relay, folder, args);
    (node, relay)
}
