//! A directory of a million entries: renewals, look-ups, and what an entry costs.

use std::fs;
use std::io;

use super::served::{Served, by_udp, fill, loaded};
use super::{Bench, REQUESTS, ROUNDS};
use crate::datagrams::Datagrams;
use crate::exchange::{Exchange, Form};
use crate::load::Load;
use crate::process::Server;
use crate::report::{Outcome, Unit};
use crate::series::{Series, alternate};
use crate::{ours, peers};

/// Entries.
const MANY: u32 = 1_000_000;
/// Entries of the small directory that the large one is compared with.
const FEW: u32 = 1_000;
/// Our relay with the small directory.
const SMALL: &str = "relay of 1,000";

/// A node's address; it has the same length for all.
const NODE: &str = "10.1#0.1#1.1#2 4000";
/// The node that has a file: a hundred files each.
const HOLDER: &str = "10.1#0.1#1.100 4000";
/// A file's name.
const FILE: &str = "music/album #0/disc #1/track #2.flac";

const MEMORY: Unit = Unit {
    name: "bytes an entry",
    more_is_better: false,
    each: "entry",
};

/// What is asked of the directory, and what must be reached with requests in
/// flight: the other demands are the same.
struct Question {
    name: &'static str,
    about: &'static str,
    request: String,
    reply: String,
    /// Fills the relay with so many entries.
    fill: fn(&Server, u32) -> io::Result<()>,
    pipelined_at_least: f64,
}

impl Question {
    fn exchange(&self, numbers: u32) -> Exchange {
        Exchange::exact(self.request.clone(), self.reply.clone(), numbers)
    }
}

/// Nodes that renew their leases.
pub(super) fn register(bench: &Bench) -> io::Result<Vec<Outcome>> {
    let question = Question {
        name: "register",
        about: "renewals among a million nodes",
        request: format!("REGISTER {NODE}\n"),
        reply: format!("OK 86400 {NODE} 0\n"),
        fill: enrol,
        pipelined_at_least: 1.4,
    };
    let mut all = Filled::default();
    all.add_relay("relay", &question, MANY)?;
    if let Some(server) = peers::redis()? {
        let set = resp(&["SETEX", "node:#0#1#2", "86400", NODE]);
        let set = || Exchange::exact(set.clone(), "+OK\r\n", MANY);
        all.add("redis", server, set(), |server| fill(server, set()))?;
    }
    if let Some(server) = peers::memcached()? {
        let length = NODE.len();
        let set = format!("set node:#0#1#2 0 86400 {length}\r\n{NODE}\r\n");
        let set = || Exchange::exact(set.clone(), "STORED\r\n", MANY);
        all.add("memcached", server, set(), |server| fill(server, set()))?;
    }
    let memory = all.add_limits(&question)?;
    let node = memory[0].figures[0];
    let mut outcomes = ask(bench, &question, &all.served)?;
    outcomes.push(
        Outcome::new(
            "register-memory",
            "memory for a node, among a million",
            MEMORY,
            memory,
        )
        .at_most("bytes a node", 125.0, node),
    );
    Ok(outcomes)
}

/// Who has a file?
pub(super) fn find(bench: &Bench) -> io::Result<Vec<Outcome>> {
    let question = Question {
        name: "find",
        about: "look-ups among a million files",
        request: format!("FIND {FILE}\n"),
        reply: format!("HOLDERS 1\n{HOLDER} 1024 -\n"),
        fill: share,
        pipelined_at_least: 1.15,
    };
    let value = format!("{HOLDER} 1024 -");
    let length = value.len();
    let mut all = Filled::default();
    all.add_relay("relay", &question, MANY)?;
    if let Some(server) = peers::redis()? {
        let set = resp(&["SETEX", FILE, "86400", &value]);
        let set = Exchange::exact(set, "+OK\r\n", MANY);
        let reply = format!("${length}\r\n{value}\r\n");
        let get = Exchange::exact(resp(&["GET", FILE]), reply, MANY);
        all.add("redis", server, get, |server| fill(server, set))?;
    }
    if let Some(server) = peers::memcached()? {
        // A key must not hold blanks.
        let key = FILE.replace(' ', "-");
        let set = format!("set {key} 0 86400 {length}\r\n{value}\r\n");
        let set = Exchange::exact(set, "STORED\r\n", MANY);
        let reply = format!("VALUE {key} 0 {length}\r\n{value}\r\nEND\r\n");
        let get = Exchange::exact(format!("get {key}\r\n"), reply, MANY);
        all.add("memcached", server, get, |server| fill(server, set))?;
    }
    let memory = all.add_limits(&question)?;
    let name = FILE.len();
    let file = memory[0].figures[0] - name as f64;
    let mut outcomes = ask(bench, &question, &all.served)?;
    let title = format!("memory for a file of one holder, its name of {name} bytes included");
    outcomes.push(Outcome::new("find-memory", title, MEMORY, memory).at_most(
        "bytes a file without its name",
        160.0,
        file,
    ));
    Ok(outcomes)
}

/// One request at a time, many in flight, and by UDP.
fn ask(bench: &Bench, question: &Question, all: &[Served]) -> io::Result<Vec<Outcome>> {
    let Question { name, about, .. } = question;
    let one = format!("{about}, 64 connections with 1 in flight");
    let pipelined = format!("{about}, 16 connections with 16 in flight");
    let udp = format!("{about}, by UDP with a cookie, 64 in flight (redis: 64 connections)");
    Ok(vec![
        Outcome::new(format!("{name}-64x1"), one, REQUESTS, loaded(all, 64, 1)?)
            .at_least(1.1, "redis")
            .at_least(0.9, "limit")
            .at_least(0.75, SMALL),
        Outcome::new(
            format!("{name}-16x16"),
            pipelined,
            REQUESTS,
            loaded(all, 16, 16)?,
        )
        .at_least(question.pipelined_at_least, "redis")
        .at_least(0.85, "limit")
        .at_least(0.25, SMALL),
        Outcome::new(
            format!("{name}-udp"),
            udp,
            REQUESTS,
            ask_by_udp(bench, question, all)?,
        )
        .at_least(1.2, "redis"),
    ])
}

/// The relay and the limit program by UDP, Redis as above.
fn ask_by_udp(bench: &Bench, question: &Question, all: &[Served]) -> io::Result<Vec<Series>> {
    let Question { request, reply, .. } = question;
    let datagrams = |server: &Server| Datagrams::new(server.address, request, reply, MANY, 64);
    let file = bench.disk().join(format!("{}-reply", question.name));
    fs::write(&file, format!("TAG #0#1#2\n{reply}"))?;
    let limit = ours::limit("datagrams", &[&file.to_string_lossy()])?;
    let relay = &all[0].server;
    let mut contenders = vec![by_udp("relay by UDP", relay, datagrams(relay)?)];
    if let Some(redis) = all.iter().find(|served| served.name == "redis") {
        let load = Load::new(redis.server.address, vec![redis.group(64, 1)])?;
        contenders.push(redis.contender(load));
    }
    contenders.push(by_udp("limit by UDP", &limit, datagrams(&limit)?));
    alternate(ROUNDS, contenders)
}

/// Registers the nodes of the first so many numbers.
fn enrol(server: &Server, numbers: u32) -> io::Result<()> {
    let reply = format!("OK 86400 {NODE} 0\n");
    fill(
        server,
        Exchange::exact(format!("REGISTER {NODE}\n"), reply, numbers),
    )
}

/// Shares the files of the first so many numbers, each by its holder.
pub(super) fn share(server: &Server, numbers: u32) -> io::Result<()> {
    let request = format!("REGISTER {HOLDER}\nSHARE 1024 - {FILE}\n");
    // The first line of the answer also counts the node's files.
    let exchange = Exchange {
        form: Form::Lines(2),
        ..Exchange::exact(request, "OK", numbers)
    };
    fill(server, exchange)
}

/// Servers, and how much memory each entry has taken.
#[derive(Default)]
struct Filled {
    served: Vec<Served>,
    memory: Vec<Series>,
}

impl Filled {
    fn add(
        &mut self,
        name: &'static str,
        server: Server,
        exchange: Exchange,
        fill: impl FnOnce(&Server) -> io::Result<()>,
    ) -> io::Result<()> {
        let before = server.memory()?;
        fill(&server)?;
        let grown = server.memory()?.saturating_sub(before);
        let figure = grown as f64 / f64::from(exchange.numbers);
        self.memory.push(Series::once(name, figure));
        self.served.push(Served::new(name, server, exchange));
        Ok(())
    }

    /// A relay whose leases outlive the benchmark.
    fn add_relay(
        &mut self,
        name: &'static str,
        question: &Question,
        entries: u32,
    ) -> io::Result<()> {
        let relay = ours::relay(&["--lease", "86400"])?;
        self.add(name, relay, question.exchange(entries), |server| {
            (question.fill)(server, entries)
        })
    }

    /// The limit program, and a relay with few entries. Returns what an entry has
    /// taken of the others' memory.
    fn add_limits(&mut self, question: &Question) -> io::Result<Vec<Series>> {
        let limit = ours::limit("directory", &[])?;
        self.add("limit", limit, question.exchange(MANY), |server| {
            (question.fill)(server, MANY)
        })?;
        let memory = std::mem::take(&mut self.memory);
        self.add_relay(SMALL, question, FEW)?;
        Ok(memory)
    }
}

/// A command of Redis.
fn resp(words: &[&str]) -> String {
    // A pair of digits is as long as its mark.
    let word = |word: &&str| format!("${}\r\n{word}\r\n", word.len());
    let words: Vec<String> = words.iter().map(word).collect();
    format!("*{}\r\n{}", words.len(), words.concat())
}
