//! Several relays with one directory: whatever happens to them, to the engine and to what
//! is on its way, afterwards all relays have the same directory, and it is that of the
//! nodes.
//!
//! ```sh
//! PEERLINE_SEEDS=100..10000 cargo test --test roles registry
//! ```

mod engine;
mod flow;
mod impostor;
mod key_contest;
mod keys;
mod listeners;
mod lost_records;
mod site;
mod turns;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use fastrand::Rng;
use peerline::relay::shared_directory::InstanceId;

use self::engine::Engine;
use self::site::RelaySite;

const RELAYS: usize = 3;
const NODES: u8 = 4;
const NAMES: [&str; 5] = ["a", "bee", "c/d", "c/é", "e f"];
const STEPS: u32 = 200;
/// The relay's default lease.
const LEASE: Duration = Duration::from_secs(60);
/// The longest time until a batch is in the engine.
const MAX_LAG: Duration = Duration::from_secs(3);

/// Everything that is on its way between some relays arrives.
fn settle(relays: &mut [RelaySite], engine: &mut Engine, now: &mut Instant) {
    for _ in 0..100 {
        *now += Duration::from_millis(10);
        for relay in &mut *relays {
            relay.run(*now);
            while relay.execute(engine, *now) {}
            while relay.is_connected() && relay.read(engine, *now) {}
        }
    }
}

/// Relays that have connected to the engine.
fn connected_relays<const N: usize>(engine: &mut Engine, now: &mut Instant) -> [RelaySite; N] {
    let mut relays = std::array::from_fn(|index| RelaySite::new(index as u8 + 1, *now));
    for (index, relay) in relays.iter_mut().enumerate() {
        relay.connect(InstanceId(index as u64 + 1), engine);
    }
    settle(&mut relays, engine, now);
    relays
}

struct Campus {
    rng: Rng,
    now: Instant,
    /// When the nodes renewed their leases last.
    renewed_at: Instant,
    engine: Engine,
    relays: Vec<RelaySite>,
    nodes: Vec<CampusNode>,
    /// How often an engine or a relay fails, of 100 steps.
    faults: u32,
    /// Nodes change relays before the second has heard from the first what they announced.
    /// Then the older announcement may be the last one.
    are_nodes_hasty: bool,
    /// The engine has lost everything once. What a relay knew that is gone itself, others
    /// keep until the lease ends.
    was_flushed: bool,
    /// The engine loses records of nodes, and does not say so.
    loses_records: bool,
}

/// A node, which is registered at one relay at a time.
struct CampusNode {
    address: SocketAddr,
    relay: usize,
    is_running: bool,
    files: BTreeMap<&'static str, u64>,
    /// What the relay has confirmed: its epoch, and the files.
    confirmed: (Option<u64>, BTreeMap<&'static str, u64>),
}

impl CampusNode {
    /// Registers, and announces the difference; everything if the relay has another record.
    fn update(&mut self, relay: &mut RelaySite) {
        let mut reply = relay.register(self.address);
        let (epoch, confirmed) = &self.confirmed;
        if reply != (*epoch, confirmed.len() as u64) {
            self.confirmed.1.clear();
            if reply.1 > 0 {
                self.leave(relay);
                reply = relay.register(self.address);
            }
        }
        let mut lines = format!("REGISTER * {}\n", self.address.port());
        let old = &self.confirmed.1;
        for name in old.keys().filter(|name| !self.files.contains_key(*name)) {
            lines += &format!("UNSHARE {name}\n");
        }
        for (name, size) in &self.files {
            if old.get(name) != Some(size) {
                lines += &format!("SHARE {size} - {name}\n");
            }
        }
        relay.ask(self.address, &lines);
        self.confirmed = (reply.0, self.files.clone());
    }

    fn leave(&mut self, relay: &mut RelaySite) {
        relay.ask(
            self.address,
            &format!("UNREGISTER * {}\n", self.address.port()),
        );
        self.confirmed = Default::default();
    }
}

impl Campus {
    fn new(seed: u64, faults: u32) -> Self {
        let now = Instant::now();
        let nodes = (0..NODES).map(|number| CampusNode {
            address: (Ipv4Addr::new(192, 0, 2, number + 1), 9000).into(),
            relay: 0,
            is_running: false,
            files: BTreeMap::new(),
            confirmed: Default::default(),
        });
        Self {
            rng: Rng::with_seed(seed),
            now,
            renewed_at: now,
            engine: Engine::default(),
            relays: (0..RELAYS)
                .map(|number| RelaySite::new(number as u8, now))
                .collect(),
            nodes: nodes.collect(),
            faults,
            are_nodes_hasty: seed.is_multiple_of(2),
            was_flushed: false,
            loses_records: seed % 5 == 1,
        }
    }

    fn step(&mut self) {
        if self.now - self.renewed_at > LEASE / 3 {
            self.renew_all();
        }
        let relay = self.rng.usize(0..RELAYS);
        let node = self.rng.usize(0..self.nodes.len());
        match self.rng.u32(0..100) {
            number if number < self.faults => self.fault(relay),
            0..20 => _ = self.relays[relay].execute(&mut self.engine, self.now),
            20..45 => _ = self.relays[relay].read(&mut self.engine, self.now),
            45..75 => self.node_changes(node),
            75..80 => self.connect(relay),
            _ => {
                let most = [5, 50, 1000, 9000][self.rng.usize(0..4)];
                let time = Duration::from_millis(self.rng.u64(0..most));
                self.pass(time);
            }
        }
    }

    fn fault(&mut self, relay: usize) {
        if self.loses_records && self.rng.bool() {
            if let Some(node) = self.rng.choice(self.engine.nodes()) {
                self.engine.forget_record(&node);
                self.was_flushed = true;
            }
            return;
        }
        match self.rng.u8(0..8) {
            0..5 => self.relays[relay].cut(),
            5 => {
                // A relay that notices only later than others.
                self.engine.flush();
                self.was_flushed = true;
                for relay in &mut self.relays {
                    relay.cut();
                }
            }
            6 => self.relays[relay] = RelaySite::new(self.rng.u8(..), self.now),
            _ => {
                let time = Duration::from_secs(self.rng.u64(0..70));
                self.pass(time);
            }
        }
    }

    fn connect(&mut self, relay: usize) {
        let relay = &mut self.relays[relay];
        if !relay.is_connected() {
            relay.connect(InstanceId(self.rng.u64(..)), &self.engine);
        }
    }

    /// Nodes renew their leases in time, at their relays.
    fn pass(&mut self, time: Duration) {
        let end = self.now + time;
        while self.now < end {
            self.now = (self.now + Duration::from_secs(15)).min(end);
            for relay in &mut self.relays {
                relay.run(self.now);
                // An engine that does not answer for longer counts as gone.
                while time > MAX_LAG && relay.execute(&mut self.engine, self.now) {}
            }
            if time > Duration::from_secs(15) {
                self.renew_all();
            }
        }
    }

    fn renew_all(&mut self) {
        self.renewed_at = self.now;
        for node in self.nodes.iter_mut().filter(|node| node.is_running) {
            node.update(&mut self.relays[node.relay]);
        }
    }

    fn node_changes(&mut self, node: usize) {
        let node = &mut self.nodes[node];
        let relay = &mut self.relays[node.relay];
        match self.rng.u8(0..12) {
            0 if node.is_running => {
                // Its relay may not know it yet.
                node.update(relay);
                node.leave(relay);
                node.is_running = false;
            }
            // It goes to another relay, with what it has told the first.
            1 | 2 => {
                if !self.are_nodes_hasty {
                    self.now += Duration::from_millis(10);
                    relay.run(self.now);
                    while relay.execute(&mut self.engine, self.now) {}
                }
                node.relay = self.rng.usize(0..RELAYS);
                let relay = &mut self.relays[node.relay];
                while !self.are_nodes_hasty && relay.read(&mut self.engine, self.now) {}
                relay.run(self.now);
            }
            3 if node.is_running => node.update(relay),
            _ => {
                node.is_running = true;
                let name = self.rng.choice(NAMES).expect("there are names");
                match self.rng.u64(0..4) {
                    0 => _ = node.files.remove(name),
                    size => _ = node.files.insert(name, size),
                }
                node.update(relay);
            }
        }
    }

    /// Everything that is on its way arrives.
    fn settle(&mut self) {
        for _ in 0..10_000 {
            for number in 0..RELAYS {
                self.connect(number);
                let relay = &mut self.relays[number];
                relay.execute(&mut self.engine, self.now);
                relay.read(&mut self.engine, self.now);
                relay.run(self.now);
            }
            let engine = &self.engine;
            if !self.relays.iter().any(|relay| relay.is_busy(engine)) {
                return;
            }
            // Batches become due.
            self.now += Duration::from_micros(100);
        }
        panic!("the relays never come to rest");
    }

    /// All relays list the same; with `with_nodes`, what the nodes have.
    fn check(&mut self, with_nodes: bool) {
        let now = self.now;
        let seen: Vec<_> = self.relays.iter_mut().map(|r| r.directory(now)).collect();
        assert_eq!(seen[0], seen[1]);
        assert_eq!(seen[0], seen[2]);
        let mut fresh = RelaySite::new(99, now);
        fresh.connect(InstanceId(1), &self.engine);
        while fresh.read(&mut self.engine, now) {}
        assert_eq!(fresh.directory(now), seen[0], "a relay that starts now");
        if !with_nodes {
            return;
        }
        let running = self.nodes.iter().filter(|node| node.is_running);
        let mut expected = BTreeSet::new();
        for node in running {
            let address = format!("{} {}", node.address.ip(), node.address.port());
            for (name, size) in &node.files {
                expected.insert(format!("{name}: {address} {size} -"));
            }
            expected.insert(address);
        }
        let is_node = |line: &&String| !line.contains("HOLDERS") && line.starts_with("192.");
        let is_holder = |line: &&String| line.contains(": 192.");
        let listed = seen[0]
            .iter()
            .filter(|line| is_node(line) || is_holder(line));
        assert_eq!(listed.cloned().collect::<BTreeSet<_>>(), expected);
    }
}

/// Prints the seed when a test fails.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the relays differ: PEERLINE_SEEDS={}", self.0);
        }
    }
}

fn run(seed: u64) {
    let seed = Seed(seed);
    // A third of the runs is without faults.
    let faults = [0, 2, 8][(seed.0 % 3) as usize];
    let mut campus = Campus::new(seed.0, faults);
    for relay in 0..RELAYS {
        campus.connect(relay);
    }
    for _ in 0..STEPS {
        campus.step();
    }
    campus.settle();
    if !campus.was_flushed && !campus.are_nodes_hasty {
        campus.check(false);
    }
    // Within a lease, each running node is heard again, and the others are forgotten: one
    // that left may have been announced by the relay from which it had come.
    for _ in 0..5 {
        campus.renew_all();
        campus.settle();
        campus.now += Duration::from_secs(15);
    }
    campus.settle();
    campus.check(!campus.are_nodes_hasty && faults == 0);
}

#[test]
fn relays_agree_after_any_interleaving() {
    let seeds = match std::env::var("PEERLINE_SEEDS") {
        Ok(text) => match text.split_once("..") {
            Some((first, end)) => {
                let number = |text: &str| text.parse().expect("a seed is a number");
                number(first)..number(end)
            }
            None => {
                let seed = text.parse().expect("a seed is a number");
                seed..seed + 1
            }
        },
        Err(_) => 0..300,
    };
    for seed in seeds {
        run(seed);
    }
}
