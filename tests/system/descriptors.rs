//! A server that runs out of descriptors steps back, serves those it has, and
//! goes on as soon as one is free.

use std::process::Command;
use std::time::Duration;

use crate::idle_cpu::assert_does_not_spin;
use crate::support::{Nc, Server, ask, eventually, folder, large_file, relay};

/// So many descriptors the servers of these tests may have.
const DESCRIPTORS: usize = 32;

/// Starts a server that may not have more descriptors.
fn start(descriptors: usize, program: &str, args: &[&str]) -> Server {
    let mut command = Command::new("sh");
    command
        .arg("-c")
        .arg(format!("ulimit -n {descriptors}; exec \"$0\" \"$@\""))
        .arg(program)
        .args(args);
    Server::start(command)
}

/// It believes in more connections than it has descriptors.
fn start_relay() -> Server {
    let args = ["0", "--max-connections", "1000"];
    start(DESCRIPTORS, env!("CARGO_BIN_EXE_relay-server"), &args)
}

/// It has told its relay what it has to say: that connection is closed.
fn start_node(relay: &Server, folder: &std::path::Path) -> Server {
    let port = relay.address().port().to_string();
    let folder = folder.to_str().expect("a temporary folder's name is text");
    let args = ["127.0.0.1", &port, "--share", folder, "--no-hashes"];
    let more = ["--max-connections", "1000", "--log-level", "debug"];
    let args = [&args[..], &more].concat();
    let node = start(DESCRIPTORS, env!("CARGO_BIN_EXE_peer-node"), &args);
    node.log_until(": our relay, ");
    // The line is written a moment before the descriptor is free.
    assert_eq!(ask(node.address(), b"PING\n"), "PONG\n");
    node
}

/// Those that count: what was inherited may have a higher number.
fn open_descriptors(server: &Server) -> usize {
    let entries = std::fs::read_dir(format!("/proc/{}/fd", server.pid()));
    let numbers = entries
        .expect("it runs")
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    numbers
        .filter(|number: &usize| *number < DESCRIPTORS)
        .count()
}

/// Connections until no descriptor is left; each was heard.
fn exhaust(server: &Server) -> Vec<Nc> {
    let mut inside = Vec::new();
    while open_descriptors(server) < DESCRIPTORS {
        let mut nc = Nc::connect(server.address());
        assert_eq!(nc.ask("PING"), "PONG");
        inside.push(nc);
    }
    inside
}

#[test]
fn connections_wait_while_no_descriptor_is_left() {
    let mut relay = start_relay();
    let mut inside = exhaust(&relay);
    let mut waiting: Vec<Nc> = (0..10).map(|_| Nc::connect(relay.address())).collect();
    for nc in &mut waiting {
        nc.send("PING\n");
    }
    relay.log_until("cannot accept connections for now");
    for nc in &mut inside {
        assert_eq!(nc.ask("PING"), "PONG", "those inside are served on");
    }
    assert_does_not_spin(&mut relay);
    // No new connect: nothing but the freed places can wake the relay.
    inside.truncate(5);
    for nc in &mut waiting {
        assert_eq!(nc.line(), "PONG");
    }
    drop(inside);
    drop(waiting);
    eventually("all are gone", || relay.stat("connections") == 1);
    let log = relay.log();
    let episodes = log.matches("cannot accept connections for now").count();
    // Each line stands for one episode that ended, not for one try of many.
    let ends = log.matches("accepting connections again").count();
    assert!(episodes - ends <= 1 && episodes < 20, "{log}");
}

#[test]
fn a_get_without_a_descriptor_left_is_refused_and_the_node_goes_on() {
    let share = folder(&[("file", b"content")]);
    let relay = relay(&[]);
    let node = start_node(&relay, share.path());
    let mut inside = exhaust(&node);
    let mut nc = inside.pop().expect("somebody is inside");
    nc.send("GET file\nPING\n");
    assert_eq!(
        nc.rest_text(),
        "ERROR 503 too many open files; try again later\n"
    );
    drop(nc);
    inside.truncate(5);
    eventually("a place is free", || {
        ask(node.address(), b"GET file\n") == "FOUND 7\ncontent"
    });
}

#[test]
fn a_descriptor_that_a_file_gives_back_does_not_make_the_loop_spin() {
    let size = 64 << 20;
    let share = large_file(size);
    let relay = relay(&[]);
    let mut node = start_node(&relay, share.path());
    let mut reader = Nc::connect(node.address());
    assert_eq!(reader.ask("GET large"), format!("FOUND {size}"));
    // Nobody waits when the last descriptor goes, nor when the file's comes back.
    let inside = exhaust(&node);
    node.log_until("cannot accept connections for now");
    reader.bytes(usize::try_from(size).expect("it fits"));
    eventually("the file is closed", || {
        open_descriptors(&node) < DESCRIPTORS
    });
    assert_does_not_spin(&mut node);
    assert_eq!(reader.ask("PING"), "PONG");
    drop(inside);
}

#[test]
fn a_list_without_a_descriptor_left_is_the_last_that_was_seen() {
    // To say that there are no files would be a lie.
    let share = folder(&[("folder/file", b"content"), ("other", b"")]);
    let relay = relay(&[]);
    let node = start_node(&relay, share.path());
    let mut inside = exhaust(&node);
    let nc = inside.last_mut().expect("somebody is inside");
    // The list is out of date, and long enough ago made to be made anew.
    std::fs::write(share.path().join("third"), "new").expect("a file");
    assert!(nc.is_silent_for(Duration::from_millis(1100)));
    nc.send("LIST\nQUIT\n");
    assert_eq!(
        nc.rest_text(),
        "FILES 2 2\n7 - 1 folder/file\n0 - 1 other\nOK bye\n"
    );
    // It is made up for as soon as there are descriptors again.
    drop(inside);
    eventually("the third is listed", || {
        ask(node.address(), b"LIST\n").starts_with("FILES 3 3\n")
    });
}

#[test]
fn without_a_flag_the_limit_on_open_files_leaves_some_for_files() {
    let share = folder(&[("file", b"content")]);
    let relay = relay(&[]);
    let port = relay.address().port().to_string();
    let path = share.path().to_str().expect("text");
    let args = ["127.0.0.1", &port, "--share", path, "--no-hashes"];
    let args = [&args[..], &["--log-level", "debug"]].concat();
    let node = start(64, env!("CARGO_BIN_EXE_peer-node"), &args);
    // What it needs for its own start is free again.
    node.log_until(": our relay, ");
    // A quarter is kept.
    let mut inside: Vec<Nc> = (0..48).map(|_| Nc::connect(node.address())).collect();
    for nc in &mut inside {
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
