//! Two relays with one directory on a network that is cut in two, and joined again. The test needs
//! network namespaces; where the system allows none, it tests nothing.

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
        let mut command = self.machine.command(env!("CARGO_BIN_EXE_peer-node"));
        command.args([&self.ip, &self.port(), "--listen", &self.ip]);
        command.args(["--tls", "off", "--no-hashes", "--share"]);
        command.arg(share);
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

#[test]
fn both_parts_of_a_cut_network_go_on_and_agree_when_it_is_joined() {
    if is_missing("redis-server") {
        return;
    }
    let Some(here) = Machine::new() else {
        return;
    };
    let there = here.neighbour();
    let home = folder(&[]);
    let mut engine = here.command("redis-server");
    engine.args(["--bind", HERE, "--port", PORT, "--save", ""]);
    engine.args(["--protected-mode", "no", "--dir"]);
    engine.arg(home.path()).stdout(Stdio::null());
    let _engine = RunningProgram::start(&mut engine);
    eventually("the engine listens", || {
        here.run(&["ss", "-lnt"]).contains(&format!(":{PORT} "))
    });
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
