//! Machines of a test: network namespaces (network_namespaces(7)), two of which share a network.

use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::support::{RunningProgram, eventually, folder};

/// A machine of its own, with a loopback interface.
pub struct Machine {
    /// It keeps the namespace alive.
    keeper: RunningProgram,
    /// The keys of its servers, and those that its clients know.
    state: TempDir,
}

impl Machine {
    /// None where the system does not allow that: then a test can test nothing.
    pub fn new() -> Option<Self> {
        let is_allowed = |status: std::process::ExitStatus| status.success();
        let tried = Command::new("unshare").args(["-rn", "true"]).status();
        if !tried.is_ok_and(is_allowed) {
            eprintln!("not tested: the system allows no network namespaces");
            return None;
        }
        let mut command = Command::new("unshare");
        Some(Self::start(command.arg("-rn")))
    }

    /// Another machine, and a network that joins both: 10.9.0.1 and 10.9.0.2.
    pub fn neighbour(&self) -> Self {
        let mut command = self.command("unshare");
        let other = Self::start(command.arg("-n"));
        let pid = other.pid();
        self.run(&[
            "ip", "link", "add", "net0", "type", "veth", "peer", "name", "net0", "netns", &pid,
        ]);
        for (machine, address) in [(self, "10.9.0.1/24"), (&other, "10.9.0.2/24")] {
            machine.run(&["ip", "address", "add", address, "dev", "net0"]);
            machine.run(&["ip", "link", "set", "net0", "up"]);
        }
        for machine in [self, &other] {
            eventually("the network is up", || {
                machine
                    .run(&["ip", "-o", "link", "show", "net0"])
                    .contains("state UP")
            });
        }
        other
    }

    /// Cuts the network of two neighbours, or joins it again.
    pub fn set_network(&self, is_joined: bool) {
        let state = if is_joined { "up" } else { "down" };
        self.run(&["ip", "link", "set", "net0", state]);
    }

    fn start(command: &mut Command) -> Self {
        command.args(["sh", "-c", "ip link set lo up && echo up && exec cat"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut keeper = RunningProgram::start(command);
        let mut stdout = BufReader::new(keeper.child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        stdout.read_line(&mut line).expect("a line");
        assert_eq!(line, "up\n");
        let state = folder(&[]);
        Self { keeper, state }
    }

    fn pid(&self) -> String {
        self.keeper.child.id().to_string()
    }

    /// The command line of a program on this machine.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.env("XDG_STATE_HOME", self.state.path());
        command.args([
            "--preserve-credentials",
            "-U",
            "-n",
            "-t",
            &self.pid(),
            program,
        ]);
        command
    }

    /// Where its clients keep the keys of relays.
    pub fn known_relays(&self) -> PathBuf {
        self.state.path().join("peerline/known_relays")
    }

    /// Runs a program of the system on this machine. Returns its output.
    pub fn run(&self, words: &[&str]) -> String {
        let output = self.command(words[0]).args(&words[1..]).output();
        let output = output.expect("it starts");
        assert!(output.status.success(), "{words:?}: {output:?}");
        String::from_utf8(output.stdout).expect("a text")
    }
}

/// The address of a neighbour.
pub const NEIGHBOUR: Ipv4Addr = Ipv4Addr::new(10, 9, 0, 2);
