//! Relays and their engine fail in turn while nodes come, share, change relays and leave.
//! Afterwards all relays list exactly what the nodes have.
//!
//! ```sh
//! PEERLINE_ROUNDS=50 cargo test --test system registry_faults
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;
use rustix::process::Signal;

use crate::support::{Engine, Server, ask, client, eventually, folder, free_port, node};

const NODES: u16 = 12;
const NAMES: u32 = 20;
/// The kinds of faults.
const FAULTS: u32 = 6;
/// After a fault, the relays agree within this time; on a busy machine, at one of some tries.
const CONVERGENCE: Duration = Duration::from_secs(2);
const TRIES: u32 = 3;

/// A relay that starts again at the same place.
struct RelayPlace {
    address: SocketAddr,
    url: String,
    server: Option<Server>,
}

impl RelayPlace {
    fn start(ip: &str, engine: &Engine) -> Self {
        let address = SocketAddr::new(ip.parse().expect("an address"), free_port(ip));
        let mut place = Self {
            address,
            url: engine.url(),
            server: None,
        };
        place.restart();
        place
    }

    fn kill(&mut self) {
        self.server = None;
    }

    fn restart(&mut self) {
        self.kill();
        let mut command = Command::new(env!("CARGO_BIN_EXE_relay-server"));
        command.arg(self.address.port().to_string());
        command.args(["--listen", &self.address.ip().to_string()]);
        command.args(["--no-udp", "--tls", "off", "--log-level", "warn"]);
        command.args(["--registry", &self.url]);
        self.server = Some(Server::start(command));
    }
}

/// A node that follows the protocol, without a program.
struct RawNode {
    port: u16,
    files: BTreeMap<u32, u32>,
    /// What a relay has confirmed: its answer to `REGISTER`, and the files.
    confirmed: (String, BTreeMap<u32, u32>),
}

impl RawNode {
    /// Sends lines and reads the answers. None if the relay is not there.
    fn say(relay: SocketAddr, lines: &str) -> Option<Vec<String>> {
        let wait = Duration::from_secs(20);
        let mut stream = TcpStream::connect_timeout(&relay, wait).ok()?;
        stream.set_read_timeout(Some(wait)).ok()?;
        stream.write_all(lines.as_bytes()).ok()?;
        stream.shutdown(Shutdown::Write).ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).ok()?;
        let replies: Vec<String> = text.lines().map(str::to_owned).collect();
        (replies.len() == lines.lines().count()).then_some(replies)
    }

    /// Registers and announces what the relay does not know. Returns false if the relay is
    /// not there.
    fn update(&mut self, relay: SocketAddr) -> bool {
        self.try_update(relay).is_some()
    }

    fn try_update(&mut self, relay: SocketAddr) -> Option<()> {
        let register = format!("REGISTER * {}\n", self.port);
        let mut reply = Self::say(relay, &register)?.remove(0);
        if reply != self.confirmed.0 {
            self.confirmed.1.clear();
            let leave = format!("{register}UNREGISTER * {}\n{register}", self.port);
            if reply.split(' ').nth(4) != Some("0") {
                reply = Self::say(relay, &leave)?.remove(2);
            }
        }
        let mut lines = register;
        for name in self.confirmed.1.keys() {
            if !self.files.contains_key(name) {
                lines += &format!("UNSHARE file{name}\n");
            }
        }
        for (name, size) in &self.files {
            if self.confirmed.1.get(name) != Some(size) {
                lines += &format!("SHARE {size} - file{name}\n");
            }
        }
        // Without an answer, the relay may have all of it or nothing.
        self.confirmed.0.clear();
        Self::say(relay, &lines)?;
        let epoch = reply.rsplit(' ').next().unwrap_or_default();
        let [lease, ip] = [1, 2].map(|at| reply.split(' ').nth(at).unwrap_or_default());
        let (port, count) = (self.port, self.files.len());
        self.confirmed = (
            format!("OK {lease} {ip} {port} {count} {epoch}"),
            self.files.clone(),
        );
        Some(())
    }

    fn change(&mut self, rng: &mut Rng) {
        let name = rng.u32(0..NAMES);
        match rng.u32(0..4) {
            0 => _ = self.files.remove(&name),
            size => _ = self.files.insert(name, size),
        }
    }
}

/// Changes the nodes until told to stop. Each node stays with a relay while it is there.
fn churn(nodes: &mut [RawNode], relays: [SocketAddr; 2], rng: &mut Rng, stop: &AtomicBool) {
    let mut at: Vec<usize> = (0..nodes.len()).map(|number| number % 2).collect();
    while !stop.load(Ordering::Relaxed) {
        let number = rng.usize(0..nodes.len());
        let node = &mut nodes[number];
        node.change(rng);
        if !node.update(relays[at[number]]) {
            at[number] = 1 - at[number];
            node.update(relays[at[number]]);
        }
    }
}

fn rounds() -> u32 {
    let rounds = std::env::var("PEERLINE_ROUNDS");
    rounds.map_or(6, |rounds| rounds.parse().expect("a number"))
}

fn fail_in_turn(round: u32, places: &mut [RelayPlace; 2], engine: &mut Engine) {
    match round % FAULTS {
        number @ (0 | 2) => places[number as usize / 2].restart(),
        1 | 4 => engine.restart(),
        3 => {
            engine.signal(Signal::STOP);
            places[0].restart();
            engine.signal(Signal::CONT);
        }
        _ => {
            engine.command(&["FLUSHALL"]);
        }
    }
}

/// The files that a relay lists, as `name size port`.
fn listed(relay: SocketAddr) -> BTreeSet<String> {
    let mut files = BTreeSet::new();
    for name in 0..NAMES {
        let holders = ask(relay, format!("FIND file{name}\n").as_bytes());
        for line in holders.lines().skip(1) {
            let fields: Vec<&str> = line.split(' ').collect();
            files.insert(format!("{name} {} {}", fields[2], fields[1]));
        }
    }
    files
}

/// The files that the nodes have, in the same form.
fn files_of(nodes: &[RawNode]) -> BTreeSet<String> {
    let files = nodes.iter().flat_map(|node| {
        let port = node.port;
        let files = node.files.iter();
        files.map(move |(name, size)| format!("{name} {size} {port}"))
    });
    files.collect()
}

#[test]
fn nothing_is_lost_when_relays_and_the_engine_fail_in_turn() {
    let Some(mut engine) = Engine::start(&[]) else {
        return;
    };
    let mut places = ["127.0.0.80", "127.0.0.81"].map(|ip| RelayPlace::start(ip, &engine));
    let relays = [places[0].address, places[1].address];
    let mut nodes: Vec<RawNode> = (1..=NODES)
        .map(|port| RawNode {
            port,
            files: BTreeMap::new(),
            confirmed: Default::default(),
        })
        .collect();
    let share = folder(&[("real", b"content of a real node")]);
    let real = node(
        places[1].server.as_ref().expect("it runs"),
        share.path(),
        &[],
    );
    let stop = AtomicBool::new(false);
    let seed = fastrand::u64(..);
    eprintln!("seed: {seed}");
    thread::scope(|scope| {
        let (nodes, stop) = (&mut nodes, &stop);
        scope.spawn(move || churn(nodes, relays, &mut Rng::with_seed(seed), stop));
        for round in 0..rounds() {
            fail_in_turn(round, &mut places, &mut engine);
            let [a, b] = [&places[0], &places[1]].map(|place| place.server.as_ref());
            for relay in [a, b].into_iter().flatten() {
                eventually("the relay has reached the engine", || {
                    relay.stat("registry_connected") == 1
                });
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    renew_all(&mut nodes, relays);
    let expected = files_of(&nodes);
    for relay in relays {
        // As nodes do at every third of a lease: the last fault and a move of a node to another
        // relay may have met.
        eventually("the relay lists exactly what the nodes have", || {
            renew_all(&mut nodes, relays);
            listed(relay) == expected
        });
        let address = real.wire_address();
        eventually("it lists the real node", || {
            ask(relay, b"FIND real\n").contains(&address)
        });
    }
    let relay = places[0].server.as_ref().expect("it runs");
    let fetched = client(relay, &["get", "real"]);
    assert_eq!(fetched.text(), "content of a real node");
    for fault in 0..FAULTS {
        let agrees_in_time = (0..TRIES).any(|_| {
            fail_in_turn(fault, &mut places, &mut engine);
            agree_in_time(&mut nodes, relays, &mut Rng::with_seed(seed))
        });
        assert!(agrees_in_time, "fault {fault}: the relays agree only later");
    }
}

/// Changes a node. Returns whether all relays soon list what the nodes have. If not, the nodes
/// announce everything again with the next change.
fn agree_in_time(nodes: &mut [RawNode], relays: [SocketAddr; 2], rng: &mut Rng) -> bool {
    let end = Instant::now() + CONVERGENCE;
    nodes[0].change(rng);
    renew_all(nodes, relays);
    let expected = files_of(nodes);
    while Instant::now() < end {
        if relays.iter().all(|relay| listed(*relay) == expected) {
            return true;
        }
    }
    for node in nodes {
        node.confirmed.0.clear();
    }
    false
}

/// Within a lease, each node is heard once more.
fn renew_all(nodes: &mut [RawNode], relays: [SocketAddr; 2]) {
    for node in nodes {
        let relay = relays[usize::from(node.port) % 2];
        eventually("the node is registered", || node.update(relay));
        eventually("all files are confirmed", || {
            node.update(relay) && node.confirmed.1 == node.files
        });
    }
}
