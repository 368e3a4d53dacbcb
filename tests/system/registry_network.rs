//! Relays with one directory on two machines, and what becomes of it when the network is cut in two
//! and joined again. The tests need network namespaces; where the system allows none, they test
//! nothing.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use crate::support::namespaces::{Machine, NEIGHBOUR};
use crate::support::{RunningProgram, Server, eventually, folder, is_missing, run};

const HERE: &str = "10.9.0.1";
const PORT: &str = "6379";

/// A relay on a machine, and the machine.
struct RelayOn<'a> {
    machine: &'a Machine,
    ip: String,
    relay: Server,
}

impl<'a> RelayOn<'a> {
    fn start(machine: &'a Machine, ip: &str) -> Self {
        let mut command = machine.command(env!("CARGO_BIN_EXE_relay-server"));
        command.args(["0", "--listen", ip, "--tls", "off", "--registry"]);
        command.arg(format!("redis://{HERE}:{PORT}"));
        let relay = Server::start(command);
        relay.log_until("registry: connected");
        Self {
            machine,
            ip: ip.to_owned(),
            relay,
        }
    }

    fn port(&self) -> String {
        self.relay.address().port().to_string()
    }

    /// Starts a node on the machine of the relay.
    fn node(&self, share: &Path) -> Server {
        self.node_with(share, &[])
    }

    fn node_with(&self, share: &Path, args: &[&str]) -> Server {
        let mut command = self.machine.command(env!("CARGO_BIN_EXE_peer-node"));
        command.args([&self.ip, &self.port(), "--listen", &self.ip]);
        command.args(["--tls", "off", "--no-hashes", "--share"]);
        command.arg(share).args(args);
        let node = Server::start(command);
        node.log_until("registered as");
        node
    }

    /// What `peer-client` prints on the machine of the relay.
    fn client(&self, args: &[&str]) -> String {
        let mut command = self.machine.command(env!("CARGO_BIN_EXE_peer-client"));
        command.args([&self.ip, &self.port()]).args(args);
        run(command, b"").text()
    }

    #[track_caller]
    fn wait_for_files(&self, expected: &str) {
        let mut last = String::new();
        eventually(&format!("{} lists {expected:?}", self.ip), || {
            last = self.client(&["ls"]);
            last == expected
        });
    }
}

/// Two machines on one network; none where the system cannot provide them, or has no engine.
fn machines() -> Option<(Machine, Machine)> {
    if is_missing("redis-server") {
        return None;
    }
    let here = Machine::new()?;
    let there = here.neighbour();
    Some((here, there))
}

fn start_engine(machine: &Machine, home: &Path) -> RunningProgram {
    let mut engine = machine.command("redis-server");
    engine.args(["--bind", HERE, "--port", PORT, "--save", ""]);
    engine.args(["--protected-mode", "no", "--dir"]);
    engine.arg(home).stdout(Stdio::null());
    let engine = RunningProgram::start(&mut engine);
    eventually("the engine listens", || {
        machine.run(&["ss", "-lnt"]).contains(&format!(":{PORT} "))
    });
    engine
}

#[test]
fn both_parts_of_a_cut_network_go_on_and_agree_when_it_is_joined() {
    let Some((here, there)) = machines() else {
        return;
    };
    let home = folder(&[]);
    let _engine = start_engine(&here, home.path());
    let [a, b] = [
        RelayOn::start(&here, HERE),
        RelayOn::start(&there, &NEIGHBOUR.to_string()),
    ];
    let shares = [folder(&[("a", b"A")]), folder(&[("b", b"BB")])];
    let mut node = a.node(shares[0].path());
    let _other = b.node(shares[1].path());
    a.wait_for_files("1 - 1 a\n2 - 1 b\n");
    b.wait_for_files("1 - 1 a\n2 - 1 b\n");
    assert_eq!(b.client(&["get", "a"]), "A");
    there.set_network(false);
    b.relay
        .log_until("cut off: the registry does not answer in time");
    // Each part goes on with what it has.
    fs::write(shares[1].path().join("c"), "CCC").expect("a file");
    b.wait_for_files("1 - 1 a\n2 - 1 b\n3 - 1 c\n");
    assert_eq!(b.client(&["get", "c"]), "CCC");
    assert_eq!(node.stop(), Some(0));
    let new_share = folder(&[("d", b"DDDD")]);
    let _new = a.node(new_share.path());
    a.wait_for_files("2 - 1 b\n4 - 1 d\n");
    there.set_network(true);
    for relay in [&a, &b] {
        relay.wait_for_files("2 - 1 b\n3 - 1 c\n4 - 1 d\n");
    }
    assert_eq!(a.client(&["get", "c"]), "CCC");
    assert_eq!(b.client(&["get", "d"]), "DDDD");
}

#[test]
fn nodes_on_loopback_are_known_on_their_own_machine_only() {
    const LOOPBACK: &str = "127.0.0.1";
    let Some((here, there)) = machines() else {
        return;
    };
    let home = folder(&[]);
    let _engine = start_engine(&here, home.path());
    let shares = [folder(&[("a", b"A")]), folder(&[("b", b"BB")])];
    let (ours, theirs) = ("1 - 1 a\n", "2 - 1 b\n");
    let start = |machine| RelayOn::start(machine, LOOPBACK);
    let (a, other, b) = (start(&here), start(&here), start(&there));
    // The same address on both machines.
    let _node = a.node_with(shares[0].path(), &["--port", "9001"]);
    let _other = b.node_with(shares[1].path(), &["--port", "9001"]);
    for (relay, files) in [(&a, ours), (&other, ours), (&b, theirs)] {
        relay.wait_for_files(files);
    }
    // By now, they have heard of each other. Late ones load what the engine has.
    let (late, late_there) = (start(&here), start(&there));
    for (relay, files) in [(&late, ours), (&late_there, theirs), (&other, ours)] {
        relay.wait_for_files(files);
    }
    assert_eq!(late.client(&["get", "a"]), "A");
    assert_eq!(late_there.client(&["get", "b"]), "BB");
}
