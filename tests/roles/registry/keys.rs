//! A node with a key and somebody without it, who register the same address at relays that
//! have not heard of each other.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use peerline::relay::shared_directory::InstanceId;
use peerline::tls::KeyId;

use super::engine::Engine;
use super::settle;
use super::site::RelaySite;

const NODE: ([u8; 4], u16) = ([192, 0, 2, 1], 9000);
const WITH_KEY: &str = "REGISTER * 9000\nSHARE 1 - mine\n";
const WITHOUT_KEY: &str = "REGISTER * 9000\nSHARE 2 - other\n";

struct Conflict {
    now: Instant,
    engine: Engine,
    relays: [RelaySite; 3],
}

impl Conflict {
    fn new() -> Self {
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

    fn settle(&mut self) {
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
