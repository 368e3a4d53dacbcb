//! The registration of a node: renewals, restarts, and an absent relay.

use std::process::Command;

use rustix::process::Signal;

use crate::support::relay_index::wait_for_names;
use crate::support::{Nc, Server, ask, folder, node, relay, unlisted_node};

fn list(relay: &Server) -> String {
    ask(relay.address(), b"LIST\n")
}

fn list_with(node: &Server) -> String {
    format!("NODES 1\n{}\n", node.wire_address())
}

#[test]
fn a_node_stays_listed_beyond_its_lease() {
    let relay = relay(&["--lease", "2", "--log-level", "debug"]);
    let share = folder(&[]);
    let node = node(&relay, share.path(), &[]);
    // Renewals are a third of a lease apart: the first lease is over.
    let log = relay.log_until_count("request: REGISTER", 5);
    assert!(!log.contains("did not renew"), "{log}");
    assert_eq!(log.matches(" registered by ").count(), 1, "once: {log}");
    assert_eq!(list(&relay), list_with(&node));
    let count = node.log().matches("registered as").count();
    assert_eq!(count, 1, "renewals are not logged");
}

#[test]
fn a_frozen_node_expires_and_registers_again() {
    let relay = relay(&["--lease", "1"]);
    let share = folder(&[]);
    let node = node(&relay, share.path(), &[]);
    node.signal(Signal::STOP);
    relay.log_until("did not renew its lease");
    assert_eq!(list(&relay), "NODES 0\n");
    node.signal(Signal::CONT);
    relay.log_until_count(" registered by ", 2);
    assert_eq!(list(&relay), list_with(&node));
}

#[test]
fn a_stopped_node_unregisters() {
    let relay = relay(&[]);
    let share = folder(&[]);
    let mut node = node(&relay, share.path(), &[]);
    assert_eq!(list(&relay), list_with(&node));
    assert_eq!(node.stop(), Some(0));
    assert_eq!(list(&relay), "NODES 0\n");
    node.log_until("unregistered");
}

#[test]
fn a_node_stopped_during_start_unregisters() {
    let relay = relay(&[]);
    let share = folder(&[]);
    for _ in 0..20 {
        let mut node = unlisted_node(relay.address(), share.path(), &[]);
        assert_eq!(node.stop(), Some(0));
        assert_eq!(list(&relay), "NODES 0\n");
    }
}

/// A relay at an address that no other test uses, so that its port is still free at the
/// restart.
fn relay_at(port: u16) -> Server {
    let mut command = Command::new(env!("CARGO_BIN_EXE_relay-server"));
    command.arg(port.to_string());
    command.args(["--listen", "127.0.0.77", "--lease", "3"]);
    Server::start(command)
}

#[test]
fn a_node_registers_again_after_a_relay_restart() {
    let mut relay = relay_at(0);
    let share = folder(&[]);
    let node = node(&relay, share.path(), &[]);
    assert_eq!(list(&relay), list_with(&node));
    let port = relay.address().port();
    // SIGKILL: the kernel still closes connections of the old process.
    relay.signal(Signal::KILL);
    relay.wait();
    let relay = relay_at(port);
    relay.log_until(" registered by ");
    assert_eq!(list(&relay), list_with(&node));
}

#[test]
fn a_node_serves_without_its_relay() {
    let mut relay = relay(&["--lease", "1"]);
    let share = folder(&[("file", b"content")]);
    let args = ["--log-level", "debug"];
    let mut node = node(&relay, share.path(), &args);
    relay.signal(Signal::KILL);
    relay.wait();
    // At least two attempts, with a pause between them.
    let log = node.log_until_count("connect failed: ", 3);
    let count = log.matches("WARN").count();
    assert_eq!(count, 1, "{log}");
    assert!(log.contains("still serving files, retrying"), "{log}");
    assert_eq!(ask(node.address(), b"GET file\n"), "FOUND 7\ncontent");
    // There is no relay to unregister from.
    assert_eq!(node.stop(), Some(0));
}

#[test]
fn a_node_is_listed_under_the_address_that_it_advertises() {
    let relay = relay(&[]);
    let share = folder(&[]);
    let args = ["--advertise", "192.0.2.5"];
    let mut node = node(&relay, share.path(), &args);
    let port = node.address().port();
    assert_eq!(list(&relay), format!("NODES 1\n192.0.2.5 {port}\n"));
    assert_eq!(node.stop(), Some(0));
    assert_eq!(list(&relay), "NODES 0\n");
}

#[test]
fn a_forwarded_port_may_be_another_one() {
    let relay = relay(&[]);
    let share = folder(&[("file", b"1")]);
    for (advertised, listed) in [
        ("192.0.2.5:7", "192.0.2.5 7"),
        ("[2001:db8::1]:7", "2001:db8::1 7"),
        ("*:7", "127.0.0.1 7"),
    ] {
        let mut node = node(&relay, share.path(), &["--advertise", advertised]);
        assert_eq!(list(&relay), format!("NODES 1\n{listed}\n"));
        // Its files are announced after it is listed.
        wait_for_names(&relay, 1);
        let holders = ask(relay.address(), b"FIND file\n");
        assert_eq!(holders, format!("HOLDERS 1\n{listed} 1 -\n"));
        // It listens where it did.
        assert_eq!(ask(node.address(), b"GET file\n"), "FOUND 1\n1");
        assert_eq!(node.stop(), Some(0));
        assert_eq!(list(&relay), "NODES 0\n");
    }
}

#[test]
fn a_refused_advertised_address_is_reported() {
    let relay = relay(&["--trust", "10.0.0.0/8"]);
    let share = folder(&[]);
    let args = ["--advertise", "192.0.2.5"];
    let node = unlisted_node(relay.address(), share.path(), &args);
    node.log_until("not registered: the relay says 403 your address is 127.0.0.1; use ");
    assert_eq!(list(&relay), "NODES 0\n");
}

#[test]
fn a_node_that_a_full_relay_refuses_keeps_trying() {
    for (limit, reason) in [
        ("--max-nodes", "503 the directory is full; try again later"),
        (
            "--max-connections",
            "503 too many connections; try again later",
        ),
    ] {
        let relay = relay(&[limit, "1"]);
        let mut first = Nc::connect(relay.address());
        assert!(first.ask("REGISTER * 9").starts_with("OK "));
        let share = folder(&[]);
        let node = unlisted_node(relay.address(), share.path(), &[]);
        node.log_until(&format!(
            "not registered: the relay says {reason}; still serving"
        ));
        assert_eq!(node.stat("registered"), 0);
        assert_eq!(first.ask("UNREGISTER * 9"), "OK");
        drop(first);
        let log = node.log_until("registered as");
        assert_eq!(log.matches("not registered").count(), 1, "{log}");
        assert_eq!(node.stat("registered"), 1);
        assert_eq!(node.stat(&format!("registered_at_{}", relay.address())), 1);
    }
}
