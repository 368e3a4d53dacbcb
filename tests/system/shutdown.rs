//! SIGTERM and SIGINT: replies in progress are completed, new requests are not accepted,
//! and the drain time limits both.

use std::net::TcpStream;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::support::{
    HttpResponse, Nc, Server, ask, folder, large_file, node_with_relay, read_chunks, relay,
    without_epochs,
};

/// A drain time longer than any test: only an exit that does not wait for it passes.
const LONG_DRAIN: [&str; 2] = ["--drain", "600"];
/// More than the socket buffers hold.
const LARGE: u64 = 64 << 20;

/// A client in mid-body that does not read.
fn client_mid_body(args: &[&str]) -> (Nc, Server, Server, TempDir) {
    let share = large_file(LARGE);
    let (node, relay) = node_with_relay(share.path(), args);
    let mut nc = Nc::connect(node.address());
    assert_eq!(nc.ask("GET large"), format!("FOUND {LARGE}"));
    (nc, node, relay, share)
}

#[test]
fn an_idle_server_stops_at_once() {
    for signal in [Signal::TERM, Signal::INT] {
        let share = folder(&[("small", b"small\n")]);
        let (mut node, mut relay) = node_with_relay(share.path(), &LONG_DRAIN);
        for server in [&mut node, &mut relay] {
            let mut used = Nc::connect(server.address());
            assert_eq!(used.ask("PING"), "PONG");
            let mut silent = Nc::connect(server.address());
            let mut half = Nc::connect(server.address());
            half.send("PING\nLIS");
            assert_eq!(half.line(), "PONG");
            server.signal(signal);
            assert_eq!(server.wait().code(), Some(0));
            assert_eq!(used.rest_text(), "", "a proper end");
            assert_eq!(silent.rest_text(), "", "a proper end");
            server.log_until("ms, shutdown");
        }
    }
}

#[test]
fn a_body_is_completed_before_exit() {
    let (mut nc, mut node, relay, _share) = client_mid_body(&LONG_DRAIN);
    node.signal(Signal::TERM);
    // The node is no longer listed and does not accept connections.
    node.log_until("unregistered");
    let list = ask(relay.address(), b"LIST\n");
    assert_eq!(list, "NODES 0\n");
    assert!(TcpStream::connect(node.address()).is_err(), "nobody new");
    assert_eq!(nc.rest().len() as u64, LARGE);
    drop(nc);
    assert_eq!(node.wait().code(), Some(0));
}

#[test]
fn a_response_in_http_is_completed_before_exit() {
    // A file, and an archive that is made while it is sent.
    for target in ["/large", "/?tar"] {
        let share = large_file(LARGE);
        let (mut node, _relay) = node_with_relay(share.path(), &LONG_DRAIN);
        let mut nc = Nc::connect(node.address());
        let request = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        // The second request comes too late.
        nc.send(request.repeat(2));
        let head = HttpResponse::read_head(&mut nc);
        node.signal(Signal::TERM);
        node.log_until("unregistered");
        let content = match head.header("content-length") {
            Some(length) => nc.bytes(length.parse().expect("a length")),
            None => read_chunks(&mut nc),
        };
        assert!(content.len() as u64 >= LARGE);
        assert_eq!(nc.rest(), b"", "{target}");
        drop(nc);
        assert_eq!(node.wait().code(), Some(0));
    }
}

#[test]
fn a_stalled_reader_is_closed_after_the_drain_time() {
    let (mut nc, mut node, _relay, _share) = client_mid_body(&["--drain", "1"]);
    assert_eq!(node.stop(), Some(10));
    let log = node.log_until("closed before all data was sent: 1");
    assert!(log.contains("aborted at shutdown"), "{log}");
    assert!((nc.rest().len() as u64) < LARGE, "its end can be seen");
}

#[test]
fn a_drain_of_zero_closes_at_once() {
    let (_nc, mut node, _relay, _share) = client_mid_body(&["--drain", "0"]);
    assert_eq!(node.stop(), Some(10));
}

#[test]
fn a_second_signal_exits_at_once() {
    for signals in [
        [Signal::TERM, Signal::TERM],
        [Signal::INT, Signal::INT],
        [Signal::INT, Signal::TERM],
    ] {
        let (_nc, mut node, _relay, _share) = client_mid_body(&LONG_DRAIN);
        node.signal(signals[0]);
        node.log_until("stopping");
        node.signal(signals[1]);
        assert_eq!(node.wait().code(), Some(10), "{signals:?}");
    }
}

#[test]
fn a_stopping_relay_has_answered_all_requests() {
    let mut relay = relay(&LONG_DRAIN);
    let mut nc = Nc::connect(relay.address());
    let registered = nc.ask("REGISTER * 9");
    assert_eq!(without_epochs(&registered), "OK 60 127.0.0.1 9 0");
    assert_eq!(relay.stop(), Some(0));
    assert_eq!(nc.rest_text(), "");
}
