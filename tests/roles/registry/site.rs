//! A relay that shares its directory, and its link to the engine.

use std::cell::RefCell;
use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use peerline::close_reason::CloseReason;
use peerline::protocol::{NodeAddress, Registered};
use peerline::relay::Relay;
use peerline::relay::shared_directory::{InstanceId, RegistryCommand, RegistryUpdate};
use peerline::role::Role;
use peerline::tls::KeyId;

use super::engine::Engine;
use crate::defaults::defaults;
use crate::machine::{Event, Machine};

type Commands = Rc<RefCell<VecDeque<RegistryCommand>>>;

pub struct RelaySite {
    machine: Machine<Relay, Vec<Event<std::os::fd::OwnedFd>>>,
    commands: Commands,
    link: Option<Link>,
    /// The generation of the database at the last connection.
    generation: Option<u32>,
}

/// A connection to the engine, and what is read over it.
struct Link {
    /// The next batch to read.
    position: usize,
    /// What is still to be loaded, before batches are read.
    to_load: VecDeque<NodeAddress>,
    is_loaded: bool,
}

impl RelaySite {
    pub fn new(secret: u8, now: Instant) -> Self {
        let mut relay = Relay::new(defaults(), [secret; 32], now);
        let commands = Commands::default();
        let sender = Rc::clone(&commands);
        let send = move |command| sender.borrow_mut().push_back(command);
        relay.share_directory(Box::new(send), now);
        Self {
            machine: Machine::new(relay, now, Vec::new()),
            commands,
            link: None,
            generation: None,
        }
    }

    pub fn is_connected(&self) -> bool {
        self.link.is_some()
    }

    pub fn connect(&mut self, origin: InstanceId, engine: &Engine) {
        self.link = Some(Link {
            position: engine.stream.len(),
            to_load: engine.nodes().into(),
            is_loaded: false,
        });
        let is_other = self
            .generation
            .is_some_and(|generation| generation != engine.generation);
        self.generation = Some(engine.generation);
        self.update(RegistryUpdate::Connected {
            origin,
            is_other_database: is_other,
        });
        for listeners in engine.listeners() {
            self.update(listeners);
        }
    }

    pub fn cut(&mut self) {
        if self.link.take().is_some() {
            // What was sent may be executed late; the rest is not sent any more.
            self.commands.borrow_mut().truncate(1);
            self.update(RegistryUpdate::Disconnected("cut".into()));
        }
    }

    fn update(&mut self, update: RegistryUpdate) {
        self.machine
            .call(|relay, context| relay.on_message(context, update));
    }

    /// The time passes; the relay does what is due.
    pub fn run(&mut self, now: Instant) {
        self.machine.now = now;
        for _ in 0..100 {
            let due = self.machine.role().next_deadline();
            if !self.machine.role().has_work() && due.is_none_or(|due| due > now) {
                return;
            }
            self.machine.call(Relay::on_timer);
        }
        panic!("the work of a relay never ends");
    }

    /// Whether the relay has more to do in the next turn of its loop.
    pub fn has_work(&self) -> bool {
        self.machine.role().has_work()
    }

    /// One turn of the loop.
    pub fn turn(&mut self, now: Instant) {
        self.machine.now = now;
        self.machine.call(Relay::on_timer);
    }

    /// The engine executes the next command of the relay, perhaps that of a link that was
    /// cut. Returns false if there is none.
    pub fn execute(&mut self, engine: &mut Engine, now: Instant) -> bool {
        let command = self.commands.borrow_mut().pop_front();
        match command {
            None => return false,
            Some(RegistryCommand::Publish(batch)) => {
                let missing = engine.publish(batch, now);
                if !missing.nodes.is_empty() && self.link.is_some() {
                    self.update(RegistryUpdate::Missing(missing));
                }
            }
            Some(RegistryCommand::Load(address)) => {
                if let Some(link) = &mut self.link {
                    link.to_load.push_back(address);
                }
            }
            Some(RegistryCommand::Reconnect(_)) => self.cut(),
            Some(RegistryCommand::Handled) => {}
        }
        true
    }

    /// The relay reads a record or a batch. Returns false if there is nothing to read.
    pub fn read(&mut self, engine: &mut Engine, now: Instant) -> bool {
        let Some(link) = &mut self.link else {
            return false;
        };
        if let Some(address) = link.to_load.pop_front() {
            for part in engine.record(address, now) {
                self.update(part);
            }
        } else if !link.is_loaded {
            link.is_loaded = true;
            self.update(RegistryUpdate::Loaded);
        } else if let Some(batch) = engine.stream.get(link.position) {
            link.position += 1;
            let batch = batch.clone();
            self.update(RegistryUpdate::Batch(batch));
        } else {
            return false;
        }
        true
    }

    /// Whether commands wait, or batches to read.
    pub fn is_busy(&self, engine: &Engine) -> bool {
        let reads = |link: &Link| {
            !link.is_loaded || !link.to_load.is_empty() || link.position < engine.stream.len()
        };
        // A batch waits for more changes.
        let soon = self.machine.now + Duration::from_millis(10);
        let deadline = self.machine.role().next_deadline();
        !self.commands.borrow().is_empty()
            || deadline.is_some_and(|deadline| deadline < soon)
            || self.machine.role().has_work()
            || self.link.as_ref().is_none_or(reads)
    }

    /// Sends lines over a new connection, which is then closed. Returns the answers.
    pub fn ask(&mut self, from: SocketAddr, lines: &str) -> String {
        let (number, text) = self.open(from, None, lines);
        // It may be closed already.
        let _ = self.machine.close(number, &CloseReason::Completed);
        text
    }

    /// The client closes a connection.
    pub fn close(&mut self, number: u32) {
        let closed = self.machine.close(number, &CloseReason::Completed);
        closed.expect("an open connection");
    }

    /// Whether the relay has not closed this connection.
    pub fn is_open(&self, number: u32) -> bool {
        self.machine.is_connected(number)
    }

    /// Sends lines over a new connection that has shown this key. Returns its number, and
    /// the answers.
    pub fn open(&mut self, from: SocketAddr, key: Option<KeyId>, lines: &str) -> (u32, String) {
        let number = self.machine.next_number();
        let error = "a new connection";
        self.machine.accept(number, from).expect(error);
        if let Some(key) = key {
            self.machine.on_encrypted(number, key).expect(error);
        }
        self.machine.observer.clear();
        self.machine.receive(number, lines.as_bytes()).expect(error);
        for _ in 0..1000 {
            if !self.machine.role().has_work() {
                break;
            }
            self.machine.call(Relay::on_timer);
        }
        (number, self.sent_to(number))
    }

    /// What the relay has sent over a connection since the last new one.
    pub fn sent_to(&self, number: u32) -> String {
        let events = self.machine.observer.iter();
        let sent = events.filter_map(|event| match event {
            Event::Sent { to, bytes } if *to == number => Some(bytes.as_slice()),
            _ => None,
        });
        let text = sent.collect::<Vec<_>>().concat();
        String::from_utf8(text).expect("text")
    }

    /// The nodes and files, as clients see them.
    pub fn directory(&mut self, now: Instant) -> BTreeSet<String> {
        self.run(now);
        let from = SocketAddr::from(([127, 0, 0, 1], 1));
        let text = self.ask(from, "LIST\nSEARCH\n");
        let mut lines: BTreeSet<String> = text.lines().map(str::to_owned).collect();
        let names: Vec<String> = lines
            .iter()
            .filter_map(|line| Some(line.splitn(4, ' ').nth(3)?.to_owned()))
            .collect();
        for name in names {
            let holders = self.ask(from, &format!("FIND {name}\n"));
            lines.extend(holders.lines().map(|line| format!("{name}: {line}")));
        }
        lines
    }

    /// A node registers. Returns the epoch and the number of its files.
    pub fn register(&mut self, node: SocketAddr) -> (Option<u64>, u64) {
        let reply = self.ask(node, &format!("REGISTER * {}\n", node.port()));
        let registered = reply.strip_prefix("OK").expect("there is room");
        let registered = Registered::parse(registered.trim_end()).expect("a reply");
        assert_eq!(registered.lease, Duration::from_secs(60));
        (registered.epoch, registered.files)
    }
}
