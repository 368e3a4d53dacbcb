//! A node with a key and somebody without it, or with another one, who register the same address
//! at relays that have not heard of each other.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use peerline::relay::shared_directory::InstanceId;
use peerline::tls::KeyId;

use super::engine::Engine;
use super::settle;
use super::site::RelaySite;

pub(super) const NODE: ([u8; 4], u16) = ([192, 0, 2, 1], 9000);
const WITH_KEY: &str = "REGISTER * 9000\nSHARE 1 - mine\n";
const WITHOUT_KEY: &str = "REGISTER * 9000\nSHARE 2 - other\n";
pub(super) const NODE_KEY: &[u8] = b"node";
pub(super) const OTHER_KEY: &[u8] = b"other";

pub(super) struct Conflict {
    pub(super) now: Instant,
    pub(super) engine: Engine,
    pub(super) relays: [RelaySite; 3],
}

impl Conflict {
    pub(super) fn new() -> Self {
        let now = Instant::now();
        let mut conflict = Self {
            now,
            engine: Engine::default(),
            relays: [1, 2, 3].map(|number| RelaySite::new(number, now)),
        };
        for (number, relay) in conflict.relays.iter_mut().enumerate() {
            relay.connect(InstanceId(number as u64 + 1), &conflict.engine);
        }
        conflict.settle();
        conflict
    }

    pub(super) fn settle(&mut self) {
        settle(&mut self.relays, &mut self.engine, &mut self.now);
    }

    /// The node, or the other, registers at a relay. Returns the answers.
    fn register(&mut self, relay: usize, lines: &str) -> String {
        let node = SocketAddr::from(NODE);
        let key = (lines == WITH_KEY).then(|| KeyId::of(b"node"));
        let relay = &mut self.relays[relay];
        relay.run(self.now);
        let (_, answers) = relay.open(node, key, lines);
        answers
    }

    /// Somebody with this key sends lines to a relay. Returns the answers.
    fn ask(&mut self, relay: usize, key: &[u8], lines: &str) -> String {
        let relay = &mut self.relays[relay];
        relay.run(self.now);
        let (_, answers) = relay.open(NODE.into(), Some(KeyId::of(key)), lines);
        answers
    }

    /// What a relay has published arrives at the engine.
    fn execute(&mut self, relay: usize) {
        self.now += Duration::from_millis(10);
        let relay = &mut self.relays[relay];
        relay.run(self.now);
        while relay.execute(&mut self.engine, self.now) {}
    }

    /// Two leases pass, in which the node renews its own at the first relay, and all relays do
    /// what is due.
    fn pass_leases(&mut self) {
        for _ in 0..14 {
            self.now += Duration::from_secs(9);
            self.renew();
        }
    }

    fn renew(&mut self) {
        let answer = self.ask(0, NODE_KEY, "REGISTER * 9000\n");
        assert!(answer.starts_with("OK"), "{answer}");
        self.settle();
    }

    /// All relays, and one that starts now, list only the node, which keeps its address, and
    /// relays do not publish without end.
    fn assert_held(&mut self) {
        self.settle();
        self.assert_listed(Some(KeyId::of(NODE_KEY)), "mine");
        for relay in 0..3 {
            let refused = self.ask(relay, OTHER_KEY, "REGISTER * 9000\n");
            assert!(refused.starts_with("ERROR 403"), "{relay}: {refused}");
        }
        let count = self.engine.stream.len();
        self.settle();
        // Each relay shows once a second that it is alive.
        assert!(self.engine.stream.len() <= count + 3);
        self.pass_leases();
        self.assert_listed(Some(KeyId::of(NODE_KEY)), "mine");
    }

    /// All relays, and one that starts now, list only this.
    fn assert_listed(&mut self, key: Option<KeyId>, file: &str) {
        let mut fresh = RelaySite::new(99, self.now);
        fresh.connect(InstanceId(99), &self.engine);
        while fresh.read(&mut self.engine, self.now) {}
        let node = match key {
            Some(key) => format!("192.0.2.1 9000 {key}"),
            None => "192.0.2.1 9000".to_owned(),
        };
        for relay in self.relays.iter_mut().chain([&mut fresh]) {
            let listed = relay.directory(self.now);
            assert!(listed.contains(&node), "{node}: {listed:?}");
            assert!(listed.contains("FILES 1 1"), "{listed:?}");
            assert!(listed.iter().any(|line| line.ends_with(file)), "{listed:?}");
        }
    }
}

#[test]
fn the_node_with_the_key_wins_in_every_order() {
    let key = Some(KeyId::of(b"node"));
    for first in [0, 1] {
        let mut conflict = Conflict::new();
        conflict.register(0, WITH_KEY);
        conflict.register(1, WITHOUT_KEY);
        // The engine gets the batch of one relay before that of the other.
        conflict.now += Duration::from_millis(10);
        for relay in [first, 1 - first] {
            let relay = &mut conflict.relays[relay];
            relay.run(conflict.now);
            while relay.execute(&mut conflict.engine, conflict.now) {}
        }
        conflict.settle();
        conflict.assert_listed(key, "mine");
    }
}

#[test]
fn the_node_with_the_key_wins_at_a_relay_that_was_cut_off() {
    let key = Some(KeyId::of(b"node"));
    for with_key in [0, 1] {
        let mut conflict = Conflict::new();
        conflict.relays[1].cut();
        conflict.register(with_key, WITH_KEY);
        conflict.settle();
        // Later, so that its lease ends later.
        conflict.register(1 - with_key, WITHOUT_KEY);
        conflict.settle();
        conflict.relays[1].connect(InstanceId(7), &conflict.engine);
        conflict.settle();
        conflict.assert_listed(key, "mine");
    }
}

#[test]
fn without_the_key_the_address_is_free_when_the_lease_has_ended() {
    let mut conflict = Conflict::new();
    conflict.register(0, WITH_KEY);
    conflict.settle();
    let refused = conflict.register(1, WITHOUT_KEY);
    assert!(refused.starts_with("ERROR 403"), "{refused}");
    for _ in 0..7 {
        conflict.now += Duration::from_secs(9);
        conflict.settle();
    }
    let accepted = conflict.register(1, WITHOUT_KEY);
    assert!(accepted.starts_with("OK"), "{accepted}");
    conflict.settle();
    conflict.assert_listed(None, "other");
}

#[test]
fn of_two_keys_the_first_in_the_order_of_the_engine_keeps_the_address() {
    for publishes_more in [true, false] {
        let mut conflict = Conflict::new();
        conflict.ask(1, OTHER_KEY, "REGISTER * 9000\nSHARE 2 - other\n");
        conflict.ask(0, NODE_KEY, WITH_KEY);
        conflict.execute(0);
        if publishes_more {
            // It has not heard of the node when it publishes more.
            conflict.ask(1, OTHER_KEY, "REGISTER * 9000\nSHARE 3 - more\n");
        }
        conflict.execute(1);
        conflict.assert_held();
    }
}

#[test]
fn what_another_key_does_at_a_relay_that_lags_changes_nothing() {
    for lines in [
        "REGISTER * 9000\nSHARE 3 - more\n",
        "REGISTER * 9000\nUNSHARE mine\n",
        "REGISTER * 9000\nUNREGISTER * 9000\n",
        "UNREGISTER * 9000\nREGISTER * 9000\nSHARE 4 - mine\n",
    ] {
        for other in [Some(OTHER_KEY), None] {
            let mut conflict = Conflict::new();
            let node = SocketAddr::from(NODE);
            let other = other.map(KeyId::of);
            conflict.relays[1].open(node, other, "REGISTER * 9000\nSHARE 2 - other\n");
            conflict.ask(0, NODE_KEY, WITH_KEY);
            conflict.execute(0);
            conflict.execute(1);
            // The relay of the node hears of the other one, and publishes the node again.
            let first = &mut conflict.relays[0];
            while first.read(&mut conflict.engine, conflict.now) {}
            conflict.execute(0);
            // Only then comes what the other one does.
            conflict.relays[1].open(node, other, lines);
            conflict.execute(1);
            conflict.assert_held();
        }
    }
}

#[test]
fn another_key_at_a_relay_that_was_cut_off_gives_way_to_the_node() {
    for is_emptied in [false, true] {
        for is_first in [false, true] {
            let mut conflict = Conflict::new();
            conflict.ask(0, NODE_KEY, WITH_KEY);
            conflict.settle();
            conflict.relays[1].cut();
            conflict.pass_leases();
            let taken = conflict.ask(1, OTHER_KEY, "REGISTER * 9000\nSHARE 2 - other\n");
            assert!(taken.starts_with("OK"), "{taken}");
            if is_emptied {
                conflict.engine.flush();
                conflict.relays[0].cut();
                conflict.relays[2].cut();
            }
            if is_first {
                // Its record is the first one.
                conflict.relays[1].connect(InstanceId(11), &conflict.engine);
                conflict.settle();
            }
            for (number, relay) in conflict.relays.iter_mut().enumerate() {
                if !relay.is_connected() {
                    relay.connect(InstanceId(number as u64 + 20), &conflict.engine);
                }
            }
            conflict.assert_held();
        }
    }
}

#[test]
fn a_relay_that_connects_while_the_record_is_that_of_another_key_lists_the_node() {
    let mut conflict = Conflict::new();
    conflict.relays[2].cut();
    conflict.ask(1, OTHER_KEY, "REGISTER * 9000\nSHARE 2 - other\n");
    conflict.ask(0, NODE_KEY, WITH_KEY);
    conflict.execute(0);
    conflict.execute(1);
    let late = &mut conflict.relays[2];
    late.connect(InstanceId(7), &conflict.engine);
    while late.read(&mut conflict.engine, conflict.now) {}
    conflict.assert_held();
}

#[test]
fn who_leaves_a_relay_that_was_cut_off_does_not_remove_the_node_of_another_key() {
    for other in [Some(KeyId::of(OTHER_KEY)), None] {
        let mut conflict = Conflict::new();
        conflict.relays[1].cut();
        conflict.ask(0, NODE_KEY, WITH_KEY);
        conflict.settle();
        conflict.now += Duration::from_secs(1);
        let lines = "REGISTER * 9000\nUNREGISTER * 9000\n";
        let (_, answers) = conflict.relays[1].open(NODE.into(), other, lines);
        assert!(answers.ends_with("OK\n"), "{answers}");
        conflict.relays[1].connect(InstanceId(7), &conflict.engine);
        conflict.assert_held();
    }
}

#[test]
fn a_new_node_with_a_key_is_published_at_once() {
    for (lines, is_published) in [(WITH_KEY, true), (WITHOUT_KEY, false)] {
        let mut conflict = Conflict::new();
        let count = conflict.engine.stream.len();
        conflict.register(0, lines);
        let relay = &mut conflict.relays[0];
        relay.run(conflict.now);
        while relay.execute(&mut conflict.engine, conflict.now) {}
        assert_eq!(conflict.engine.stream.len() > count, is_published);
    }
}
