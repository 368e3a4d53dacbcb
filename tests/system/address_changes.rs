//! Nodes on a machine whose address changes, as by DHCP, or holds on one link only, or with a relay
//! on the same machine. The tests need network namespaces; where the system allows none, they
//! test nothing.

use std::fs;
use std::net::SocketAddr;
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
    command.args(["0", "--listen", "::", "--lease", lease]);
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
    let mut other = node_on(&there, &relay, share.path(), &[]);
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
    other.wait();
    let log = get().log_until("hello.txt: not found, 1 of 1 node failed");
    let expected = format!(
        "{} port {}: connect failed: Connection refused",
        BEFORE,
        other.address().port()
    );
    assert!(log.contains(&expected), "{log}");
}

/// A node with two relays, each in a network of its own. Both addresses of its machine change, and
/// another program uses its port at the new one of the second network. Returns when the node has
/// registered at the new address of the first network, and the program.
fn change_both_addresses(
    (here, there, relay): &(Machine, Machine, Server),
    share: &Path,
    [before, after, neighbour]: [&str; 3],
) -> (Server, Server) {
    // The new address has a shorter prefix, so that it is not chosen while the other one is there.
    let (prefix, shorter) = if before.contains(':') {
        (64, 48)
    } else {
        (24, 16)
    };
    let change = |machine: &Machine, verb: &str, address: &str, prefix: u8| {
        let address = format!("{address}/{prefix}");
        let mut words = vec!["ip", "address", verb, &address, "dev", "net0"];
        // Such an address of IPv6 can be used at once.
        words.extend((verb == "add" && prefix > 24).then_some("nodad"));
        machine.run(&words);
    };
    change(here, "add", before, prefix);
    change(there, "add", neighbour, prefix);
    let url = SocketAddr::new(
        neighbour.parse().expect("an address"),
        relay.address().port(),
    );
    let node = node_on(here, relay, share, &["--relay", &url.to_string()]);
    node.log_until(&format!("registered as {before} "));
    change(here, "add", after, shorter);
    let mut command = here.command(env!("CARGO_BIN_EXE_relay-server"));
    let port = node.address().port().to_string();
    command.args([&port, "--listen", after]);
    let other = Server::start(command);
    change(here, "del", before, prefix);
    change_address(here);
    node.log_until(&format!("cannot listen on {}: ", other.address()));
    assert_follows(&node, here, there);
    (node, other)
}

#[test]
fn a_node_follows_to_the_addresses_at_which_it_can_listen_and_registers_there_only() {
    let Some(machines) = machines("2") else {
        return;
    };
    let share = folder(&[("hello.txt", b"hello")]);
    let addresses = ["10.8.0.1", "10.8.0.9", "10.8.0.2"];
    let (node, other) = change_both_addresses(&machines, share.path(), addresses);
    // The second relay is reached from the other address.
    node.log_until_count(&format!("registered as {AFTER} "), 2);
    let log = node.log();
    assert!(!log.contains("registered as 10.8.0.9 "), "{log}");
    drop(other);
    let log = node.log_until("registered as 10.8.0.9 ");
    assert_eq!(log.matches("cannot listen on").count(), 1, "{log}");
}

#[test]
fn a_node_does_not_register_in_a_family_in_which_it_cannot_listen() {
    let Some(machines) = machines("2") else {
        return;
    };
    let share = folder(&[("hello.txt", b"hello")]);
    let addresses = ["fd00::1", "fd00::9", "fd00::2"];
    let (node, other) = change_both_addresses(&machines, share.path(), addresses);
    let log = node.log_until(
        "not registered: this node does not listen on fd00::9, the address that the relay would \
         list: nobody can reach the node there",
    );
    assert!(!log.contains("registered as fd00::9 "), "{log}");
    drop(other);
    node.log_until("registered as fd00::9 ");
}

#[test]
fn a_node_that_listens_in_one_family_does_not_register_in_the_other() {
    let Some((here, there, relay)) = machines("2") else {
        return;
    };
    for (machine, address) in [(&here, "fd00::1/64"), (&there, "fd00::2/64")] {
        machine.run(&["ip", "address", "add", address, "dev", "net0", "nodad"]);
    }
    let share = folder(&[]);
    let url = format!("[fd00::2]:{}", relay.address().port());
    let node = |args: &[&str]| {
        let mut command = here.command(env!("CARGO_BIN_EXE_peer-node"));
        command
            .args([&url, "--no-hashes", "--share"])
            .arg(share.path());
        Server::start({
            command.args(args);
            command
        })
    };
    let reason = "not registered: this node does not listen on fd00::1, the address that";
    node(&["--listen", BEFORE]).log_until(reason);
    node(&["--listen", "0.0.0.0"]).log_until(reason);
    node(&["--listen", "::"]).log_until("registered as fd00::1 ");
    // The relay decides whether it lists an address that a node claims.
    let node = node(&["--listen", BEFORE, "--advertise", BEFORE]);
    node.log_until("not registered: the relay says ");
}
