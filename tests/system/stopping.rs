//! SIGTERM and SIGINT: what is begun is finished, nothing new is begun, and
//! nobody can put the end off for ever.

use std::net::TcpStream;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::serving::{large_file, serve};
use crate::support::{Nc, Server, ask, folder, relay};

/// Longer than any test: only an end that does not wait for it passes.
const LONG_DRAIN: [&str; 2] = ["--drain", "600"];
/// More than the kernel takes for a reader who does not read.
const LARGE: u64 = 64 << 20;

/// A client in mid-body, who reads only when told.
fn in_mid_body(args: &[&str]) -> (Nc, Server, Server, TempDir) {
    let share = large_file(LARGE);
    let (node, relay) = serve(share.path(), args);
    let mut nc = Nc::connect(node.address());
    assert_eq!(nc.ask("GET large"), format!("FOUND {LARGE}"));
    (nc, node, relay, share)
}

#[test]
fn an_idle_server_stops_at_once_and_closes_what_is_idle() {
    for signal in [Signal::TERM, Signal::INT] {
        let share = folder(&[("small", b"small\n")]);
        let (mut node, mut relay) = serve(share.path(), &LONG_DRAIN);
        for server in [&mut node, &mut relay] {
            let mut asked = Nc::connect(server.address());
            assert_eq!(asked.ask("PING"), "PONG");
            let mut silent = Nc::connect(server.address());
            let mut half = Nc::connect(server.address());
            half.send("PING\nLIS");
            assert_eq!(half.line(), "PONG");
            server.signal(signal);
            assert_eq!(server.wait().code(), Some(0));
            assert_eq!(asked.rest_text(), "", "a proper end");
            assert_eq!(silent.rest_text(), "", "a proper end");
            server.log_until("ms, shutdown");
        }
    }
}

#[test]
fn a_body_is_finished_before_the_end() {
    let (mut nc, mut node, relay, _share) = in_mid_body(&LONG_DRAIN);
    node.signal(Signal::TERM);
    // It is in nobody's list any more, and takes nobody new.
    node.log_until("unregistered");
    let list = ask(relay.address(), b"LIST\n");
    assert_eq!(list, "NODES 0\n");
    assert!(TcpStream::connect(node.address()).is_err(), "nobody new");
    assert_eq!(nc.rest().len() as u64, LARGE);
    drop(nc);
    assert_eq!(node.wait().code(), Some(0));
}

#[test]
fn who_reads_nothing_is_cut_when_the_time_is_up() {
    let (mut nc, mut node, _relay, _share) = in_mid_body(&["--drain", "1"]);
    assert_eq!(node.stop(), Some(10));
    let log = node.log_until("cut before all was sent: 1");
    assert!(log.contains("aborted at shutdown"), "{log}");
    assert!((nc.rest().len() as u64) < LARGE, "its end can be seen");
}

#[test]
fn a_drain_of_no_time_cuts_at_once() {
    let (_nc, mut node, _relay, _share) = in_mid_body(&["--drain", "0"]);
    assert_eq!(node.stop(), Some(10));
}

#[test]
fn a_second_signal_ends_at_once() {
    for signals in [
        [Signal::TERM, Signal::TERM],
        [Signal::INT, Signal::INT],
        [Signal::INT, Signal::TERM],
    ] {
        let (_nc, mut node, _relay, _share) = in_mid_body(&LONG_DRAIN);
        node.signal(signals[0]);
        node.log_until("stopping");
        node.signal(signals[1]);
        assert_eq!(node.wait().code(), Some(10), "{signals:?}");
    }
}

#[test]
fn a_relay_that_stops_has_answered_what_it_heard() {
    let mut relay = relay(&LONG_DRAIN);
    let mut nc = Nc::connect(relay.address());
    assert_eq!(nc.ask("REGISTER * 9"), "OK 60 127.0.0.1 9 0");
    assert_eq!(relay.stop(), Some(0));
    assert_eq!(nc.rest_text(), "");
}
