//! Runs the node's scripts, with a share in memory. Besides the commands of
//! [`Stage`] and [`Keyboard`] there are these:
//!
//! - `file NAME content=TEXT`, `file NAME size=BYTES` (a large file, sent from the
//!   disk), `file NAME fails=forbidden|busy|broken`; `files COUNT`: files with
//!   numbers as names. `gone NAME`, `all-gone`: removes files. `hash NAME sha256=yes`:
//!   computes the hash of a small file, and its SHA-256. These commands are allowed
//!   before `node` and after it.
//! - `node relay=IP:PORT… seed=N advertise=IP`: starts a node on port 40001. A second
//!   node starts without files. `next-relay=IP:PORT`: another relay, `unresolved=yes`: one
//!   whose name has not been resolved; both are repeatable. `relay IP:PORT… index=N`: the
//!   relay of this index has these addresses. `node messages=yes`: the node receives messages.
//!   `node downloads=N`: the node has a console and at most so many concurrent
//!   downloads. Downloaded content is shown, and not added to the share, or is not stored
//!   with `fails=full-disk`.
//! - `type-numbered LINE count=TIMES`: types the line several times, with a number
//!   from 1 on appended. Shows only how many prompts followed.
//! - `answer IP PORT TEXT relay=N`: a program answers a message of the relay of this index.
//! - `http N ADDRESS HEADER… method=METHOD`: requests the address in HTTP. Shows the responses
//!   without the headers that all responses have. `http-status`: shows only the status.
//! - `brief N LINE count=TIMES`: as `say`, but shows only the ends of a long output.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use goldenscript::{Command, Context};
use peerline::close_reason::CloseReason;
use peerline::jobs::{self, JobRunner, PeerSource};
use peerline::limits::JobLimits;
use peerline::node::{Console, Node, NodeMessage, Registrar};
use peerline::protocol::{
    ClaimedIp, ContentHash, MaybeHash, NodeAddress, Port, Registered, Sha256Digest, Text, canonical,
};
use peerline::role::Role;

use crate::keyboard::Keyboard;
use crate::memory::{Entry, Files, Memory};
use crate::recording_user::{FailingCall, RecordingUser};
use crate::stage::{Stage, StageResult, abbreviate};

#[derive(Default)]
pub struct Play {
    files: Rc<RefCell<Files>>,
    stage: Option<Stage<Node<Memory>>>,
    keyboard: Keyboard,
}

impl Play {
    fn file(&mut self, command: &Command) -> StageResult {
        let mut args = command.consume_args();
        let name = args.next_pos().ok_or("which name?")?;
        let entry = match args.next_key().ok_or("what is in it?")? {
            ("content", text) => Entry::Small(text.to_owned()),
            ("size", bytes) => Entry::Large(bytes.parse()?),
            ("fails", "forbidden") => Entry::Forbidden,
            ("fails", "busy") => Entry::Busy,
            ("fails", "broken") => Entry::Broken,
            (key, value) => return Err(format!("no file has {key}={value}").into()),
        };
        self.change(|entries| entries.insert(name.to_owned(), entry));
        args.reject_next()
    }

    fn files(&mut self, command: &Command) -> StageResult {
        let mut args = command.consume_args();
        let count: u32 = args.next_pos().ok_or("how many?")?.parse()?;
        let names = (1..=count).map(|number| format!("{number:05}"));
        let files = names.map(|name| (name, Entry::Small("x".into())));
        self.change(|entries| entries.extend(files));
        args.reject_next()
    }

    fn gone(&mut self, command: &Command) -> StageResult {
        let mut args = command.consume_args();
        let name = args.next_pos().ok_or("which name?")?;
        self.change(|entries| entries.remove(name))
            .ok_or("it is not there")?;
        args.reject_next()
    }

    /// Computes the hash of a small file, and its SHA-256 if asked to.
    fn hash(&mut self, command: &Command) -> StageResult {
        let mut args = command.consume_args();
        let name = args.next_pos().ok_or("which name?")?;
        let content = match self.change(|entries| entries.get(name).cloned()) {
            Some(Entry::Small(content)) => content,
            _ => return Err("it is no small file".into()),
        };
        let mut files = self.files.borrow_mut();
        files.put_hash(name, MaybeHash(Some(ContentHash::of(content.as_bytes()))));
        if args.take_key("sha256") == Some("yes") {
            files.put_sha256(name, Sha256Digest::of(content.as_bytes()));
        }
        args.reject_next()
    }

    fn change<T>(&mut self, change: impl FnOnce(&mut BTreeMap<String, Entry>) -> T) -> T {
        self.files.borrow_mut().change(change)
    }

    fn start(&mut self, command: &Command) -> StageResult {
        let mut args = command.consume_args();
        let (mut relay, mut seed, mut advertise) = (Vec::new(), 1, ClaimedIp::Source);
        let mut relays = Vec::new();
        let (mut receives_messages, mut has_name, mut downloads) = (false, false, 0);
        let mut failing_call = None;
        while let Some((key, value)) = args.next_key() {
            match key {
                "relay" => relay.push(value.parse()?),
                "next-relay" => relays.push(vec![value.parse()?]),
                "unresolved" if value == "yes" => relays.push(Vec::new()),
                "seed" => seed = value.parse()?,
                "advertise" => advertise = ClaimedIp::Address(canonical(value.parse()?)),
                "downloads" => downloads = value.parse()?,
                "fails" if value == "full-disk" => failing_call = Some(FailingCall::FullDisk),
                "messages" => receives_messages = value == "yes",
                "name" => has_name = value == "yes",
                key => return Err(format!("a node has no {key}").into()),
            }
        }
        if relay.is_empty() {
            relay.push(([192, 0, 2, 1], 4000).into());
        }
        if self.stage.is_some() {
            // The files that were there are those of the last node.
            self.files = Rc::default();
        }
        let share = Memory::new(Rc::clone(&self.files));
        let now = Instant::now();
        let port = Port::new(40_001).ok_or("a port is not zero")?;
        let (sender, events) = channel();
        relays.insert(0, relay);
        let (mut registrars, mut sources) = (Vec::new(), Vec::new());
        for (relay, number) in relays.into_iter().zip(1..) {
            let name = format!("relay {number}");
            let mut registrar =
                Registrar::new(relay.clone(), advertise, port, seed, now).named(&name);
            if has_name {
                let (sender, name) = (sender.clone(), name.clone());
                registrar.look_up_relay = Some(Box::new(move || {
                    let text = match number {
                        1 => "looks the relay up".into(),
                        _ => format!("looks {name} up"),
                    };
                    let _ = sender.send(text);
                }));
            }
            registrars.push(registrar);
            sources.push(PeerSource::relay(name, relay));
        }
        let mut user = RecordingUser::new(sender.clone());
        user.names_jobs = true;
        user.failing_call = failing_call;
        let mut node = Node::new(share, registrars, 10, now, move |event| {
            // At the end of the script the receiver is dropped first.
            let _ = sender.send(format!("event: {event}"));
        });
        if receives_messages {
            node.receive_messages(seed);
        }
        if downloads > 0 {
            let limits = JobLimits {
                head_size: 0,
                ..JobLimits::default()
            };
            let mut jobs = JobRunner::new(user, sources, limits);
            jobs.set_may_choose(true);
            node.console = Some(Console::new(jobs, downloads));
        }
        self.stage = Some(Stage::new(node, now, events, |file| file.0.clone()));
        args.reject_next()
    }

    /// Sends a request in HTTP. Returns these lines of what follows.
    fn http(&mut self, command: &Command, is_shown: fn(&str) -> bool) -> StageResult<String> {
        let mut args = command.consume_args();
        let conn = args.next_pos().ok_or("which connection?")?.parse()?;
        let target = args.next_pos().ok_or("which address?")?;
        let method = args.take_key("method").unwrap_or("GET");
        let mut head = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n");
        while let Some(header) = args.next_pos() {
            head += header;
            head += "\r\n";
        }
        head += "\r\n";
        args.reject_next()?;
        let stage = self.stage.as_mut().ok_or("start with: node")?;
        stage.allow_http();
        stage.arrive(conn, head.as_bytes())?;
        let seen = stage.take_text();
        let shown = seen.lines().filter(|line| is_shown(line));
        Ok(shown.map(|line| line.replace('\r', "") + "\n").collect())
    }
}

/// Whether this is the line of a header that all responses have.
fn is_common_header(line: &str) -> bool {
    let header = line.split(" < ").nth(1).unwrap_or_default();
    let names = ["Date: ", "X-", "Referrer-", "Cross-"];
    names.iter().any(|name| header.starts_with(name))
}

impl goldenscript::Runner for Play {
    type Command = Command;

    fn run(&mut self, command: &Command, _: &Context) -> StageResult<String> {
        if let Some(event) = self.keyboard.press(command)? {
            let stage = self.stage.as_mut().ok_or("start with: node")?;
            stage.call(|node, context| node.on_message(context, NodeMessage::Terminal(event)));
            return Ok(stage.take_text() + &self.keyboard.completed());
        }
        match command.name.as_str() {
            "file" => self.file(command)?,
            "files" => self.files(command)?,
            "gone" => self.gone(command)?,
            "hash" => self.hash(command)?,
            "all-gone" => self.change(BTreeMap::clear),
            "node" => self.start(command)?,
            "relay" => {
                let mut args = command.consume_args();
                let index = args.take_key("index").map_or(Ok(0), str::parse)?;
                let mut relay = Vec::new();
                while let Some(address) = args.next_pos() {
                    relay.push(address.parse()?);
                }
                let message = NodeMessage::RelayAddresses(index, relay);
                let stage = self.stage.as_mut().ok_or("start with: node")?;
                stage.call(|node, context| node.on_message(context, message));
            }
            "answer" => {
                let mut args = command.consume_args();
                let ip = args.next_pos().ok_or("which address?")?.parse()?;
                let port = args.next_pos().ok_or("which port?")?.parse()?;
                let to = NodeAddress::new(ip, Port::new(port).ok_or("no port")?)?;
                let text = Text::parse(args.next_pos().ok_or("which text?")?)?.into_owned();
                let stage = self.stage.as_mut().ok_or("start with: node")?;
                let relay = args.take_key("relay").map_or(Ok(0), str::parse)?;
                let message = NodeMessage::Answer(relay, to, text);
                stage.call(|node, context| node.on_message(context, message));
            }
            "type-numbered" => {
                let mut args = command.consume_args();
                let line = args.next_pos().ok_or("which line?")?;
                let count: u32 = args.take_key("count").ok_or("how often?")?.parse()?;
                let stage = self.stage.as_mut().ok_or("start with: node")?;
                for number in 1..=count {
                    let typed = jobs::TerminalEvent::Typed(format!("{line}{number}"));
                    stage.call(|node, context| {
                        node.on_message(context, NodeMessage::Terminal(typed));
                    });
                }
                let prompts = stage
                    .take_text()
                    .lines()
                    .filter(|line| *line == "ready")
                    .count();
                return Ok(format!("ready {prompts} times"));
            }
            "http" => return self.http(command, |line| !is_common_header(line)),
            "http-status" => return self.http(command, |line| line.contains(" < HTTP/1.1 ")),
            "brief" => {
                let mut args = command.consume_args();
                let conn = args.next_pos().ok_or("which connection?")?.parse()?;
                let line = args.next_pos().ok_or("which line?")?;
                let count = args.take_key("count").map_or(Ok(1), str::parse)?;
                let stage = self.stage.as_mut().ok_or("start with: node")?;
                stage.arrive(conn, format!("{line}\n").repeat(count).as_bytes())?;
                return Ok(abbreviate(&stage.take_text()));
            }
            _ => self
                .stage
                .as_mut()
                .ok_or("start with: node")?
                .run(command)?,
        }
        let seen = self
            .stage
            .as_mut()
            .map(Stage::take_text)
            .unwrap_or_default();
        // A script whose results had these would count as one with such line ends throughout.
        Ok(seen.replace('\r', "") + &self.keyboard.completed())
    }
}

/// A registrar whose first attempt is in progress.
fn connecting_registrar(seed: u64, now: Instant) -> Registrar {
    let relay = vec![([192, 0, 2, 1], 4000).into()];
    let mut registrar = Registrar::new(relay, ClaimedIp::Source, Port::MIN, seed, now);
    assert!(registrar.dial(now).is_some());
    registrar
}

/// The time until the next attempt.
fn pause(registrar: &Registrar, now: Instant) -> Duration {
    registrar.next_deadline().expect("an attempt is due") - now
}

#[test]
fn renewals_of_many_nodes_are_spread_within_bounds() {
    let now = Instant::now();
    let pauses = (0..1000).map(|seed| {
        let mut registrar = connecting_registrar(seed, now);
        let registered = Registered::parse("60 198.51.100.9 1 0").expect("a reply");
        registrar.on_registered(now, registered);
        pause(&registrar, now)
    });
    let (least, most) = extremes(pauses);
    assert!(least >= Duration::from_secs(18) && least < Duration::from_millis(18_100));
    assert!(most <= Duration::from_secs(20) && most > Duration::from_millis(19_900));
}

#[test]
fn retries_of_many_nodes_are_spread_within_bounds() {
    for (failures, seconds) in [1, 2, 4, 8, 16, 30, 30].into_iter().enumerate() {
        let pauses = (0..1000).map(|seed| {
            let mut now = Instant::now();
            let mut registrar = connecting_registrar(seed, now);
            registrar.on_failure(now, &CloseReason::ConnectTimeout);
            for _ in 0..failures {
                now += pause(&registrar, now);
                assert!(registrar.dial(now).is_some());
                registrar.on_failure(now, &CloseReason::ConnectTimeout);
            }
            pause(&registrar, now)
        });
        let (least, most) = extremes(pauses);
        let middle = Duration::from_secs(seconds);
        assert!(least >= middle.mul_f64(0.75) && least < middle.mul_f64(0.8));
        assert!(most <= middle && most > middle.mul_f64(0.95));
    }
}

fn extremes(pauses: impl Iterator<Item = Duration>) -> (Duration, Duration) {
    pauses.fold((Duration::MAX, Duration::ZERO), |(least, most), pause| {
        (least.min(pause), most.max(pause))
    })
}
