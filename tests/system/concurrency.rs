//! Many clients at once, and slow, silent and aborting ones: none delays the others.

use std::thread;

use crate::support::{Nc, Server, ask, ask_bytes, folder, large_file, node_with_relay};

/// More than the socket buffers hold.
const LARGE: u64 = 64 << 20;

fn assert_serves_others(node: &Server) {
    assert_eq!(ask(node.address(), b"GET small\n"), "FOUND 6\nsmall\n");
}

#[test]
fn a_slow_reader_does_not_delay_others() {
    let share = large_file(LARGE);
    let (node, _relay) = node_with_relay(share.path(), &[]);
    let mut slow = Nc::connect(node.address());
    slow.send("GET large\n");
    assert_serves_others(&node);
    let mut nc = Nc::connect(node.address());
    assert_eq!(nc.ask("GET large"), format!("FOUND {LARGE}"));
    nc.bytes(usize::try_from(LARGE).expect("it fits"));
    // The slow reader gets the whole file as well.
    slow.half_close();
    assert_eq!(slow.line(), format!("FOUND {LARGE}"));
    assert_eq!(slow.rest().len() as u64, LARGE);
}

#[test]
fn a_stalled_reader_is_disconnected() {
    let share = large_file(LARGE);
    let (node, _relay) = node_with_relay(share.path(), &["--stall", "1"]);
    let mut slow = Nc::connect(node.address());
    slow.send("GET large\nGET large\n");
    node.log_until("slow reader");
    assert_serves_others(&node);
}

#[test]
fn silent_connections_do_not_delay_others() {
    let share = folder(&[("small", b"small\n")]);
    let (node, relay) = node_with_relay(share.path(), &[]);
    let mut silent: Vec<Nc> = [&node, &relay]
        .iter()
        .flat_map(|server| (0..20).map(|_| Nc::connect(server.address())))
        .collect();
    for half in silent.iter_mut().step_by(2) {
        half.send("GE");
    }
    assert_serves_others(&node);
    assert!(ask(relay.address(), b"LIST\n").starts_with("NODES 1\n"));
}

#[test]
fn clients_that_disconnect_mid_body_are_removed() {
    let share = large_file(LARGE);
    let (node, _relay) = node_with_relay(share.path(), &[]);
    for _ in 0..5 {
        let mut nc = Nc::connect(node.address());
        assert_eq!(nc.ask("GET large"), format!("FOUND {LARGE}"));
    }
    node.log_until_count("connection lost: ", 5);
    assert_serves_others(&node);
    assert_eq!(node.stat("connections"), 1, "only the one that asks");
}

#[test]
fn two_hundred_and_fifty_six_clients_at_once() {
    const CLIENTS: usize = 256;
    // Each file has its own size and content, around the sizes of buffers.
    let content = |n: usize| -> Vec<u8> {
        let size = 1024 + n * (199 * 1024) / (CLIENTS - 1);
        (0..size).map(|i| (i * 31 + n) as u8).collect()
    };
    let share = folder(&[]);
    for n in 0..CLIENTS {
        std::fs::write(share.path().join(n.to_string()), content(n)).expect("a file");
    }
    let (node, _relay) = node_with_relay(share.path(), &[]);
    // All clients are connected before the first request.
    let connected: Vec<Nc> = (0..CLIENTS).map(|_| Nc::connect(node.address())).collect();
    let clients: Vec<_> = connected
        .into_iter()
        .enumerate()
        .map(|(n, mut nc)| {
            thread::spawn(move || {
                nc.send(format!("GET {n}\n"));
                nc.half_close();
                nc.rest()
            })
        })
        .collect();
    for (n, client) in clients.into_iter().enumerate() {
        let content = content(n);
        let expected = [format!("FOUND {}\n", content.len()).as_bytes(), &content].concat();
        assert!(client.join().expect("a client") == expected, "client {n}");
    }
}

#[test]
fn three_hundred_requests_in_sequence() {
    // Header and content may arrive in one segment or in two.
    let share = folder(&[("hello", b"Hello, Peerline!\n")]);
    let (node, _relay) = node_with_relay(share.path(), &[]);
    for _ in 0..300 {
        let reply = ask_bytes(node.address(), b"GET hello\n");
        assert_eq!(reply, b"FOUND 17\nHello, Peerline!\n");
    }
}
