//! Nodes whose relay hangs, refuses or sends invalid replies: the node keeps serving,
//! reports the error once, and stops on a signal.

use std::net::TcpListener;
use std::thread;

use rustix::process::Signal;

use crate::support::{DEADLINE, Nc, Server, ask, folder, node, relay, unlisted_node};

/// Replies to the first request of the first connection. Returns the request.
fn reply_once(listener: TcpListener, answer: Vec<u8>) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let (stream, _) = listener.accept().expect("a node");
        let mut nc = Nc::from_stream(stream);
        let request = nc.line();
        nc.send(answer);
        request
    })
}

/// A node whose relay sends `answer` to the first request.
fn node_with_relay_reply(answer: &[u8]) -> Server {
    let share = folder(&[("file", b"content")]);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address");
    let relay = reply_once(listener, answer.to_vec());
    let node = unlisted_node(address, share.path(), &[]);
    let request = relay.join().expect("the relay");
    assert_eq!(request, format!("REGISTER * {}", node.address().port()));
    node.log_until("registered");
    assert_eq!(ask(node.address(), b"GET file\n"), "FOUND 7\ncontent");
    node
}

#[test]
fn an_invalid_reply_is_no_registration() {
    let endless = [b'x'; 10_000];
    for answer in [
        &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
        b"OK\n",
        b"OK 60\n",
        b"OK 60 127.0.0.1 0 0\n",
        b"OK 60 0.0.0.0 9 0\n",
        b"OK -1 127.0.0.1 9 0\n",
        b"NODES 0\n",
        b"\xff\xfe\n",
        b"OK 60 127.0.0.1",
        b"",
        &endless,
    ] {
        let mut node = node_with_relay_reply(answer);
        let log = node.log();
        assert!(log.contains("WARN] not registered: "), "{log}");
        assert_eq!(node.stop(), Some(0));
    }
}

#[test]
fn text_from_the_relay_is_escaped() {
    let mut node = node_with_relay_reply(b"ERROR 403 not\x1b[2J you\n");
    let log = node.log_until("not registered: the relay says 403 not");
    assert!(!log.contains('\x1b'), "no control character: {log:?}");
    assert_eq!(node.stop(), Some(0));
}

#[test]
fn any_lease_length_is_accepted() {
    // The longest lease must not overflow the clock.
    for lease in ["0", "1", "4294967296", "18446744073709551615"] {
        let answer = format!("OK {lease} 192.0.2.1 9 0 and more\n");
        let node = node_with_relay_reply(answer.as_bytes());
        node.log_until("registered as 192.0.2.1 9");
        assert_eq!(ask(node.address(), b"PING\n"), "PONG\n");
    }
}

#[test]
fn a_frozen_relay_does_not_stop_its_node() {
    let relay = relay(&[]);
    let share = folder(&[("file", b"content")]);
    relay.signal(Signal::STOP);
    let args = ["--timeout", "0.5"];
    let node = unlisted_node(relay.address(), share.path(), &args);
    node.log_until("read timeout");
    assert_eq!(ask(node.address(), b"GET file\n"), "FOUND 7\ncontent");
    relay.signal(Signal::CONT);
    node.log_until("registered as");
}

#[test]
fn a_frozen_relay_does_not_delay_the_exit_of_its_node() {
    let relay = relay(&[]);
    let share = folder(&[]);
    let args = ["--timeout", "0.5", "--drain", "600"];
    let mut node = node(&relay, share.path(), &args);
    relay.signal(Signal::STOP);
    assert_eq!(node.stop(), Some(0), "within {DEADLINE:?}");
}
