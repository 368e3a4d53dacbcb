//! A directory of a million entries: renewals, look-ups, and the memory of an entry.

use std::fs;
use std::io;

use super::server_under_load::{ServerUnderLoad, fill, run_tcp, udp_contender};
use super::{PRIVATE_MEMORY, REQUESTS, ROUNDS, ScratchFolders};
use crate::process::Server;
use crate::report::{Comparison, Unit};
use crate::request_spec::{EPOCH, ReplyFormat, RequestSpec};
use crate::rounds::{Series, run_rounds};
use crate::tcp_load::TcpLoad;
use crate::udp_load::UdpLoad;
use crate::{other_servers, own_programs};

/// Entries of the directory.
pub(super) const MANY: u32 = 1_000_000;
/// Entries of a small directory for comparison.
const FEW: u32 = 1_000;
/// The contender with the small directory.
const SMALL: &str = "relay of 1,000";

/// The address of a node. It has the same length for all numbers.
pub(super) const NODE: &str = "10.1#0.1#1.1#2 4000";
/// The holder of a file. Each holds a hundred files.
const HOLDER: &str = "10.1#0.1#1.100 4000";
/// The name of a file.
const FILE: &str = "music/album #0/disc #1/track #2.flac";

const MEMORY: Unit = Unit {
    name: "bytes an entry",
    more_is_better: false,
    each: "entry",
};

/// A kind of query and its demands.
struct DirectoryQuery {
    name: &'static str,
    about: &'static str,
    request: String,
    reply: String,
    /// Adds entries to a relay.
    fill: fn(&Server, u32) -> io::Result<()>,
    pipelined_at_least: f64,
}

impl DirectoryQuery {
    fn spec(&self, numbers: u32) -> RequestSpec {
        RequestSpec::exact(self.request.clone(), self.reply.clone(), numbers)
    }
}

/// Renewals of leases.
pub(super) fn register(scratch: &ScratchFolders) -> io::Result<Vec<Comparison>> {
    let query = DirectoryQuery {
        name: "register",
        about: "renewals among a million nodes",
        request: format!("REGISTER {NODE}\n"),
        reply: format!("OK 86400 {NODE} 0 {EPOCH}\n"),
        fill: register_nodes,
        pipelined_at_least: 1.4,
    };
    let mut all = FilledServers::default();
    all.add_relay("relay", &query, MANY)?;
    if let Some(server) = other_servers::redis()? {
        let set = resp(&["SETEX", "node:#0#1#2", "86400", NODE]);
        let set = || RequestSpec::exact(set.clone(), "+OK\r\n", MANY);
        all.add("redis", server, set(), |server| fill(server, set()))?;
    }
    if let Some(server) = other_servers::memcached()? {
        let length = NODE.len();
        let set = format!("set node:#0#1#2 0 86400 {length}\r\n{NODE}\r\n");
        let set = || RequestSpec::exact(set.clone(), "STORED\r\n", MANY);
        all.add("memcached", server, set(), |server| fill(server, set()))?;
    }
    let memory = all.add_limits(&query)?;
    let node = memory[0].figures[0];
    let mut comparisons = ask(scratch, &query, &all.server_under_load)?;
    comparisons.push(
        Comparison::new(
            "register-memory",
            "memory for a node, among a million",
            MEMORY,
            memory,
        )
        .at_most("bytes a node", 125.0, node),
    );
    Ok(comparisons)
}

/// FIND.
pub(super) fn find(scratch: &ScratchFolders) -> io::Result<Vec<Comparison>> {
    let query = DirectoryQuery {
        name: "find",
        about: "look-ups among a million files",
        request: format!("FIND {FILE}\n"),
        reply: format!("HOLDERS 1\n{HOLDER} 1024 -\n"),
        fill: share_files,
        pipelined_at_least: 1.15,
    };
    let value = format!("{HOLDER} 1024 -");
    let length = value.len();
    let mut all = FilledServers::default();
    all.add_relay("relay", &query, MANY)?;
    if let Some(server) = other_servers::redis()? {
        let set = resp(&["SETEX", FILE, "86400", &value]);
        let set = RequestSpec::exact(set, "+OK\r\n", MANY);
        let reply = format!("${length}\r\n{value}\r\n");
        let get = RequestSpec::exact(resp(&["GET", FILE]), reply, MANY);
        all.add("redis", server, get, |server| fill(server, set))?;
    }
    if let Some(server) = other_servers::memcached()? {
        // A memcached key must not contain blanks.
        let key = FILE.replace(' ', "-");
        let set = format!("set {key} 0 86400 {length}\r\n{value}\r\n");
        let set = RequestSpec::exact(set, "STORED\r\n", MANY);
        let reply = format!("VALUE {key} 0 {length}\r\n{value}\r\nEND\r\n");
        let get = RequestSpec::exact(format!("get {key}\r\n"), reply, MANY);
        all.add("memcached", server, get, |server| fill(server, set))?;
    }
    let memory = all.add_limits(&query)?;
    let name = FILE.len();
    let file = memory[0].figures[0] - name as f64;
    let mut comparisons = ask(scratch, &query, &all.server_under_load)?;
    let title = format!("memory for a file of one holder, its name of {name} bytes included");
    comparisons.push(
        Comparison::new("find-memory", title, MEMORY, memory).at_most(
            "bytes a file without its name",
            160.0,
            file,
        ),
    );
    Ok(comparisons)
}

/// Compares one request at a time, many in flight, and UDP.
fn ask(
    scratch: &ScratchFolders,
    query: &DirectoryQuery,
    all: &[ServerUnderLoad],
) -> io::Result<Vec<Comparison>> {
    let DirectoryQuery { name, about, .. } = query;
    let one = format!("{about}, 64 connections with 1 in flight");
    let pipelined = format!("{about}, 16 connections with 16 in flight");
    let udp = format!("{about}, by UDP with a cookie, 64 in flight (redis: 64 connections)");
    Ok(vec![
        Comparison::new(format!("{name}-64x1"), one, REQUESTS, run_tcp(all, 64, 1)?)
            .at_least(1.1, "redis")
            .at_least(0.9, "limit")
            .at_least(0.75, SMALL),
        Comparison::new(
            format!("{name}-16x16"),
            pipelined,
            REQUESTS,
            run_tcp(all, 16, 16)?,
        )
        .at_least(query.pipelined_at_least, "redis")
        .at_least(0.85, "limit")
        .at_least(0.25, SMALL),
        Comparison::new(
            format!("{name}-udp"),
            udp,
            REQUESTS,
            compare_udp(scratch, query, all)?,
        )
        .at_least(1.2, "redis"),
    ])
}

/// Compares the relay and the limit program over UDP with Redis over TCP.
fn compare_udp(
    scratch: &ScratchFolders,
    query: &DirectoryQuery,
    all: &[ServerUnderLoad],
) -> io::Result<Vec<Series>> {
    let DirectoryQuery { request, reply, .. } = query;
    let datagrams = |server: &Server| UdpLoad::new(server.address, request, reply, MANY, 64);
    let file = scratch.disk().join(format!("{}-reply", query.name));
    fs::write(&file, format!("TAG #0#1#2\n{reply}"))?;
    let limit = own_programs::limit("udp-server", &[&file.to_string_lossy()])?;
    let relay = &all[0].server;
    let mut contenders = vec![udp_contender("relay by UDP", relay, datagrams(relay)?)];
    if let Some(redis) = all
        .iter()
        .find(|server_under_load| server_under_load.name == "redis")
    {
        let load = TcpLoad::new(redis.server.address, vec![redis.group(64, 1)])?;
        contenders.push(redis.contender(load));
    }
    contenders.push(udp_contender("limit by UDP", &limit, datagrams(&limit)?));
    run_rounds(ROUNDS, contenders)
}

/// Registers the nodes with numbers below `numbers`.
fn register_nodes(server: &Server, numbers: u32) -> io::Result<()> {
    let reply = format!("OK 86400 {NODE} 0 {EPOCH}\n");
    fill(
        server,
        RequestSpec::exact(format!("REGISTER {NODE}\n"), reply, numbers),
    )
}

/// Look-ups among the files with numbers below `numbers`.
pub(super) fn find_file(numbers: u32) -> RequestSpec {
    let reply = format!("HOLDERS 1\n{HOLDER} 1024 -\n");
    RequestSpec::exact(format!("FIND {FILE}\n"), reply, numbers)
}

/// Registers the holders and shares the files with numbers below `numbers`.
pub(super) fn share_files(server: &Server, numbers: u32) -> io::Result<()> {
    let request = format!("REGISTER {HOLDER}\nSHARE 1024 - {FILE}\n");
    // The first line of the reply contains the number of the node's files.
    let spec = RequestSpec {
        format: ReplyFormat::Lines(2),
        ..RequestSpec::exact(request, "OK", numbers)
    };
    fill(server, spec)
}

/// Servers with entries, and their memory for each entry.
#[derive(Default)]
struct FilledServers {
    server_under_load: Vec<ServerUnderLoad>,
    memory: Vec<Series>,
}

impl FilledServers {
    fn add(
        &mut self,
        name: &'static str,
        server: Server,
        spec: RequestSpec,
        fill: impl FnOnce(&Server) -> io::Result<()>,
    ) -> io::Result<()> {
        let before = server.memory(PRIVATE_MEMORY)?;
        fill(&server)?;
        let grown = server.memory(PRIVATE_MEMORY)?.saturating_sub(before);
        let figure = grown as f64 / f64::from(spec.numbers);
        self.memory.push(Series::once(name, figure));
        self.server_under_load
            .push(ServerUnderLoad::new(name, server, spec));
        Ok(())
    }

    /// Adds a relay whose leases outlive the benchmark.
    fn add_relay(
        &mut self,
        name: &'static str,
        query: &DirectoryQuery,
        entries: u32,
    ) -> io::Result<()> {
        let relay = own_programs::relay(&["--lease", "86400"])?;
        self.add(name, relay, query.spec(entries), |server| {
            (query.fill)(server, entries)
        })
    }

    /// Adds the limit program, and a relay with few entries. Returns the memory for an
    /// entry of the others.
    fn add_limits(&mut self, query: &DirectoryQuery) -> io::Result<Vec<Series>> {
        let limit = own_programs::limit("directory", &[])?;
        self.add("limit", limit, query.spec(MANY), |server| {
            (query.fill)(server, MANY)
        })?;
        let memory = std::mem::take(&mut self.memory);
        self.add_relay(SMALL, query, FEW)?;
        Ok(memory)
    }
}

/// A Redis command in RESP.
fn resp(words: &[&str]) -> String {
    // A placeholder has the length of its digits.
    let word = |word: &&str| format!("${}\r\n{word}\r\n", word.len());
    let words: Vec<String> = words.iter().map(word).collect();
    format!("*{}\r\n{}", words.len(), words.concat())
}
