//! A server without free descriptors serves its connections, and accepts again as soon
//! as a descriptor is free.

use std::process::Command;
use std::time::Duration;

use crate::idle_cpu::assert_does_not_spin;
use crate::support::{Nc, Server, ask, eventually, folder, large_file, relay};

/// The limit on descriptors of the servers in these tests.
const MAX_DESCRIPTORS: usize = 32;

/// Starts a server with a limit on its descriptors.
pub(crate) fn start_with_limit(descriptors: usize, program: &str, args: &[&str]) -> Server {
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(format!("ulimit -n {descriptors}; exec \"$0\" \"$@\""))
        .arg(program)
        .args(args);
    Server::start(command)
}

/// A relay whose connection limit is higher than its descriptor limit.
fn start_relay() -> Server {
    let args = ["0", "--max-connections", "1000"];
    start_with_limit(MAX_DESCRIPTORS, env!("CARGO_BIN_EXE_relay-server"), &args)
}

/// A node that has registered and closed the connection to its relay.
fn start_node(relay: &Server, folder: &std::path::Path) -> Server {
    let port = relay.address().port().to_string();
    let folder = folder.to_str().expect("a temporary folder's name is text");
    let args = ["127.0.0.1", &port, "--share", folder, "--no-hashes"];
    let more = ["--max-connections", "1000", "--log-level", "debug"];
    let args = [&args[..], &more].concat();
    let node = start_with_limit(MAX_DESCRIPTORS, env!("CARGO_BIN_EXE_peer-node"), &args);
    node.log_until(": our relay, ");
    // The line is logged a moment before the descriptor is closed.
    assert_eq!(ask(node.address(), b"PING\n"), "PONG\n");
    node
}

/// Descriptors below the limit. Inherited ones may have higher numbers.
fn open_descriptors(server: &Server) -> usize {
    let entries = std::fs::read_dir(format!("/proc/{}/fd", server.pid()));
    let numbers = entries
        .expect("it runs")
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers
        .filter(|number: &usize| *number < MAX_DESCRIPTORS)
        .count()
}

/// Opens connections until no descriptor is free. Each has sent one request.
fn use_all_descriptors(server: &Server) -> Vec<Nc> {
    let mut connected = Vec::new();
    while open_descriptors(server) < MAX_DESCRIPTORS {
        let mut nc = Nc::connect(server.address());
        assert_eq!(nc.ask("PING"), "PONG");
        connected.push(nc);
    }
    connected
}

#[test]
fn connections_wait_for_a_free_descriptor() {
    let mut relay = start_relay();
    let mut connected = use_all_descriptors(&relay);
    let mut waiting: Vec<Nc> = (0..10).map(|_| Nc::connect(relay.address())).collect();
    for nc in &mut waiting {
        nc.send("PING\n");
    }
    relay.log_until("cannot accept connections for now");
    for nc in &mut connected {
        assert_eq!(nc.ask("PING"), "PONG", "those connected are served on");
    }
    assert_does_not_spin(&mut relay);
    // No client connects: only the freed descriptors can wake the relay.
    connected.truncate(5);
    for nc in &mut waiting {
        assert_eq!(nc.line(), "PONG");
    }
    drop(connected);
    drop(waiting);
    eventually("all are gone", || relay.stat("connections") == 1);
    let log = relay.log();
    let episodes = log.matches("cannot accept connections for now").count();
    // One line for each period without descriptors, not for each attempt.
    let ends = log.matches("accepting connections again").count();
    assert!(episodes - ends <= 1 && episodes < 20, "{log}");
}

#[test]
fn get_without_a_free_descriptor_is_refused() {
    let share = folder(&[("file", b"content")]);
    let relay = relay(&[]);
    let node = start_node(&relay, share.path());
    let mut connected = use_all_descriptors(&node);
    let mut nc = connected.pop().expect("somebody is connected");
    nc.send("GET file\nPING\n");
    assert_eq!(
        nc.rest_text(),
        "ERROR 503 too many open files; try again later\n"
    );
    drop(nc);
    connected.truncate(5);
    eventually("a place is free", || {
        ask(node.address(), b"GET file\n") == "FOUND 7\ncontent"
    });
}

#[test]
fn a_closed_file_does_not_make_the_loop_spin() {
    let size = 64 << 20;
    let share = large_file(size);
    let relay = relay(&[]);
    let mut node = start_node(&relay, share.path());
    let mut reader = Nc::connect(node.address());
    assert_eq!(reader.ask("GET large"), format!("FOUND {size}"));
    // No client is waiting when the last descriptor is used, nor when the file's is
    // freed.
    let connected = use_all_descriptors(&node);
    node.log_until("cannot accept connections for now");
    reader.bytes(usize::try_from(size).expect("it fits"));
    eventually("the file is closed", || {
        open_descriptors(&node) < MAX_DESCRIPTORS
    });
    assert_does_not_spin(&mut node);
    assert_eq!(reader.ask("PING"), "PONG");
    drop(connected);
}

#[test]
fn list_without_a_free_descriptor_is_the_last_list() {
    // An empty list would be wrong.
    let share = folder(&[("folder/file", b"content"), ("other", b"")]);
    let relay = relay(&[]);
    let node = start_node(&relay, share.path());
    let mut connected = use_all_descriptors(&node);
    let nc = connected.last_mut().expect("somebody is connected");
    // The list is out of date and old enough for another scan.
    std::fs::write(share.path().join("third"), "new").expect("a file");
    assert!(nc.is_silent_for(Duration::from_millis(1100)));
    nc.send("LIST\nQUIT\n");
    assert_eq!(
        nc.rest_text(),
        "FILES 2 2\n7 - 1 folder/file\n0 - 1 other\nOK bye\n"
    );
    // The scan succeeds as soon as there are free descriptors.
    drop(connected);
    eventually("the third is listed", || {
        ask(node.address(), b"LIST\n").starts_with("FILES 3 3\n")
    });
}

#[test]
fn default_max_connections_reserves_descriptors_for_files() {
    let share = folder(&[("file", b"content")]);
    let relay = relay(&[]);
    let port = relay.address().port().to_string();
    let path = share.path().to_str().expect("text");
    let args = ["127.0.0.1", &port, "--share", path, "--no-hashes"];
    let args = [&args[..], &["--log-level", "debug"]].concat();
    let node = start_with_limit(64, env!("CARGO_BIN_EXE_peer-node"), &args);
    // The others are for files, refusals, and the node itself.
    let mut connected: Vec<Nc> = (0..20).map(|_| Nc::connect(node.address())).collect();
    for nc in &mut connected {
        assert_eq!(nc.ask("GET file"), "FOUND 7");
        assert_eq!(nc.bytes(7), b"content");
    }
    let reply = ask(node.address(), b"");
    assert_eq!(reply, "ERROR 503 too many connections; try again later\n");
    assert!(
        !node.log().contains("cannot accept"),
        "it never came to that"
    );
}

#[test]
fn get_leaves_the_node_its_descriptors() {
    let share = large_file(64 << 20);
    let relay = relay(&["--lease", "10"]);
    let port = relay.address().port().to_string();
    let path = share.path().to_str().expect("text");
    let args = ["127.0.0.1", &port, "--share", path, "--no-hashes"];
    let node = start_with_limit(128, env!("CARGO_BIN_EXE_peer-node"), &args);
    node.log_until("registered as");
    let mut strangers = Vec::new();
    let mut found = 0;
    for _ in 0..60 {
        let mut nc = Nc::connect_from("127.0.0.2", node.address());
        match nc.ask("GET large").as_str() {
            "ERROR 503 too many open files; try again later" => {
                // Connections alone take no file.
                nc = Nc::connect_from("127.0.0.2", node.address());
                assert_eq!(nc.ask("PING"), "PONG");
            }
            answer => {
                assert_eq!(answer, format!("FOUND {}", 64 << 20));
                found += 1;
            }
        }
        strangers.push(nc);
    }
    // Half of those that may be open at 128 descriptors.
    assert_eq!(found, 8);
    let mut other = Nc::connect_from("127.0.0.3", node.address());
    assert_eq!(other.ask("GET large"), format!("FOUND {}", 64 << 20));
    let before = relay.stat("registrations");
    eventually("the node renews", || {
        relay.stat("registrations") > before + 1
    });
}

/// Linux doubles a full table of descriptors, and with threads the loop stands still for 10 to 20
/// ms each time: 256, 512, 1,024 connections, and so on.
#[test]
fn servers_make_room_for_all_descriptors_when_they_start() {
    const LIMIT: usize = 4096;
    let relay = start_with_limit(LIMIT, env!("CARGO_BIN_EXE_relay-server"), &["0"]);
    let port = relay.address().port().to_string();
    let folder = folder(&[]);
    let share = folder
        .path()
        .to_str()
        .expect("a temporary folder's name is text");
    let args = ["127.0.0.1", &port, "--share", share];
    let node = start_with_limit(LIMIT, env!("CARGO_BIN_EXE_peer-node"), &args);
    for server in [&relay, &node] {
        let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid()));
        let status = status.expect("it runs");
        let room = status.lines().find_map(|line| line.strip_prefix("FDSize:"));
        let room: usize = room
            .and_then(|room| room.trim().parse().ok())
            .expect("a number");
        assert!(room >= LIMIT, "room for {room} descriptors");
    }
}
