//! Connections that receive messages at several relays.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

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

/// Several turns' worth.
const MANY: u32 = 5000;

/// The work of a relay that begins now. Returns the number of turns.
fn count_turns(relay: &mut RelaySite, now: Instant) -> u32 {
    relay.turn(now);
    let mut turns = 1;
    while relay.has_work() {
        relay.turn(now);
        turns += 1;
    }
    turns
}

#[test]
fn many_listeners_come_and_go_in_many_turns() {
    let mut now = Instant::now();
    let mut engine = Engine::default();
    let mut relays = [1, 2].map(|number| RelaySite::new(number, now));
    for (number, relay) in relays.iter_mut().enumerate() {
        relay.connect(InstanceId(number as u64 + 1), &engine);
    }
    for number in 0..MANY {
        let from = SocketAddr::from((Ipv4Addr::from(0x0a00_0001 + number), 9000));
        relays[0].open(from, None, "LISTEN\n");
    }
    settle(&mut relays, &mut engine, &mut now);
    let assert_listed = |relay: &mut RelaySite, count: u32| {
        let who = relay.ask(([192, 0, 2, 7], 1).into(), "WHO\n");
        assert!(who.starts_with(&format!("NODES {count}\n")), "{who:.20}");
    };
    assert_listed(&mut relays[1], MANY);
    // The second relay connects again: what it knew ends, and is read again.
    relays[1].cut();
    relays[1].connect(InstanceId(3), &engine);
    assert!(count_turns(&mut relays[1], now) >= MANY / 1000);
    assert_listed(&mut relays[1], MANY);
    // The first one says again where it has listeners.
    relays[0].cut();
    engine.flush();
    relays[0].connect(InstanceId(4), &engine);
    assert!(count_turns(&mut relays[0], now) >= MANY / 1000);
    settle(&mut relays, &mut engine, &mut now);
    assert_listed(&mut relays[1], MANY);
    // Then it says nothing any more.
    now += Duration::from_secs(11);
    assert!(count_turns(&mut relays[1], now) >= MANY / 1000);
    assert_listed(&mut relays[1], 0);
}
