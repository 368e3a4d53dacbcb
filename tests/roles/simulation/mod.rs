//! The large simulation: many nodes and clients and a relay on the virtual
//! clock, while peers come and go, relays die and connections break.
//!
//! - [`network`] joins the machines; there are no sockets.
//! - [`watched`] is the relay beside its [`model`]: after everything that it
//!   hears its directory and its index must be those of the model.
//! - [`reader`] is a client's user, who gets a content that the node had, or a
//!   clear word that he gets none.
//! - Here is what happens at random. When all has calmed down the index must be
//!   whole: the files of the living nodes, no more and no less.
//!
//! All comes from one seed, which is printed if it fails. To play it again, or
//! to play many for as long as one likes:
//!
//! ```sh
//! PEERLINE_SEEDS=7 cargo test --test roles simulation
//! PEERLINE_SEEDS=100..1000 cargo test --test roles simulation::the -- --nocapture
//! ```

mod model;
mod network;
mod reader;
mod watched;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;
use std::rc::Rc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use peerline::client::{Client, Task};
use peerline::jobs::Query;
use peerline::node::{Node, Registrar};
use peerline::protocol::{ClaimedIp, ContentHash, FileName, MaybeHash, NodeAddress, Port};
use peerline::relay::Relay;

use self::model::{Model, PastEpochs};
use self::network::{HostId, Network, Weather};
use self::reader::{History, Reader};
use self::watched::Watched;
use crate::machine::Machine;
use crate::memory::{Entry, Files, Memory};
use crate::relay::defaults;

const RELAY: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 4000);
/// The default of the relay.
const LEASE: Duration = Duration::from_secs(60);

/// All that nodes may share.
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

const STORM: Weather = Weather {
    delay: Duration::from_millis(200),
    late: 0.01,
    cut: 0.2,
    lost: 0.05,
};
const CALM: Weather = Weather {
    delay: Duration::from_millis(20),
    late: 0.0,
    cut: 0.0,
    lost: 0.0,
};

/// How often it storms, and how much happens at random each time.
const STORMS: u32 = 5;
const STEPS: u32 = 80;

struct World {
    rng: Rng,
    network: Network,
    history: Rc<RefCell<History>>,
    relay: Option<(HostId, Rc<RefCell<Model>>)>,
    past_epochs: PastEpochs,
    sites: Vec<Site>,
    clients: Vec<HostId>,
    /// Nodes that were told to stop, and the end of their patience.
    leaving: Vec<(HostId, Instant)>,
}

/// Where a node may run. Its folder outlives the process.
struct Site {
    address: NodeAddress,
    node: Option<HostId>,
    files: Rc<RefCell<Files>>,
    contents: BTreeMap<&'static str, String>,
}

/// What a play came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Tally {
    happenings: u64,
    fetched: u64,
    refused: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let sites = (0..8).map(|number| {
            let ip = match number {
                0 => Ipv4Addr::LOCALHOST,
                // Some hosts have several nodes.
                number => Ipv4Addr::new(203, 0, 113, number / 2),
            };
            let port = Port::new(40_000 + u16::from(number)).expect("a port is not zero");
            let files = Files::watched();
            Site {
                address: NodeAddress::new(ip.into(), port).expect("one host's address"),
                node: None,
                files: Rc::new(RefCell::new(files)),
                contents: BTreeMap::new(),
            }
        });
        let clock = Rc::new(Cell::new(Instant::now()));
        Self {
            network: Network::new(Rc::clone(&clock), seed, STORM),
            rng: Rng::with_seed(seed),
            history: Rc::new(RefCell::new(History::new(clock))),
            relay: None,
            past_epochs: PastEpochs::default(),
            sites: sites.collect(),
            clients: Vec::new(),
            leaving: Vec::new(),
        }
    }

    /// Plays storms, each with the calm after it.
    fn play(&mut self) -> Tally {
        for _ in 0..STORMS {
            self.network.weather = STORM;
            for _ in 0..STEPS {
                self.step();
            }
            self.calm_down();
        }
        let history = self.history.borrow();
        Tally {
            happenings: self.network.happenings(),
            fetched: history.fetched,
            refused: history.refused,
        }
    }

    fn step(&mut self) {
        let site = self.rng.usize(0..self.sites.len());
        match self.rng.u32(0..100) {
            0..10 if self.relay.is_none() => self.relay_starts(),
            0..2 => self.relay_dies(),
            2..12 => self.node_starts(site),
            12..15 => self.node_leaves(site),
            15..18 => self.node_dies(site),
            18..22 => self.node_comes_back(site),
            22..55 => self.file_changes(site),
            55..70 => self.client_starts(),
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
            let goes_on = !network.is_alone(*node) && network.now() < *until;
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
        let relay = Watched::new(relay, Rc::clone(&model), has_epochs, now, &NAMES);
        let host = self.network.add(RELAY.ip(), Some(RELAY.port()), relay);
        self.relay = Some((host, model));
    }

    fn relay_dies(&mut self) {
        if let Some((relay, _)) = self.relay.take() {
            let says_so = self.rng.bool();
            self.network.remove(relay, says_so);
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
        let node = Node::new(share, registrar, 10, now, |_| {});
        for (name, content) in &site.contents {
            self.history
                .borrow_mut()
                .put(site.address, name, Some(content));
        }
        let machine = Machine::new(node, now, Vec::new());
        site.node = Some(self.network.add(ip, Some(port.get()), machine));
    }

    fn node_leaves(&mut self, site: usize) {
        let site = &mut self.sites[site];
        if let Some(node) = site.node.take() {
            self.history.borrow_mut().lose(site.address);
            self.network.drain(node);
            let until = self.network.now() + Duration::from_secs(10);
            self.leaving.push((node, until));
        }
    }

    fn node_dies(&mut self, site: usize) {
        let site = &mut self.sites[site];
        if let Some(node) = site.node.take() {
            self.history.borrow_mut().lose(site.address);
            self.network.remove(node, self.rng.bool());
        }
    }

    /// It dies and is started again, perhaps with other files, before the relay
    /// has forgotten it.
    fn node_comes_back(&mut self, site: usize) {
        self.node_dies(site);
        for _ in 0..self.rng.u32(0..4) {
            self.file_changes(site);
        }
        let time = Duration::from_secs(self.rng.u64(0..5));
        self.pass(time);
        self.node_starts(site);
    }

    /// A file appears, becomes another one or vanishes, or its hash is found.
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
                self.network.notice(node);
            }
        }
    }

    fn client_starts(&mut self) {
        let kind = self.rng.usize(0..10);
        let names = self
            .rng
            .choose_multiple(NAMES, kind.clamp(3, 5) - 2)
            .into_iter();
        let mut names = names.map(|name| FileName::parse(name).expect("a name"));
        let task = match kind {
            0 => Task::Query(Query::Nodes),
            1 => Task::Query(Query::Files("E".into())),
            2 => Task::Query(Query::Holders(names.next().expect("it is one"))),
            _ => Task::Get(names.collect(), None),
        };
        self.start_client(task);
    }

    fn start_client(&mut self, task: Task) {
        let reader = Reader::new(Rc::clone(&self.history));
        let client = Client::new(reader, vec![RELAY], 100, task);
        let ip = match self.rng.u8(0..4) {
            0 => Ipv4Addr::LOCALHOST,
            number => Ipv4Addr::new(198, 51, 100, number),
        };
        let machine = Machine::new(client, self.network.now(), Vec::new());
        let host = self.network.add(ip.into(), None, machine);
        self.clients.push(host);
    }

    /// No connection breaks any more, and nobody comes or goes.
    fn calm_down(&mut self) {
        self.network.weather = CALM;
        if self.relay.is_none() {
            self.relay_starts();
        }
        // What was late has arrived, and who was away has tried again.
        self.pass(Duration::from_secs(65));
        assert_eq!(self.clients, [], "all clients have come to an end");
        // One renewal.
        self.pass(LEASE / 3 + Duration::from_secs(1));
        let (known, shared) = (self.known(), self.shared());
        for (node, files) in &shared {
            assert_eq!(known.get(node), Some(files), "the files of {node}");
        }
        // The dead are forgotten, be it that their last word came late.
        self.pass(2 * LEASE);
        assert_eq!(self.known(), shared);
        self.all_can_be_fetched();
    }

    /// What the relay knows.
    fn known(&self) -> BTreeMap<String, BTreeMap<String, String>> {
        let (_, model) = self.relay.as_ref().expect("it runs");
        model.borrow().index()
    }

    /// What there is.
    fn shared(&self) -> BTreeMap<String, BTreeMap<String, String>> {
        let living = self.sites.iter().filter(|site| site.node.is_some());
        let of = |site: &Site| {
            let files = site.files.borrow();
            let files = files.after(None);
            let files = files.map(|(name, size, hash)| (name.to_owned(), format!("{size} {hash}")));
            (site.address.to_string(), files.collect())
        };
        living.map(of).collect()
    }

    fn all_can_be_fetched(&mut self) {
        let mut contents: BTreeMap<String, BTreeSet<ContentHash>> = BTreeMap::new();
        // On loopback the relay is not believed.
        let believed = |site: &&Site| site.node.is_some() && !site.address.is_loopback();
        for site in self.sites.iter().filter(believed) {
            for (name, _, hash) in site.files.borrow().after(None) {
                contents.entry(name.to_owned()).or_default().extend(hash.0);
            }
        }
        for (name, hashes) in contents {
            let wanted = hashes.first().copied().filter(|_| hashes.len() > 1);
            let name = FileName::parse(&name).expect("a name").into_owned();
            let before = self.history.borrow().fetched;
            self.start_client(Task::Get([name.clone()].into(), wanted));
            self.pass(Duration::from_secs(10));
            let fetched = self.history.borrow().fetched;
            assert_eq!(fetched, before + 1, "{name} is fetched");
        }
    }
}

fn hash(content: &str) -> ContentHash {
    ContentHash(*blake3::hash(content.as_bytes()).as_bytes())
}

/// Says which seed it was.
struct Seed(u64);

impl Drop for Seed {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the simulation failed: PEERLINE_SEEDS={}", self.0);
        }
    }
}

fn play(seed: u64) -> Tally {
    let seed = Seed(seed);
    World::new(seed.0).play()
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
fn the_index_is_always_that_of_the_model_and_whole_when_all_is_calm() {
    match std::env::var("PEERLINE_SEEDS") {
        Ok(text) => {
            for seed in seeds(&text) {
                let began = Instant::now();
                let tally = play(seed);
                eprintln!("{seed}: {tally:?} in {:?}", began.elapsed());
            }
        }
        Err(_) => {
            (0..6).for_each(|seed| {
                play(seed);
            });
            play(fastrand::u64(..));
        }
    }
}

#[test]
fn a_seed_is_the_whole_story() {
    assert_eq!(play(1), play(1));
}
