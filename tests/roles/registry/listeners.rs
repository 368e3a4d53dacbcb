//! Connections that receive messages at several relays.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use peerline::relay::shared_directory::InstanceId;

use super::engine::Engine;
use super::site::RelaySite;
use super::{connected_relays, settle};

/// Sends a message at the relay of this number. Returns what the listeners at the first two
/// relays get.
fn send(
    at: usize,
    relays: &mut [RelaySite; 3],
    listeners: [u32; 2],
    engine: &mut Engine,
    now: &mut Instant,
) -> [String; 2] {
    let sender = SocketAddr::from(([192, 0, 2, 7], 1));
    // What they have got before is forgotten.
    for relay in relays.iter_mut() {
        relay.ask(sender, "PING\n");
    }
    let answer = relays[at].ask(sender, "SEND 192.0.2.1 9000 hello\n");
    assert_eq!(answer, "OK\n");
    settle(relays, engine, now);
    [0, 1].map(|relay| relays[relay].sent_to(listeners[relay]))
}

#[test]
fn a_message_is_delivered_once_if_several_relays_have_a_listener() {
    let node = SocketAddr::from(([192, 0, 2, 1], 9000));
    let (mut now, mut engine) = (Instant::now(), Engine::default());
    let mut relays = connected_relays::<3>(&mut engine, &mut now);
    let listeners = [0, 1].map(|relay: usize| {
        let (listener, _) = relays[relay].open(node, None, "REGISTER * 9000\nLISTEN\n");
        settle(&mut relays, &mut engine, &mut now);
        listener
    });
    let message = "FROM 192.0.2.7 1 hello\n".to_owned();
    let [first, second] = [[message.clone(), String::new()], [String::new(), message]];
    // The sender's own relay, or else the one of the latest listener.
    for (at, expected) in [(0, &first), (1, &second), (2, &second)] {
        let got = send(at, &mut relays, listeners, &mut engine, &mut now);
        assert_eq!(got, *expected, "sent at {at}");
    }
    // A relay that connects again still gets what is sent to its earlier connection.
    relays[1].cut();
    relays[1].connect(InstanceId(9), &engine);
    let got = send(2, &mut relays, listeners, &mut engine, &mut now);
    assert_eq!(got, second);
    // The second relay says nothing any more: the other listener gets the messages.
    settle(&mut relays[2..], &mut engine, &mut now);
    now += Duration::from_secs(4);
    settle(&mut relays[..1], &mut engine, &mut now);
    settle(&mut relays[2..], &mut engine, &mut now);
    let got = send(2, &mut relays, listeners, &mut engine, &mut now);
    assert_eq!(got, first);
    // A relay that starts now finds both in the engine.
    relays[2] = RelaySite::new(4, now);
    relays[2].connect(InstanceId(20), &engine);
    settle(&mut relays[2..], &mut engine, &mut now);
    settle(&mut relays[..1], &mut engine, &mut now);
    settle(&mut relays[2..], &mut engine, &mut now);
    let got = send(2, &mut relays, listeners, &mut engine, &mut now);
    assert_eq!(got, first);
}

#[test]
fn messages_are_refused_while_the_engine_does_not_answer() {
    let node = SocketAddr::from(([192, 0, 2, 1], 9000));
    let sender = SocketAddr::from(([192, 0, 2, 7], 1));
    let (mut now, mut engine) = (Instant::now(), Engine::default());
    let mut relays = connected_relays::<3>(&mut engine, &mut now);
    let (listener, _) = relays[0].open(node, None, "LISTEN\n");
    settle(&mut relays, &mut engine, &mut now);
    let refusal = "ERROR 503 the registry does not answer; try again later\n";
    let answers = [0, 10, 990, 20].map(|milliseconds| {
        now += Duration::from_millis(milliseconds);
        relays[2].run(now);
        relays[2].ask(sender, "SEND 192.0.2.1 9000 hello\n")
    });
    assert_eq!(answers, ["OK\n", "OK\n", "OK\n", refusal]);
    // It was only slow.
    settle(&mut relays, &mut engine, &mut now);
    let message = "FROM 192.0.2.7 1 hello\n";
    assert_eq!(relays[0].sent_to(listener).matches(message).count(), 3);
    let again = "SEND 192.0.2.1 9000 hello\n";
    assert_eq!(relays[2].ask(sender, again), "OK\n");
    relays[2].cut();
    relays[2].run(now);
    assert_eq!(relays[2].ask(sender, again), refusal);
}

#[test]
fn a_listener_stays_when_its_relay_connects_again() {
    let client = SocketAddr::from(([192, 0, 2, 1], 9000));
    let (mut now, mut engine) = (Instant::now(), Engine::default());
    let mut relays = connected_relays::<3>(&mut engine, &mut now);
    let (listener, _) = relays[0].open(client, None, "LISTEN\n");
    settle(&mut relays, &mut engine, &mut now);
    // The engine still has the listener of the earlier connection.
    relays[0].cut();
    relays[0].connect(InstanceId(9), &engine);
    settle(&mut relays, &mut engine, &mut now);
    assert!(relays[0].is_open(listener));
}

#[test]
fn a_listener_that_ends_does_not_hide_that_of_another_relay() {
    let node = SocketAddr::from(([192, 0, 2, 1], 9000));
    let sender = SocketAddr::from(([192, 0, 2, 7], 1));
    let (mut now, mut engine) = (Instant::now(), Engine::default());
    let mut relays = connected_relays::<3>(&mut engine, &mut now);
    let listeners = [0, 1].map(|relay: usize| {
        let (listener, answers) = relays[relay].open(node, None, "REGISTER * 9000\nLISTEN\n");
        assert!(answers.ends_with("OK 192.0.2.1 9000\n"), "{answers}");
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
