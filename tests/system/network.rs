//! Nodes that start before their network, and relays that move to another address. The tests
//! give a node its own name service and network (unshare(1)); where the system does not allow
//! that, they test nothing.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{ChildStderr, Command, Stdio};

use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::{RunningProgram, Server, ask, eventually, folder};

/// Whether a program may have namespaces of its own.
fn has_namespaces() -> bool {
    let status = Command::new("unshare").args(["-rmn", "true"]).status();
    status.is_ok_and(|status| status.success())
}

/// A name service in which the test says to which address `relay.test` resolves.
struct Names(TempDir);

impl Names {
    fn new() -> Self {
        Self(folder(&[("hosts", b""), ("nsswitch", b"hosts: files\n")]))
    }

    /// In place: the file is mounted.
    fn set(&self, address: &str) {
        let line = format!("{address} relay.test\n");
        fs::write(self.0.path().join("hosts"), line).expect("a file");
    }

    /// The command line of a node whose relay is at this port of `relay.test`.
    fn node(&self, port: u16, share: &Path) -> Command {
        let mut command = Command::new("unshare");
        let script = "mount --bind $0/hosts /etc/hosts && \
                      mount --bind $0/nsswitch /etc/nsswitch.conf && exec \"$@\"";
        command.args(["-rm", "sh", "-c", script]);
        command
            .arg(self.0.path())
            .arg(env!("CARGO_BIN_EXE_peer-node"));
        command.arg(format!("relay.test:{port}"));
        command
            .args(["--listen", "127.0.0.1", "--share"])
            .arg(share);
        command
    }
}

fn relay_at(address: &str, port: u16) -> Server {
    let mut command = Command::new(env!("CARGO_BIN_EXE_relay-server"));
    command.args([&port.to_string(), "--listen", address, "--lease", "2"]);
    Server::start(command)
}

fn start_with_pipes(command: &mut Command) -> RunningProgram {
    let command = command.stdin(Stdio::piped());
    RunningProgram::start(command.stdout(Stdio::piped()).stderr(Stdio::piped()))
}

fn stderr(program: &mut RunningProgram) -> BufReader<ChildStderr> {
    BufReader::new(program.child.stderr.take().expect("a pipe"))
}

fn line(input: &mut impl BufRead) -> String {
    let mut line = String::new();
    input.read_line(&mut line).expect("a line");
    line
}

#[test]
fn a_node_waits_for_the_name_of_its_relay() {
    let share = folder(&[]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_peer-node"));
    // The domain "invalid" is reserved (RFC 6761, 6.4).
    command
        .args(["name.invalid", "9", "--share"])
        .arg(share.path());
    let mut node = start_with_pipes(&mut command);
    let mut stderr = stderr(&mut node);
    let told = line(&mut stderr);
    assert!(
        told.starts_with("peer-node: cannot resolve name.invalid: "),
        "{told}"
    );
    assert!(told.ends_with("; still trying\n"), "{told}");
    node.signal(Signal::TERM);
    assert_eq!(node.wait(), Some(0), "it has nothing to finish");
    assert_eq!(line(&mut stderr), "", "it says so once");
}

#[test]
fn a_node_that_starts_before_its_name_service_registers_later() {
    if !has_namespaces() {
        return;
    }
    let (names, share) = (Names::new(), folder(&[]));
    let relay = relay_at("127.0.0.79", 0);
    let mut node = start_with_pipes(&mut names.node(relay.address().port(), share.path()));
    let told = line(&mut stderr(&mut node));
    assert!(
        told.starts_with("peer-node: cannot resolve relay.test: "),
        "{told}"
    );
    names.set("127.0.0.79");
    relay.log_until(" registered by ");
}

#[test]
fn a_node_follows_its_relay_to_another_address() {
    if !has_namespaces() {
        return;
    }
    let (names, share) = (Names::new(), folder(&[]));
    let mut relay = relay_at("127.0.0.80", 0);
    let port = relay.address().port();
    names.set("127.0.0.80");
    let node = Server::start(names.node(port, share.path()));
    node.log_until("registered as");
    relay.signal(Signal::KILL);
    relay.wait();
    let relay = relay_at("127.0.0.81", port);
    names.set("127.0.0.81");
    relay.log_until(" registered by ");
    eventually("STATS names the new address", || {
        ask(node.address(), b"STATS\n").contains(&format!("registered_at_127.0.0.81:{port} 1\n"))
    });
}

#[test]
fn a_node_waits_for_a_route_to_its_relay() {
    if !has_namespaces() {
        return;
    }
    let share = folder(&[]);
    let mut command = Command::new("unshare");
    // Even the loopback interface is down at first.
    let script = "exec 3<&0; { read go <&3; ip link set lo up; } & \
                  exec \"$0\" \"$@\" </dev/null";
    command.args(["-rn", "sh", "-c", script]);
    command.arg(env!("CARGO_BIN_EXE_peer-node"));
    command.args(["127.0.0.1:9", "--share"]).arg(share.path());
    let mut node = start_with_pipes(&mut command);
    let told = line(&mut stderr(&mut node));
    let expected =
        "peer-node: no route to the relay; choose an address with --listen; still trying\n";
    assert_eq!(told, expected);
    let stdin = node.child.stdin.as_mut().expect("a pipe");
    stdin.write_all(b"go\n").expect("it reads");
    let mut stdout = BufReader::new(node.child.stdout.take().expect("a pipe"));
    assert!(line(&mut stdout).starts_with("peer-node listening on 127.0.0.1:"));
}
