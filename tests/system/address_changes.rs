//! Nodes on a machine whose address changes, as by DHCP, or holds on one link only, or with a relay
//! on the same machine. The tests need network namespaces; where the system allows none, they test nothing.

use std::fs;
use std::path::Path;

use rustix::process::Signal;

use crate::support::namespaces::{Machine, NEIGHBOUR};
use crate::support::{Server, folder, run};

/// The first address of the node's machine, and the one that replaces it.
const BEFORE: &str = "10.9.0.1";
const AFTER: &str = "10.9.0.9";

/// Two neighbours, and a relay on the second one, which gives leases of so many seconds.
fn machines(lease: &str) -> Option<(Machine, Machine, Server)> {
    let here = Machine::new()?;
    let there = here.neighbour();
    let mut command = there.command(env!("CARGO_BIN_EXE_relay-server"));
    command.args(["0", "--listen", "0.0.0.0", "--lease", lease]);
    let relay = Server::start(command);
    Some((here, there, relay))
}

fn node_on(machine: &Machine, relay: &Server, share: &Path, args: &[&str]) -> Server {
    let mut command = machine.command(env!("CARGO_BIN_EXE_peer-node"));
    let port = relay.address().port();
    command.arg(format!("{NEIGHBOUR}:{port}"));
    command
        .args(["--no-hashes", "--share"])
        .arg(share)
        .args(args);
    let node = Server::start(command);
    node.log_until(&format!("registered as {BEFORE} "));
    node
}

/// The machine loses its address, and has another one.
fn change_address(machine: &Machine) {
    machine.run(&[
        "ip",
        "address",
        "del",
        &format!("{BEFORE}/24"),
        "dev",
        "net0",
    ]);
    machine.run(&[
        "ip",
        "address",
        "add",
        &format!("{AFTER}/24"),
        "dev",
        "net0",
    ]);
}

/// The node serves its file at its new address, and listens only there.
#[track_caller]
fn assert_follows(node: &Server, here: &Machine, there: &Machine) {
    let address = format!("{AFTER}:{}", node.address().port());
    node.log_until(&format!("listening on {address} now"));
    node.log_until(&format!("registered as {AFTER} "));
    let mut command = there.command(env!("CARGO_BIN_EXE_peer-client"));
    command.args(["--from", &address, "get", "hello.txt"]);
    assert_eq!(run(command, b"").expect_code(0).text(), "hello");
    let listening = here.run(&["ss", "-Hltn"]);
    assert!(!listening.contains(BEFORE), "{listening}");
}

#[test]
fn a_node_follows_its_machine_to_another_address() {
    let Some((here, there, relay)) = machines("2") else {
        return;
    };
    let share = folder(&[("hello.txt", b"hello")]);
    let node = node_on(&here, &relay, share.path(), &["--listen-messages"]);
    node.log_until(&format!("messages to {BEFORE} "));
    change_address(&here);
    assert_follows(&node, &here, &there);
    node.log_until(&format!("messages to {AFTER} "));
}

#[test]
fn a_node_that_asks_over_udp_follows_its_machine_to_another_address() {
    let Some((here, there, relay)) = machines("2") else {
        return;
    };
    let share = folder(&[("hello.txt", b"hello")]);
    let node = node_on(&here, &relay, share.path(), &["--udp"]);
    change_address(&here);
    assert_follows(&node, &here, &there);
    let sockets = here.run(&["ss", "-Huan"]);
    assert!(
        sockets.contains(AFTER) && !sockets.contains(BEFORE),
        "{sockets}"
    );
}

#[test]
fn a_node_says_that_the_address_of_its_user_is_gone_and_comes_back_with_it() {
    let Some((here, _there, relay)) = machines("2") else {
        return;
    };
    let share = folder(&[("hello.txt", b"hello")]);
    let node = node_on(&here, &relay, share.path(), &["--listen", BEFORE]);
    change_address(&here);
    node.log_until(&format!(
        "not registered: this machine no longer has the address {BEFORE}: nobody can reach the \
         node there; retrying"
    ));
    assert!(!node.log().contains("still serving"), "{}", node.log());
    here.run(&[
        "ip",
        "address",
        "add",
        &format!("{BEFORE}/24"),
        "dev",
        "net0",
    ]);
    node.log_until_count(&format!("registered as {BEFORE} "), 2);
}

#[test]
fn a_node_refuses_a_relay_at_a_link_local_address_unless_it_has_another_one_itself() {
    let Some(here) = Machine::new() else {
        return;
    };
    let there = here.neighbour();
    let add = |machine: &Machine, address: &str| {
        machine.run(&["ip", "address", "add", address, "dev", "net0", "nodad"]);
    };
    add(&here, "fd00::1/64");
    add(&there, "fe80::1:2/64");
    // A way back.
    add(&there, "fd00::2/64");
    let mut command = there.command(env!("CARGO_BIN_EXE_relay-server"));
    command.args(["0", "--listen", "::"]);
    let relay = Server::start(command);
    let share = folder(&[]);
    let node = |args: &[&str]| {
        let mut command = here.command(env!("CARGO_BIN_EXE_peer-node"));
        command.arg(format!("[fe80::1:2%net0]:{}", relay.address().port()));
        command.args(["--no-hashes", "--share"]).arg(share.path());
        command.args(args);
        command
    };
    let output = run(node(&[]), b"").expect_code(2);
    let expected = "peer-node: the relay is at a link-local address, so it would see this node";
    assert!(output.stderr.starts_with(expected), "{}", output.stderr);
    let node = Server::start(node(&["--listen", "fd00::1"]));
    node.log_until("registered as fd00::1 ");
}

#[test]
fn a_node_of_a_relay_on_loopback_fetches_from_other_machines() {
    let Some((there, here, relay)) = machines("60") else {
        return;
    };
    let share = folder(&[("hello.txt", b"hello")]);
    let other = node_on(&there, &relay, share.path(), &[]);
    let own = folder(&[]);
    let get = || {
        let mut command = here.command(env!("CARGO_BIN_EXE_peer-node"));
        command.arg(format!("127.0.0.1:{}", relay.address().port()));
        command.arg("--share").arg(own.path());
        command.args(["--get", "hello.txt"]);
        Server::start(command)
    };
    let mut node = get();
    let log = node.log_until(&format!(" from {BEFORE} "));
    assert!(!log.contains("[WARN] \n"), "an empty record: {log}");
    node.stop();
    // The cause is named if nothing arrives.
    fs::remove_file(own.path().join("hello.txt")).expect("it was saved");
    other.signal(Signal::KILL);
    let log = get().log_until("hello.txt: not found, 1 of 1 node failed");
    let expected = format!(
        "{} port {}: connect failed: Connection refused",
        BEFORE,
        other.address().port()
    );
    assert!(log.contains(&expected), "{log}");
}
