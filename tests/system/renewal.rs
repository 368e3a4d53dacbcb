//! A real node and its relay: renewals, restarts, and times without each other.

use std::process::Command;

use rustix::process::Signal;

use crate::support::{Server, ask, folder, node, relay, unlisted_node};

fn list(relay: &Server) -> String {
    ask(relay.address(), b"LIST\n")
}

fn listed(node: &Server) -> String {
    format!("NODES 1\n{}\n", node.wire_address())
}

#[test]
fn a_node_stays_listed_beyond_its_lease() {
    let relay = relay(&["--lease", "2", "--log-level", "debug"]);
    let share = folder(&[]);
    let node = node(&relay, share.path(), &[]);
    // A third of the lease each: the first lease is over.
    let log = relay.log_until_count("request: REGISTER", 5);
    assert!(!log.contains("did not renew"), "{log}");
    assert_eq!(log.matches(" registered by ").count(), 1, "once: {log}");
    assert_eq!(list(&relay), listed(&node));
    let said = node.log().matches("registered as").count();
    assert_eq!(said, 1, "renewals are no news");
}

#[test]
fn a_node_that_hangs_is_taken_out_and_comes_back() {
    let relay = relay(&["--lease", "1"]);
    let share = folder(&[]);
    let node = node(&relay, share.path(), &[]);
    node.signal(Signal::STOP);
    relay.log_until("did not renew its lease");
    assert_eq!(list(&relay), "NODES 0\n");
    node.signal(Signal::CONT);
    relay.log_until_count(" registered by ", 2);
    assert_eq!(list(&relay), listed(&node));
}

#[test]
fn a_node_that_is_stopped_takes_itself_out() {
    let relay = relay(&[]);
    let share = folder(&[]);
    let mut node = node(&relay, share.path(), &[]);
    assert_eq!(list(&relay), listed(&node));
    assert_eq!(node.stop(), Some(0));
    assert_eq!(list(&relay), "NODES 0\n");
    node.log_until("unregistered");
}

#[test]
fn a_node_that_is_stopped_at_its_start_is_not_left_in_the_list() {
    let relay = relay(&[]);
    let share = folder(&[]);
    for _ in 0..20 {
        let mut node = unlisted_node(relay.address(), share.path(), &[]);
        assert_eq!(node.stop(), Some(0));
        assert_eq!(list(&relay), "NODES 0\n");
    }
}

/// The address is nobody else's, so that the port is still free at the restart.
fn restartable(port: u16) -> Server {
    let mut command = Command::new(env!("CARGO_BIN_EXE_relay-server"));
    command.arg(port.to_string());
    command.args(["--listen", "127.0.0.77", "--lease", "3"]);
    Server::start(command)
}

#[test]
fn a_relay_starts_again_on_its_port_and_its_node_comes_back() {
    let mut relay = restartable(0);
    let share = folder(&[]);
    let node = node(&relay, share.path(), &[]);
    assert_eq!(list(&relay), listed(&node));
    let port = relay.address().port();
    // The hard way: connections of the old one are still dying in the kernel.
    relay.signal(Signal::KILL);
    relay.wait();
    let relay = restartable(port);
    relay.log_until(" registered by ");
    assert_eq!(list(&relay), listed(&node));
}

#[test]
fn without_its_relay_a_node_serves_on_and_says_so_once() {
    let mut relay = relay(&["--lease", "1"]);
    let share = folder(&[("file", b"content")]);
    let args = ["--log-level", "debug"];
    let mut node = node(&relay, share.path(), &args);
    relay.signal(Signal::KILL);
    relay.wait();
    // Two tries at least, with a pause between them.
    let log = node.log_until_count("connect failed: ", 3);
    let said = log.matches("WARN").count();
    assert_eq!(said, 1, "{log}");
    assert!(log.contains("serving on, and trying again"), "{log}");
    assert_eq!(ask(node.address(), b"GET file\n"), "FOUND 7\ncontent");
    // There is nobody to say goodbye to.
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
fn a_node_that_advertises_what_is_not_its_own_is_told_so() {
    let relay = relay(&["--trust", "10.0.0.0/8"]);
    let share = folder(&[]);
    let args = ["--advertise", "192.0.2.5"];
    let node = unlisted_node(relay.address(), share.path(), &args);
    node.log_until("not registered: the relay says 403 you are seen at 127.0.0.1: use ");
    assert_eq!(list(&relay), "NODES 0\n");
}
