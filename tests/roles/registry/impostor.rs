//! A connection that receives the messages of a node, at another relay than the node's.

use std::net::SocketAddr;
use std::time::Instant;

use peerline::relay::shared_directory::InstanceId;
use peerline::tls::KeyId;

use super::engine::Engine;
use super::site::RelaySite;
use super::{connected_relays, settle};

/// The address of the node, and of the connection that pretends to be it.
const NODE: ([u8; 4], u16) = ([192, 0, 2, 1], 9000);

/// `lines` make the impostor a listener at the second relay.
fn node_with_a_key_comes(lines: &str, is_second_cut: bool) {
    let node = SocketAddr::from(NODE);
    let mut now = Instant::now();
    let mut engine = Engine::default();
    let mut relays = connected_relays::<2>(&mut engine, &mut now);
    let (impostor, answers) = relays[1].open(node, None, lines);
    assert!(answers.contains("OK 192.0.2.1 9000"), "{answers}");
    settle(&mut relays, &mut engine, &mut now);
    let send = "SEND 192.0.2.1 9000 hello\n";
    let sender = SocketAddr::from(([192, 0, 2, 7], 1));
    assert_eq!(relays[0].ask(sender, send), "OK\n");
    assert!(relays[1].is_open(impostor));
    if is_second_cut {
        relays[1].cut();
    }
    let from = SocketAddr::from(([192, 0, 2, 1], 40_000));
    let key = Some(KeyId::of(b"node"));
    let (_, answers) = relays[0].open(from, key, "REGISTER * 9000\n");
    assert!(answers.starts_with("OK"), "{answers}");
    settle(&mut relays, &mut engine, &mut now);
    if is_second_cut {
        assert!(relays[1].is_open(impostor));
        relays[1].connect(InstanceId(3), &engine);
        // The listeners of a link that was cut are forgotten when it has been silent.
        for _ in 0..12 {
            settle(&mut relays, &mut engine, &mut now);
        }
    }
    assert!(!relays[1].is_open(impostor), "{lines}");
    for relay in &mut relays {
        let answer = relay.ask(sender, send);
        assert!(
            answer.starts_with("ERROR 404"),
            "{lines} {is_second_cut}: {answer}"
        );
    }
}

#[test]
fn a_listener_without_the_key_of_the_node_is_replaced_at_every_relay() {
    for is_second_cut in [false, true] {
        node_with_a_key_comes("LISTEN\n", is_second_cut);
        node_with_a_key_comes("REGISTER * 9000\nLISTEN\n", is_second_cut);
    }
}

/// A node registers and listens at the first relay, and a connection from the node's port that
/// never registered listens at the second one, before or after.
fn stranger_listens(is_first: bool) {
    let node = SocketAddr::from(NODE);
    let sender = SocketAddr::from(([192, 0, 2, 7], 1));
    let mut now = Instant::now();
    let mut engine = Engine::default();
    let mut relays = connected_relays::<2>(&mut engine, &mut now);
    let node_listens = |relays: &mut [RelaySite; 2]| {
        let from = SocketAddr::from(([192, 0, 2, 1], 40_000));
        let (listener, answers) = relays[0].open(from, None, "REGISTER * 9000\nLISTEN\n");
        assert!(answers.ends_with("OK 192.0.2.1 9000\n"), "{answers}");
        listener
    };
    let early = (!is_first).then(|| node_listens(&mut relays));
    settle(&mut relays, &mut engine, &mut now);
    let (stranger, answers) = relays[1].open(node, None, "LISTEN\n");
    let expected = if is_first {
        "OK 192"
    } else {
        "ERROR 403 a node"
    };
    assert!(answers.starts_with(expected), "{answers}");
    settle(&mut relays, &mut engine, &mut now);
    let listener = early.unwrap_or_else(|| node_listens(&mut relays));
    settle(&mut relays, &mut engine, &mut now);
    assert_eq!(relays[1].is_open(stranger), !is_first);
    let told = relays[1].sent_to(stranger);
    assert_eq!(told.contains("ERROR 409"), is_first, "{told}");
    for relay in [1, 0] {
        let answer = relays[relay].ask(sender, "SEND 192.0.2.1 9000 hello\n");
        assert_eq!(answer, "OK\n");
        settle(&mut relays, &mut engine, &mut now);
        let got = relays[0].sent_to(listener);
        assert!(got.ends_with("FROM 192.0.2.7 1 hello\n"), "{got}");
    }
}

#[test]
fn a_stranger_gets_no_messages_of_a_node_at_another_relay() {
    stranger_listens(false);
    stranger_listens(true);
}
