//! What anybody with `nc` meets at a relay and at a node.

use crate::support::{Nc, ask, folder, node, relay};

#[test]
fn a_node_registers_is_listed_and_serves() {
    let relay = relay(&[]);
    let share = folder(&[("hello.txt", b"Hello, Peerline!\n")]);
    let node = node(&relay, share.path(), &[]);
    let list = ask(relay.address(), b"LIST\n");
    assert_eq!(list, format!("NODES 1\n{}\n", node.wire_address()));
    let file = ask(node.address(), b"GET hello.txt\n");
    assert_eq!(file, "FOUND 17\nHello, Peerline!\n");
}

#[test]
fn without_half_close_quit_ends_the_conversation() {
    let relay = relay(&[]);
    let mut nc = Nc::connect(relay.address());
    nc.send("PING\nQUIT\nPING\n");
    assert_eq!(nc.rest_text(), "PONG\nOK bye\n");
}
