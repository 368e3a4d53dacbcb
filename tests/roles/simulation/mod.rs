//! The large simulation: many nodes, many clients and a relay on a virtual clock, while
//! peers come and go, relays fail and connections break.
//!
//! - [`network`] connects the machines, without sockets.
//! - [`checked_relay`] is the relay beside its [`model`]: after each request, its
//!   directory and its index must equal those of the model.
//! - [`checking_user`] is a client's user, who must get a content that the node had, or
//!   a definite failure.
//! - A [`stranger`] does what a careless or hostile program may do. Nobody else waits.
//! - Some nodes have a key. An impostor at such a node's host, without a key or with another
//!   one, never holds the node's entry.
//! - Machines are [suspended](suspend), and go on a minute later.
//! - This file has the random steps. After each lossy phase the network recovers, and
//!   the index must hold exactly the files of the running nodes.
//!
//! Everything follows from one seed, which is printed on failure. To repeat a seed, or to
//! run many:
//!
//! ```sh
//! PEERLINE_SEEDS=7 cargo test --test roles simulation
//! PEERLINE_SEEDS=100..1000 cargo test --test roles simulation::the -- --nocapture
//! ```

mod checked_relay;
mod checking_user;
mod checks;
mod host;
mod link;
mod messages;
mod model;
mod network;
mod stranger;
mod suspend;

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZero;
use std::ops::Range;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use fastrand::Rng;
use peerline::client::{Client, Task};
use peerline::jobs::{FilePattern, JobRunner, PeerSource, Query};
use peerline::limits::JobLimits;
use peerline::node::{Node, Registrar};
use peerline::protocol::{ClaimedIp, ContentHash, FileName, MaybeHash, NodeAddress, Port, Text};
use peerline::relay::Relay;
use peerline::tls::KeyId;

use self::checked_relay::CheckedRelay;
use self::checking_user::{CheckingUser, History};
use self::link::{Conditions, HostId};
use self::model::{Model, PastEpochs};
use self::network::Network;
use self::stranger::{Manner, Stranger};
use crate::defaults::defaults;
use crate::machine::Machine;
use crate::memory::{Entry, Files, Memory};

const RELAY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 4000);
/// The relay's default lease.
const LEASE: Duration = Duration::from_secs(60);

/// All names that nodes may share.
const NAMES: [&str; 8] = [
    "a",
    "bee",
    "Bees and more",
    "c/d",
    "c/é",
    "empty.txt",
    "z",
    "ß",
];

const LOSSY: Conditions = Conditions {
    delay: Duration::from_millis(200),
    late_chance: 0.01,
    break_chance: 0.2,
    lost_chance: 0.05,
};
const GOOD: Conditions = Conditions {
    delay: Duration::from_millis(20),
    late_chance: 0.0,
    break_chance: 0.0,
    lost_chance: 0.0,
};

/// The number of random steps in each lossy phase.
const STEPS: u32 = 60;
/// Without `PEERLINE_SEEDS`: the number of seeds with one lossy phase each.
const SEEDS: u64 = 200;
/// With `PEERLINE_SEEDS`, and for the last seed without it: the number of phases.
const PHASES: u32 = 5;

struct World {
    rng: Rng,
    network: Network,
    history: Rc<RefCell<History>>,
    relay: Option<(HostId, Rc<RefCell<Model>>)>,
    past_epochs: PastEpochs,
    sites: Vec<Site>,
    clients: Vec<HostId>,
    /// In this phase, an impostor with a key of its own may have held the address of a node.
    had_key_of_impostor: bool,
    /// Stopping nodes, and when they are removed at the latest.
    leaving: Vec<(HostId, Instant)>,
}

/// A place where a node may run. Its files outlive the process.
struct Site {
    address: NodeAddress,
    /// The key that its node shows.
    key: Option<KeyId>,
    node: Option<HostId>,
    files: Rc<RefCell<Files>>,
    contents: BTreeMap<&'static str, String>,
}

/// The counts of one run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Summary {
    events: u64,
    fetched: u64,
    refused: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let sites = (0..12).map(|number| {
            let ip = match number {
                0 => Ipv4Addr::LOCALHOST,
                // Some hosts have several nodes.
                number => Ipv4Addr::new(203, 0, 113, number / 2),
            };
            let port = Port::new(40_000 + u16::from(number)).expect("a port is not zero");
            let files = Files::watched();
            let address = NodeAddress::new(ip.into(), port).expect("one host's address");
            Site {
                address,
                key: (number % 3 < 2).then(|| KeyId::of(address.to_string().as_bytes())),
                node: None,
                files: Rc::new(RefCell::new(files)),
                contents: BTreeMap::new(),
            }
        });
        let clock = Rc::new(Cell::new(Instant::now()));
        Self {
            network: Network::new(Rc::clone(&clock), seed, LOSSY),
            rng: Rng::with_seed(seed),
            history: Rc::new(RefCell::new(History::new(clock))),
            relay: None,
            past_epochs: PastEpochs::default(),
            sites: sites.collect(),
            clients: Vec::new(),
            had_key_of_impostor: false,
            leaving: Vec::new(),
        }
    }

    /// Runs the lossy phases, each with a recovery.
    fn run(&mut self, phases: u32) -> Summary {
        for _ in 0..phases {
            self.network.conditions = LOSSY;
            for _ in 0..STEPS {
                self.step();
            }
            self.settle_network();
        }
        let history = self.history.borrow();
        Summary {
            events: self.network.event_count(),
            fetched: history.fetched,
            refused: history.refused,
        }
    }

    fn step(&mut self) {
        let site = self.rng.usize(0..self.sites.len());
        match self.rng.u32(0..100) {
            0..10 if self.relay.is_none() => self.relay_starts(),
            0..2 => self.relay_crashes(),
            2..12 => self.node_starts(site),
            12..15 => self.node_stops(site),
            15..18 => self.node_crashes(site),
            18..22 => self.node_restarts(site),
            22..50 => self.file_changes(site),
            50..65 => self.client_starts(),
            65..70 => self.stranger_comes(site),
            70..72 => self.impostor_comes(site),
            72..74 => self.machine_is_suspended(site),
            _ => {
                let longest = Duration::from_secs([1, 1, 10, 40][self.rng.usize(0..4)]);
                let time = longest.mul_f64(self.rng.f64());
                self.pass(time);
            }
        }
    }

    fn pass(&mut self, time: Duration) {
        self.network.run_until(self.network.now() + time);
        let network = &mut self.network;
        self.clients.retain(|client| {
            let goes_on = !network.is_finished(*client);
            if !goes_on {
                network.remove(*client, true);
            }
            goes_on
        });
        self.leaving.retain(|(node, until)| {
            let goes_on = !network.has_no_connections(*node) && network.now() < *until;
            if !goes_on {
                network.remove(*node, true);
            }
            goes_on
        });
    }

    fn relay_starts(&mut self) {
        let now = self.network.now();
        let settings = defaults();
        let model = Model::new(settings.lease, Rc::clone(&self.past_epochs));
        let model = Rc::new(RefCell::new(model));
        let secret = std::array::from_fn(|_| self.rng.u8(..));
        let relay = Relay::new(settings, secret, now);
        // Some relays are of an older version.
        let has_epochs = self.rng.bool();
        let relay = CheckedRelay::new(relay, Rc::clone(&model), has_epochs, now, &NAMES);
        let host = self.network.add(RELAY.ip(), Some(RELAY.port()), relay);
        self.relay = Some((host, model));
    }

    fn relay_crashes(&mut self) {
        if let Some((relay, _)) = self.relay.take() {
            let is_graceful = self.rng.bool();
            self.network.remove(relay, is_graceful);
        }
    }

    fn node_starts(&mut self, site: usize) {
        let (now, seed) = (self.network.now(), self.rng.u64(..));
        let site = &mut self.sites[site];
        if site.node.is_some() {
            return;
        }
        let (ip, port) = (site.address.ip(), site.address.port());
        let share = Memory::new(Rc::clone(&site.files));
        let registrar = Registrar::new(vec![RELAY], ClaimedIp::Source, port, seed, now);
        let mut node = Node::new(share, vec![registrar], 10, now, |_| {});
        if port.get() % 2 == 0 {
            node.receive_messages(seed);
        }
        for (name, content) in &site.contents {
            self.history
                .borrow_mut()
                .put(site.address, name, Some(content));
        }
        let machine = Machine::new(node, now, Vec::new());
        let (network, port) = (&mut self.network, Some(port.get()));
        site.node = Some(network.add_with_key(ip, port, site.key, machine));
    }

    fn node_stops(&mut self, site: usize) {
        let site = &mut self.sites[site];
        if let Some(node) = site.node.take() {
            self.history.borrow_mut().lose(site.address);
            self.network.drain(node);
            let until = self.network.now() + Duration::from_secs(10);
            self.leaving.push((node, until));
        }
    }

    fn node_crashes(&mut self, site: usize) {
        let site = &mut self.sites[site];
        if let Some(node) = site.node.take() {
            self.history.borrow_mut().lose(site.address);
            self.network.remove(node, self.rng.bool());
        }
    }

    /// A node crashes and restarts, perhaps with other files, before its lease ends.
    fn node_restarts(&mut self, site: usize) {
        self.node_crashes(site);
        for _ in 0..self.rng.u32(0..4) {
            self.file_changes(site);
        }
        let time = Duration::from_secs(self.rng.u64(0..5));
        self.pass(time);
        self.node_starts(site);
    }

    /// A file appears, changes or vanishes, or its hash becomes known.
    fn file_changes(&mut self, site: usize) {
        let site = &mut self.sites[site];
        let name = self.rng.choice(NAMES).expect("there are names");
        let content = match self.rng.u32(0..10) {
            0..3 => None,
            3..6 => site.contents.get(name).cloned(),
            _ if name == "empty.txt" => Some(String::new()),
            version => Some(format!("{name}, version {version}\n").repeat(version as usize * 20)),
        };
        let is_new = site.contents.get(name) != content.as_ref();
        let mut files = site.files.borrow_mut();
        files.change(|entries| match &content {
            Some(content) => entries.insert(name.to_owned(), Entry::Small(content.clone())),
            None => entries.remove(name),
        });
        let found = content.as_deref().filter(|_| !is_new).map(hash);
        files.put_hash(name, MaybeHash(found));
        drop(files);
        site.contents.remove(name);
        site.contents
            .extend(content.clone().map(|content| (name, content)));
        if let Some(node) = site.node {
            if is_new {
                self.history
                    .borrow_mut()
                    .put(site.address, name, content.as_deref());
            }
            // Some changes are only seen at the next renewal.
            if self.rng.f64() < 0.8 {
                self.network.notify_external(node);
            }
        }
    }

    /// A stranger connects to the relay, or to a node.
    fn stranger_comes(&mut self, site: usize) {
        let manners = [Manner::Registers, Manner::Babbles, Manner::Stalls];
        let manner = self.rng.choice(manners).expect("there are manners");
        let server = match (manner, self.rng.bool()) {
            (Manner::Babbles | Manner::Stalls, true) => self.sites[site].address.into(),
            _ => RELAY,
        };
        let ip = manner.ip(self.rng.u8(0..3));
        let now = self.network.now();
        let addresses = self.addresses();
        let stranger = Stranger::new(&mut self.rng, manner, server, &addresses, now);
        self.clients.push(self.network.add(ip, None, stranger));
    }

    /// Somebody at the host of a node with a key wants to act for it; or its owner does,
    /// from elsewhere.
    fn impostor_comes(&mut self, site: usize) {
        let (address, owner) = match &self.sites[site] {
            Site { key: None, .. } => return,
            Site { address, key, .. } => (*address, *key),
        };
        let (now, rng) = (self.network.now(), &mut self.rng);
        let (key, ip) = match rng.u8(0..4) {
            0 => (owner, Manner::Registers.ip(9)),
            1 => (Some(KeyId::of(b"an impostor")), address.ip()),
            _ => (None, address.ip()),
        };
        let stranger = match key == owner {
            true => Stranger::owner(rng, address, RELAY, now),
            false => Stranger::impostor(rng, address.port(), RELAY, now),
        };
        self.had_key_of_impostor |= key.is_some() && key != owner;
        let host = self.network.add_with_key(ip, None, key, stranger);
        self.clients.push(host);
    }

    /// The addresses of nodes, as in requests.
    fn addresses(&self) -> Vec<String> {
        let sites = self.sites.iter();
        sites.map(|site| site.address.to_string()).collect()
    }

    /// The machine of a node, a client or the relay is suspended, perhaps for longer than a
    /// lease.
    fn machine_is_suspended(&mut self, site: usize) {
        let host = match self.rng.u8(0..3) {
            0 => self.clients.first().copied(),
            1 => self.relay.as_ref().map(|(relay, _)| *relay),
            _ => self.sites[site].node,
        };
        let time = Duration::from_secs([2, 20, 70][self.rng.usize(0..3)]);
        if let Some(host) = host {
            self.network.suspend(host, time);
        }
    }

    fn client_starts(&mut self) {
        let kind = self.rng.usize(0..12);
        let names = self
            .rng
            .choose_multiple(NAMES, kind.clamp(3, 5) - 2)
            .into_iter();
        let mut names = names.map(|name| FileName::parse(name).expect("a name"));
        let task = match kind {
            0 => Task::Query(Query::Nodes),
            1 => Task::Query(Query::Files("E".into())),
            2 => Task::Query(Query::Holders(names.next().expect("it is one"))),
            10.. => {
                let to = self
                    .rng
                    .choice(&self.sites)
                    .expect("there are sites")
                    .address;
                let text = Text::parse("Who is there?").expect("a text");
                Task::SendAndWait(to, text, Duration::from_secs(5))
            }
            _ => Task::Get(names.map(FilePattern::Name).collect(), None),
        };
        self.start_client(task);
    }

    fn start_client(&mut self, task: Task) {
        let checking_user = CheckingUser::new(Rc::clone(&self.history));
        let jobs = JobRunner::new(
            checking_user,
            vec![PeerSource::relay("the relay", vec![RELAY])],
            JobLimits::default(),
        );
        let client = Client::new(jobs, task);
        let ip = match self.rng.u8(0..4) {
            0 => Ipv4Addr::LOCALHOST,
            number => Ipv4Addr::new(198, 51, 100, number),
        };
        let machine = Machine::new(client, self.network.now(), Vec::new());
        let host = self.network.add(ip.into(), None, machine);
        self.clients.push(host);
    }
}

fn hash(content: &str) -> ContentHash {
    ContentHash(*blake3::hash(content.as_bytes()).as_bytes())
}

/// Prints the seed when a test fails.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the simulation failed: PEERLINE_SEEDS={}", self.0);
        }
    }
}

fn run(seed: u64, phases: u32) -> Summary {
    let seed = Seed(seed);
    World::new(seed.0).run(phases)
}

/// Runs many seeds on all processors.
fn run_all(seeds: Range<u64>) {
    let next = AtomicU64::new(seeds.start);
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        for _ in 0..processors {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if !seeds.contains(&seed) {
                        return;
                    }
                    run(seed, 1);
                }
            });
        }
    });
}

/// `7`, or `100..200`.
fn seeds(text: &str) -> Range<u64> {
    let number = |text: &str| text.parse::<u64>().expect("a seed is a number");
    match text.split_once("..") {
        Some((first, end)) => number(first)..number(end),
        None => number(text)..number(text) + 1,
    }
}

#[test]
fn the_index_equals_the_model_and_is_complete_after_recovery() {
    match std::env::var("PEERLINE_SEEDS") {
        Ok(text) => {
            for seed in seeds(&text) {
                let started = Instant::now();
                let summary = run(seed, PHASES);
                eprintln!("{seed}: {summary:?} in {:?}", started.elapsed());
            }
        }
        Err(_) => {
            run_all(0..SEEDS);
            run(fastrand::u64(..), PHASES);
        }
    }
}

#[test]
fn a_seed_determines_the_run() {
    assert_eq!(run(1, 1), run(1, 1));
}
