//! Programs that run to their end, above all the client.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::thread;

use wait_timeout::ChildExt;

use crate::support::{DEADLINE, Server};

/// The exit code and output of a program.
#[derive(Debug)]
pub struct ProgramOutput {
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl ProgramOutput {
    pub fn text(&self) -> String {
        String::from_utf8(self.stdout.clone()).expect("the output is text")
    }

    /// Fails unless the exit code is `code`.
    #[track_caller]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stderr: {}", self.stderr);
        self
    }
}

/// Runs the client against `relay`, with nothing on stdin.
pub fn client(relay: &Server, args: &[&str]) -> ProgramOutput {
    run(client_command(relay.address(), args), b"")
}

/// The command line of the client.
pub fn client_command(relay: SocketAddr, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_peer-client"));
    command
        .arg(relay.ip().to_string())
        .arg(relay.port().to_string())
        .args(args);
    set_state(&mut command, args);
    command
}

/// Where programs remember the keys of their relays that have to speak TLS: a program of another
/// test, whose relay has the same port by chance, must not take it for one of these.
pub const TLS_STATE: &str = concat!(env!("CARGO_TARGET_TMPDIR"), "/state-of-a-group");

/// Uses [`TLS_STATE`] for a command that connects over TLS because of these arguments.
pub fn set_state(command: &mut Command, args: &[&str]) {
    let words = ["--secret-file", "--relay-id", "--tls=required", "required"];
    let means_tls = |arg: &&str| words.iter().any(|word| arg.starts_with(word));
    if args.iter().any(means_tls) {
        command.env("XDG_STATE_HOME", TLS_STATE);
    }
}

/// Runs a program to its end, with `input` on stdin.
pub fn run(mut command: Command, input: &[u8]) -> ProgramOutput {
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
    // Three threads: a full pipe must not block the program.
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
        // This closes its pipes, so that its output can be shown.
        child.kill().expect("it runs");
        child.wait().expect("it can be waited for");
    }
    let output = ProgramOutput {
        code: status.and_then(|status| status.code()),
        stdout: stdout.join().expect("reading").expect("stdout can be read"),
        stderr: stderr.join().expect("reading").expect("stderr is text"),
    };
    assert!(
        status.is_some(),
        "it still ran after {DEADLINE:?}: {}",
        output.stderr
    );
    output
}
