//! An engine that has lost the record of a node and does not say so.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use peerline::protocol::NodeAddress;
use peerline::relay::shared_directory::InstanceId;

use super::engine::Engine;
use super::settle;
use super::site::RelaySite;

const NODE: ([u8; 4], u16) = ([192, 0, 2, 1], 9000);
const REGISTER: &str = "REGISTER * 9000\n";

struct Pair {
    now: Instant,
    engine: Engine,
    relays: [RelaySite; 2],
}

impl Pair {
    /// A node has registered at the first relay and has announced two files.
    fn with_node() -> Self {
        let now = Instant::now();
        let mut pair = Self {
            now,
            engine: Engine::default(),
            relays: [1, 2].map(|number| RelaySite::new(number, now)),
        };
        for (number, relay) in pair.relays.iter_mut().enumerate() {
            relay.connect(InstanceId(number as u64 + 1), &pair.engine);
        }
        pair.tell(0, "REGISTER * 9000\nSHARE 1 - one\nSHARE 2 - two\n");
        pair
    }

    fn tell(&mut self, relay: usize, lines: &str) {
        self.relays[relay].ask(NODE.into(), lines);
        self.settle();
    }

    fn settle(&mut self) {
        settle(&mut self.relays, &mut self.engine, &mut self.now);
    }

    fn lose_record(&mut self) {
        let node = NodeAddress::parse("192.0.2.1 9000").expect("an address of a node");
        self.engine.forget_record(&node);
    }

    /// What all relays list, and one that starts now.
    fn directories(&mut self) -> Vec<BTreeSet<String>> {
        // Renewals are published once a second.
        self.settle();
        let mut fresh = RelaySite::new(99, self.now);
        fresh.connect(InstanceId(99), &self.engine);
        while fresh.read(&mut self.engine, self.now) {}
        let relays = self.relays.iter_mut().chain([&mut fresh]);
        relays.map(|relay| relay.directory(self.now)).collect()
    }

    /// All relays, and one that starts now, list only these files.
    fn assert_files(&mut self, files: &[&str]) {
        for listed in self.directories() {
            let is_holder = |line: &&String| line.contains(": 192.0.2.1 9000 ");
            let holders = listed.iter().filter(is_holder);
            let names: Vec<&str> = holders
                .filter_map(|line| Some(line.split_once(':')?.0))
                .collect();
            assert_eq!(names, files, "{listed:?}");
            let nodes = format!("NODES {}", u32::from(!files.is_empty()));
            assert!(listed.contains(&nodes), "{listed:?}");
        }
    }
}

impl Pair {
    /// All relays, and one that starts now, list this file, and so many.
    fn assert_holds(&mut self, name: &str, size: u64, files: usize) {
        for listed in self.directories() {
            let holder = format!("{name}: 192.0.2.1 9000 {size} -");
            assert!(listed.contains(&holder), "{listed:?}");
            let total = format!("FILES {files} {files}");
            assert!(listed.contains(&total), "{listed:?}");
        }
    }
}

#[test]
fn it_is_made_again_when_the_node_renews_its_lease() {
    let mut pair = Pair::with_node();
    pair.lose_record();
    pair.tell(0, REGISTER);
    pair.assert_files(&["one", "two"]);
}

#[test]
fn it_is_made_again_when_the_node_goes_to_another_relay() {
    let mut pair = Pair::with_node();
    pair.lose_record();
    pair.tell(1, REGISTER);
    pair.assert_files(&["one", "two"]);
}

#[test]
fn it_is_made_again_when_the_node_announces_a_file() {
    let mut pair = Pair::with_node();
    pair.lose_record();
    pair.tell(0, "REGISTER * 9000\nSHARE 3 - three\n");
    pair.assert_files(&["one", "three", "two"]);
}

#[test]
fn it_is_made_again_when_a_part_of_it_was_written_by_a_relay_that_is_gone() {
    let mut pair = Pair::with_node();
    pair.lose_record();
    // The second relay writes a header, and gets no further.
    let relay = &mut pair.relays[1];
    relay.ask(NODE.into(), REGISTER);
    pair.now += Duration::from_millis(10);
    relay.run(pair.now);
    while relay.execute(&mut pair.engine, pair.now) {}
    pair.relays[1] = RelaySite::new(3, pair.now);
    pair.relays[1].connect(InstanceId(3), &pair.engine);
    pair.settle();
    pair.tell(0, REGISTER);
    pair.assert_files(&["one", "two"]);
}

#[test]
fn a_relay_with_an_older_record_gets_the_new_one() {
    let mut pair = Pair::with_node();
    pair.relays[1].cut();
    pair.tell(0, "REGISTER * 9000\nUNSHARE two\n");
    // Only the second relay notices, and keeps what it knows.
    pair.engine.flush();
    pair.relays[1].connect(InstanceId(3), &pair.engine);
    pair.settle();
    pair.tell(0, REGISTER);
    pair.assert_files(&["one"]);
}

#[test]
fn a_node_that_another_relay_has_removed_is_not_lost() {
    let mut pair = Pair::with_node();
    // A renewal waits for the next batch of the first relay, while the node leaves the second.
    let [first, second] = &mut pair.relays;
    first.ask(NODE.into(), REGISTER);
    second.ask(NODE.into(), "REGISTER * 9000\nUNREGISTER * 9000\n");
    pair.now += Duration::from_millis(10);
    second.run(pair.now);
    while second.execute(&mut pair.engine, pair.now) {}
    pair.now += Duration::from_secs(2);
    first.run(pair.now);
    while first.execute(&mut pair.engine, pair.now) {}
    first.run(pair.now);
    pair.assert_files(&[]);
}

#[test]
fn a_node_that_registers_while_its_relay_reads_the_records_stays() {
    for lines in [REGISTER, "REGISTER * 9000\nSHARE 2 - two\n"] {
        let mut pair = Pair::with_node();
        let second = &mut pair.relays[1];
        second.cut();
        let node = NodeAddress::parse("192.0.2.1 9000").expect("an address of a node");
        pair.engine.forget_record(&node);
        second.connect(InstanceId(3), &pair.engine);
        second.run(pair.now);
        // It has not read yet that there is no record.
        pair.tell(1, lines);
        pair.assert_files(&["one", "two"]);
    }
}

#[test]
fn a_node_that_moves_while_its_record_is_made_again_loses_nothing() {
    // Of the record, the last lines of two batches.
    for (is_long, moves_after) in [(false, 0), (true, 0), (true, 1)] {
        let mut pair = Pair::with_node();
        if is_long {
            let name = "x".repeat(1000);
            let files = (0..60).map(|number| format!("SHARE 9 - {number}{name}\n"));
            pair.tell(0, &(REGISTER.to_owned() + &files.collect::<String>()));
        }
        pair.lose_record();
        // The first relay learns it, and publishes the node.
        let [first, second] = &mut pair.relays;
        first.ask(NODE.into(), REGISTER);
        pair.now += Duration::from_secs(2);
        first.run(pair.now);
        while first.execute(&mut pair.engine, pair.now) {}
        while first.read(&mut pair.engine, pair.now) {}
        first.run(pair.now);
        pair.now += Duration::from_millis(10);
        first.run(pair.now);
        for _ in 0..moves_after {
            assert!(first.execute(&mut pair.engine, pair.now));
        }
        // What it publishes arrives only after the node has changed relays and files.
        second.ask(
            NODE.into(),
            "REGISTER * 9000\nUNSHARE two\nSHARE 4 - one\nSHARE 3 - three\n",
        );
        pair.now += Duration::from_millis(10);
        second.run(pair.now);
        while second.execute(&mut pair.engine, pair.now) {}
        pair.settle();
        let files = if is_long { 62 } else { 2 };
        pair.assert_holds("one", 4, files);
        pair.assert_holds("three", 3, files);
    }
}
