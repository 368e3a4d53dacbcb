//! Connections that receive messages at several relays.

use std::net::SocketAddr;
use std::time::Instant;

use peerline::relay::shared_directory::InstanceId;

use super::engine::Engine;
use super::settle;
use super::site::RelaySite;

#[test]
fn a_listener_that_ends_does_not_hide_that_of_another_relay() {
    let node = SocketAddr::from(([192, 0, 2, 1], 9000));
    let sender = SocketAddr::from(([192, 0, 2, 7], 1));
    let mut now = Instant::now();
    let mut engine = Engine::default();
    let mut relays = [1, 2, 3].map(|number| RelaySite::new(number, now));
    for (number, relay) in relays.iter_mut().enumerate() {
        relay.connect(InstanceId(number as u64 + 1), &engine);
    }
    settle(&mut relays, &mut engine, &mut now);
    let listeners = [0, 1].map(|relay: usize| {
        let (listener, answers) = relays[relay].open(node, None, "LISTEN\n");
        assert_eq!(answers, "OK 192.0.2.1 9000\n");
        settle(&mut relays, &mut engine, &mut now);
        listener
    });
    let who = "WHO\nSEND 192.0.2.1 9000 hello\n";
    let one = "NODES 1\n192.0.2.1 9000\nOK\n";
    assert_eq!(relays[2].ask(sender, who), one);
    relays[1].close(listeners[1]);
    settle(&mut relays, &mut engine, &mut now);
    for relay in &mut relays {
        assert_eq!(relay.ask(sender, who), one);
    }
    relays[0].close(listeners[0]);
    settle(&mut relays, &mut engine, &mut now);
    for relay in &mut relays {
        let answers = relay.ask(sender, who);
        assert!(answers.starts_with("NODES 0\nERROR 404"), "{answers}");
    }
}
