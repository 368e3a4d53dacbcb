//! A connection that receives the messages of a node, at another relay than the node's.

use std::net::SocketAddr;
use std::time::Instant;

use peerline::relay::shared_directory::InstanceId;
use peerline::tls::KeyId;

use super::engine::Engine;
use super::settle;
use super::site::RelaySite;

/// The address of the node, and of the connection that pretends to be it.
const NODE: ([u8; 4], u16) = ([192, 0, 2, 1], 9000);

/// `lines` make the impostor a listener at the second relay.
fn node_with_a_key_comes(lines: &str, is_second_cut: bool) {
    let node = SocketAddr::from(NODE);
    let mut now = Instant::now();
    let mut engine = Engine::default();
    let mut relays = [RelaySite::new(1, now), RelaySite::new(2, now)];
    for (number, relay) in relays.iter_mut().enumerate() {
        relay.connect(InstanceId(number as u64 + 1), &engine);
    }
    settle(&mut relays, &mut engine, &mut now);
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
