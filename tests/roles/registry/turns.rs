//! Much work for the registry is done in many turns of the loop, so that clients are served
//! in between.

use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use peerline::relay::shared_directory::{InstanceId, RegistryBatch};

use super::engine::Engine;
use super::settle;
use super::site::RelaySite;
use crate::processor_time::processor_time;

/// Several turns' worth.
const NODES: u32 = 5000;
const FILES: u32 = 6000;

struct Pair {
    now: Instant,
    engine: Engine,
    relays: [RelaySite; 2],
}

impl Pair {
    fn new() -> Self {
        let now = Instant::now();
        let mut pair = Self {
            now,
            engine: Engine::default(),
            relays: [1, 2].map(|number| RelaySite::new(number, now)),
        };
        pair.connect(0);
        pair.connect(1);
        pair.settle();
        pair
    }

    fn connect(&mut self, relay: usize) {
        let origin = InstanceId(fastrand::u64(..));
        self.relays[relay].connect(origin, &self.engine);
    }

    fn settle(&mut self) {
        settle(&mut self.relays, &mut self.engine, &mut self.now);
    }

    /// Nodes register at the first relay.
    fn register_nodes(&mut self) {
        for number in 0..NODES {
            let node = SocketAddr::from((Ipv4Addr::from(0x0a00_0001 + number), 9000));
            self.relays[0].ask(node, "REGISTER * 9000\n");
        }
        self.settle();
    }

    /// A node has many files.
    fn share_files(&mut self, verb: &str) {
        let mut lines = "REGISTER * 9000\n".to_owned();
        for number in 0..FILES {
            writeln!(lines, "{verb} {number}").expect("memory");
        }
        let node = SocketAddr::from(([10, 0, 0, 1], 9000));
        self.relays[0].ask(node, &lines);
        self.settle();
    }

    /// A relay does all that waits for it. No turn takes a large part of the time.
    fn assert_many_turns(&mut self, relay: usize) {
        let (mut total, mut longest) = (Duration::ZERO, Duration::ZERO);
        loop {
            let relay = &mut self.relays[relay];
            let began = processor_time();
            if relay.has_work() {
                relay.turn(self.now);
            } else if !relay.read(&mut self.engine, self.now) {
                break;
            }
            let took = processor_time() - began;
            total += took;
            longest = longest.max(took);
        }
        // In one turn: more than three quarters.
        assert!(longest < total / 2, "{longest:?} of {total:?}");
    }
}

#[test]
fn nodes_without_a_record_leave_in_many_turns() {
    let mut pair = Pair::new();
    pair.register_nodes();
    pair.relays[1].cut();
    pair.engine.forget_records();
    pair.connect(1);
    pair.assert_many_turns(1);
    let listed = pair.relays[1].directory(pair.now);
    assert!(listed.contains("NODES 0"));
}

#[test]
fn the_files_of_a_node_that_is_published_again_are_replaced_in_many_turns() {
    let mut pair = Pair::new();
    pair.share_files("SHARE 1 -");
    pair.engine.flush();
    pair.relays[0].cut();
    pair.connect(0);
    settle(&mut pair.relays[..1], &mut pair.engine, &mut pair.now);
    pair.assert_many_turns(1);
    let listed = pair.relays[1].directory(pair.now);
    let total = format!(" {FILES}");
    assert!(listed.iter().any(|line| line.ends_with(&total)));
}

#[test]
fn files_that_a_record_lacks_are_removed_in_many_turns() {
    let mut pair = Pair::new();
    pair.share_files("SHARE 1 -");
    pair.relays[1].cut();
    pair.share_files("UNSHARE");
    pair.connect(1);
    pair.assert_many_turns(1);
    let listed = pair.relays[1].directory(pair.now);
    assert!(listed.contains("FILES 0 0"));
}

/// The line is applied again in each turn, until the node has none of its former files.
#[test]
fn a_line_that_is_more_than_the_work_of_a_turn_removes_a_file_in_each_turn() {
    const FEW: usize = 5;
    let mut pair = Pair::new();
    let node = SocketAddr::from(([10, 0, 0, 1], 9000));
    let shares: String = (0..FEW).map(|n| format!("SHARE 1 - {n}\n")).collect();
    pair.relays[0].ask(node, &format!("REGISTER * 9000\n{shares}"));
    pair.settle();
    let (epoch, _) = pair.relays[0].register(node);
    let epoch = epoch.expect("it is registered");
    // A relay of a later version writes more fields.
    let fields = "x".repeat(1 << 20);
    let text = format!("NODE 10.0.0.1 9000\nADD 10.0.0.1 {epoch} 60 1 - {fields}\n");
    pair.engine.stream.push(RegistryBatch {
        origin: InstanceId(7),
        number: 1,
        text: text.into(),
    });
    let relay = &mut pair.relays[1];
    assert!(relay.read(&mut pair.engine, pair.now));
    let mut turns = 1;
    while relay.has_work() {
        assert!(turns < 2 * FEW, "a turn removes nothing");
        relay.turn(pair.now);
        turns += 1;
    }
    assert!(turns >= FEW, "the line is less than a turn's work");
    assert!(relay.directory(pair.now).contains("FILES 0 0"));
}

/// Regression: the new content was withdrawn with the old one.
#[test]
fn a_file_that_changes_while_the_record_of_its_node_is_compared_is_not_lost() {
    let node = SocketAddr::from(([10, 0, 0, 1], 9000));
    let share = |size: u32, digit: u32| {
        let hash = digit.to_string().repeat(64);
        format!("REGISTER * 9000\nSHARE {size} {hash} zero\n")
    };
    for steps in 0..12 {
        let mut pair = Pair::new();
        pair.share_files("SHARE 1 -");
        pair.relays[0].ask(node, &share(1, 1));
        pair.settle();
        pair.relays[0].cut();
        pair.relays[0].ask(node, &share(2, 2));
        pair.connect(0);
        for _ in 0..steps {
            let relay = &mut pair.relays[0];
            if relay.has_work() {
                relay.turn(pair.now);
            } else {
                relay.read(&mut pair.engine, pair.now);
            }
        }
        pair.relays[0].ask(node, &share(3, 3));
        pair.settle();
        let mut fresh = RelaySite::new(99, pair.now);
        fresh.connect(InstanceId(99), &pair.engine);
        while fresh.read(&mut pair.engine, pair.now) {
            fresh.run(pair.now);
        }
        let holder = format!("10.0.0.1 9000 3 {}", "3".repeat(64));
        for relay in pair.relays.iter_mut().chain([&mut fresh]) {
            let found = relay.ask(node, "FIND zero\n");
            assert!(found.contains(&holder), "after {steps} steps: {found}");
        }
    }
}
