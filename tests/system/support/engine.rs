//! An engine for relays that share a directory: `redis-server`, which `.ci/run` installs.

use std::fs;
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::support::{eventually, is_missing};

/// A running engine. It is killed when this is dropped.
pub struct Engine {
    folder: TempDir,
    args: Vec<String>,
    child: Child,
}

impl Engine {
    /// Starts an engine at a socket of its own. None if there is none on this machine: then
    /// the test is skipped.
    pub fn start(args: &[&str]) -> Option<Self> {
        if is_missing("redis-server") || is_missing("redis-cli") {
            return None;
        }
        let folder = TempDir::new().expect("a folder");
        let args: Vec<String> = args.iter().copied().map(str::to_owned).collect();
        let child = spawn(&folder, &args);
        let engine = Self {
            folder,
            args,
            child,
        };
        engine.wait_until_ready();
        Some(engine)
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("redis.sock")
    }

    /// The value of `--registry`.
    pub fn url(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// Runs a command in the engine. Returns what it prints.
    pub fn command(&self, words: &[&str]) -> String {
        let mut command = Command::new("redis-cli");
        command.arg("-s").arg(self.socket()).args(words);
        let output = command.output().expect("redis-cli runs");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    /// The key of the record of the node at 127.0.0.1 with this port, once there is one. It also
    /// has an id of this machine.
    pub fn key_of_loopback(&self, port: u16) -> String {
        let pattern = format!("peerline:node:127.0.0.1 {port} *");
        let mut key = String::new();
        eventually("the node has a record", || {
            key = self.command(&["KEYS", &pattern]);
            !key.is_empty()
        });
        key
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().cast_signed()).expect("a process");
        kill_process(pid, signal).expect("the process is there");
    }

    /// Kills the engine. It loses everything.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts the engine again, at the same place.
    pub fn restart(&mut self) {
        self.kill();
        let _ = fs::remove_file(self.socket());
        self.child = spawn(&self.folder, &self.args);
        self.wait_until_ready();
    }

    fn wait_until_ready(&self) {
        eventually("the engine listens", || {
            UnixStream::connect(self.socket()).is_ok()
        });
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn(folder: &TempDir, args: &[String]) -> Child {
    let mut command = Command::new("redis-server");
    command.args(["--save", "", "--appendonly", "no"]);
    command.arg("--dir").arg(folder.path());
    command.args(["--unixsocket", "redis.sock"]);
    if !args.iter().any(|arg| arg == "--port") {
        command.args(["--port", "0"]);
    }
    command.args(args).stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command.spawn().expect("redis-server starts")
}

/// A port at this address that nobody uses.
pub fn free_port(ip: &str) -> u16 {
    let listener = TcpListener::bind((ip, 0)).expect("an address of this machine");
    listener.local_addr().expect("it is bound").port()
}
