//! Starts the real programs, talks to them over loopback sockets, and stops
//! what it started. Everything that waits has a deadline; nothing sleeps.

use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, connect, socket_with};
use rustix::process::{Pid, Signal, kill_process};
use wait_timeout::ChildExt;

/// No test waits longer for anything.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// A server that runs until it is dropped.
pub struct Server {
    child: Child,
    address: SocketAddr,
    /// The first line on stdout.
    pub greeting: String,
    /// If nobody reads it yet.
    stderr: Option<ChildStderr>,
    log: Arc<Log>,
    /// Kept open: a closed pipe is something else to test.
    stdout: BufReader<ChildStdout>,
}

/// What a program has written to stderr.
#[derive(Default)]
struct Log {
    text: Mutex<String>,
    grown: Condvar,
}

/// A relay on a port that the system chose.
pub fn relay(args: &[&str]) -> Server {
    Server::start(relay_command(args))
}

/// A relay's command line.
pub fn relay_command(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_relay-server"));
    command.arg("0").args(args);
    command
}

/// Removes the epoch from each reply to `REGISTER`, which must have one.
pub fn without_epochs(replies: &str) -> String {
    let line = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        match fields.as_slice() {
            ["OK", lease, _, _, files, rest @ ..] if lease.parse::<u64>().is_ok() => {
                assert!(files.parse::<u64>().is_ok(), "{line}");
                let [epoch] = rest else {
                    panic!("one field is missing or too many: {line}");
                };
                assert!(epoch.parse::<u64>().is_ok(), "{line}");
                line.replacen(&format!(" {files} {epoch}"), &format!(" {files}"), 1)
            }
            _ => line.to_owned(),
        }
    };
    replies.split_inclusive('\n').map(line).collect()
}

/// A node that shares `folder`; the relay lists it already.
pub fn node(relay: &Server, folder: &Path, args: &[&str]) -> Server {
    let node = unlisted_node(relay.address(), folder, args);
    node.log_until("registered as");
    node
}

/// A node whose relay need not be there.
pub fn unlisted_node(relay: SocketAddr, folder: &Path, args: &[&str]) -> Server {
    Server::start(node_command(relay, folder, args))
}

/// A node's command line.
pub fn node_command(relay: SocketAddr, folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_peer-node"));
    command
        .arg(relay.ip().to_string())
        .arg(relay.port().to_string())
        .arg("--share")
        .arg(folder)
        // When a hash is known is chance; the tests of hashes wait for them.
        .arg("--no-hashes")
        .args(args);
    command
}

impl Server {
    /// Starts a server and reads its first line.
    pub fn start(command: Command) -> Self {
        Self::start_with(command, Stdio::null(), true)
    }

    /// Starts one that may be told something by [`Server::enter`].
    pub fn start_obeying(command: Command) -> Self {
        Self::start_with(command, Stdio::piped(), true)
    }

    /// Starts one whose log nobody reads before [`Server::read_log`].
    pub fn start_unread(command: Command, stdin: Stdio) -> Self {
        Self::start_with(command, stdin, false)
    }

    fn start_with(mut command: Command, stdin: Stdio, reads_log: bool) -> Self {
        let mut child = command
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let (log, mut stderr) = (Arc::new(Log::default()), child.stderr.take());
        if reads_log {
            log.follow(stderr.take().expect("stderr is a pipe"));
        }
        let mut stdout = BufReader::new(child.stdout.take().expect("stdout is a pipe"));
        let mut greeting = String::new();
        stdout.read_line(&mut greeting).expect("a first line");
        let address = greeting
            .split("listening on ")
            .nth(1)
            .and_then(|rest| rest.split([',', '\n']).next())
            .and_then(|address| address.parse().ok())
            .unwrap_or_else(|| panic!("no address in {greeting:?}; log: {}", log.text()));
        Self {
            child,
            address,
            greeting,
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

    /// Writes a line into the pipe that it reads.
    pub fn enter(&mut self, line: &str) {
        let stdin = self.child.stdin.as_mut().expect("it reads from a pipe");
        stdin
            .write_all(format!("{line}\n").as_bytes())
            .expect("it reads");
    }

    /// Closes that pipe.
    pub fn end_input(&mut self) {
        drop(self.child.stdin.take());
    }

    /// The next line on stdout, without its end.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.stdout.read_line(&mut line).expect("a line");
        assert_eq!(line.pop(), Some('\n'), "the line is whole");
        line
    }

    /// From now on somebody reads the log.
    pub fn read_log(&mut self) {
        let stderr = self.stderr.take().expect("nobody reads it yet");
        self.log.follow(stderr);
    }

    /// Waits until the log contains `text`; returns the whole log.
    pub fn log_until(&self, text: &str) -> String {
        self.log.until(|log| log.contains(text), text)
    }

    /// Waits until the log contains `text` so many times.
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

    /// Waits for the end of the program.
    pub fn wait(&mut self) -> ExitStatus {
        self.child
            .wait_timeout(DEADLINE)
            .expect("the child can be waited for")
            .unwrap_or_else(|| panic!("it still runs; log: {}", self.log()))
    }

    /// Whether it still runs after so long.
    pub fn runs_on_for(&mut self, time: Duration) -> bool {
        let status = self.child.wait_timeout(time);
        status.expect("the child can be waited for").is_none()
    }

    /// SIGTERM, and its exit code.
    pub fn stop(&mut self) -> Option<i32> {
        self.signal(Signal::TERM);
        self.wait().code()
    }

    /// A figure of its `STATS`.
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
        // SIGKILL also ends a stopped process; if it has ended, all is well.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("--- log of {}\n{}", self.greeting.trim(), self.log.text());
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

    fn until(&self, found: impl Fn(&str) -> bool, what: &str) -> String {
        let text = self.text.lock().expect("no holder has failed");
        let (guard, timeout) = self
            .grown
            .wait_timeout_while(text, DEADLINE, |text| !found(text))
            .expect("no holder has failed");
        let text = guard.clone();
        // Without the lock: whoever fails below shows the log once more.
        drop(guard);
        assert!(
            !timeout.timed_out(),
            "{what:?} never came in the log:\n{text}"
        );
        text
    }
}

/// One connection, as `nc` would have it.
pub struct Nc {
    input: BufReader<TcpStream>,
}

impl Nc {
    pub fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect_timeout(&address, DEADLINE).expect("it listens"))
    }

    /// From another address of this machine, as if it were another machine.
    pub fn connect_from(source: &str, address: SocketAddr) -> Self {
        let kind = (AddressFamily::INET, SocketType::STREAM);
        // Not to be inherited by a server that another test starts meanwhile.
        let socket = socket_with(kind.0, kind.1, SocketFlags::CLOEXEC, None).expect("a socket");
        let source: IpAddr = source.parse().expect("an address");
        bind(&socket, &SocketAddr::new(source, 0)).expect("an address of this machine");
        connect(&socket, &address).expect("it listens");
        Self::over(socket.into())
    }

    /// A connection that was made elsewhere.
    pub fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(DEADLINE)).expect("an option");
        stream.set_write_timeout(Some(DEADLINE)).expect("an option");
        stream.set_nodelay(true).expect("an option");
        Self {
            input: BufReader::new(stream),
        }
    }

    pub fn local(&self) -> SocketAddr {
        self.stream().local_addr().expect("it is connected")
    }

    pub fn stream(&self) -> &TcpStream {
        self.input.get_ref()
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream()
            .write_all(bytes.as_ref())
            .expect("the other side takes it");
    }

    /// As `nc -N` at the end of its input.
    pub fn half_close(&mut self) {
        self.stream().shutdown(Shutdown::Write).expect("it is open");
    }

    /// Whether nothing comes for so long.
    pub fn is_silent_for(&self, time: Duration) -> bool {
        self.stream()
            .set_read_timeout(Some(time))
            .expect("an option");
        let silent = self.stream().peek(&mut [0]).is_err();
        self.stream()
            .set_read_timeout(Some(DEADLINE))
            .expect("an option");
        silent
    }

    /// The next line, without its end.
    pub fn line(&mut self) -> String {
        let mut line = Vec::new();
        self.input.read_until(b'\n', &mut line).expect("a line");
        assert_eq!(line.pop(), Some(b'\n'), "the line is whole");
        String::from_utf8(line).expect("lines are UTF-8")
    }

    /// Sends a line and reads one.
    pub fn ask(&mut self, line: &str) -> String {
        self.send(format!("{line}\n"));
        self.line()
    }

    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        self.input.read_exact(&mut bytes).expect("so many bytes");
        bytes
    }

    /// Everything up to the end that the other side makes.
    pub fn rest(&mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        self.input.read_to_end(&mut rest).expect("a proper end");
        rest
    }

    /// Likewise, as text.
    pub fn rest_text(&mut self) -> String {
        String::from_utf8(self.rest()).expect("lines are UTF-8")
    }
}

/// Sends, closes its side, and reads to the end: `printf … | nc -N`.
pub fn ask(address: SocketAddr, request: &[u8]) -> String {
    String::from_utf8(ask_bytes(address, request)).expect("lines are UTF-8")
}

/// Likewise, for a binary answer.
pub fn ask_bytes(address: SocketAddr, request: &[u8]) -> Vec<u8> {
    let mut nc = Nc::connect(address);
    nc.send(request);
    nc.half_close();
    nc.rest()
}

/// What a program has done.
pub struct Done {
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Done {
    pub fn text(&self) -> String {
        String::from_utf8(self.stdout.clone()).expect("the output is text")
    }

    /// Fails with all that is known unless the exit code is this.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stderr: {}", self.stderr);
        self
    }
}

/// Runs the client against `relay`, with nothing on stdin.
pub fn client(relay: &Server, args: &[&str]) -> Done {
    run(client_command(relay.address(), args), b"")
}

/// The client's command line.
pub fn client_command(relay: SocketAddr, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_peer-client"));
    command
        .arg(relay.ip().to_string())
        .arg(relay.port().to_string())
        .args(args);
    command
}

/// Runs a program to its end, with `input` on stdin.
pub fn run(mut command: Command, input: &[u8]) -> Done {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut stdin = child.stdin.take().expect("stdin is a pipe");
    let mut stdout = child.stdout.take().expect("stdout is a pipe");
    let mut stderr = child.stderr.take().expect("stderr is a pipe");
    let input = input.to_vec();
    // All three at once: a full pipe must not stop the program.
    thread::spawn(move || stdin.write_all(&input));
    let stdout = thread::spawn(move || {
        let mut bytes = Vec::new();
        stdout.read_to_end(&mut bytes).map(|_| bytes)
    });
    let stderr = thread::spawn(move || {
        let mut text = String::new();
        stderr.read_to_string(&mut text).map(|_| text)
    });
    let status = child.wait_timeout(DEADLINE).expect("it can be waited for");
    if status.is_none() {
        // Its pipes end with it, so that what it said can be shown.
        child.kill().expect("it runs");
        child.wait().expect("it can be waited for");
    }
    let done = Done {
        code: status.and_then(|status| status.code()),
        stdout: stdout.join().expect("reading").expect("stdout can be read"),
        stderr: stderr.join().expect("reading").expect("stderr is text"),
    };
    assert!(
        status.is_some(),
        "it still ran after {DEADLINE:?}: {}",
        done.stderr
    );
    done
}

/// Asks again and again until `done` says so: for what happens in another
/// program without a sign that could be waited for.
#[track_caller]
pub fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !done() {
        assert!(Instant::now() < end, "never: {what}");
        thread::yield_now();
    }
}

/// A folder with these files.
pub fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for (name, content) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("it has one")).expect("a folder");
        std::fs::write(path, content).expect("a file");
    }
    folder
}
