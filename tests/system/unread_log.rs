//! Servers whose stderr is a pipe that nobody reads: they serve on, they stop
//! when told to, and who reads at last hears how much was lost.

use std::fs::File;
use std::io::{Seek, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Nc, Server, ask, eventually, folder, node_command, relay, relay_command};

/// Requests with long lines, each of which is logged: more than a pipe holds
/// (64 KiB), what the log thread writes (1 MiB) and what waits for it (1 MiB).
const REQUESTS: usize = 3000;
const LONG: usize = 1000;
const LOST: &str = "log lines dropped (slow reader): ";

fn unread(mut command: Command) -> Server {
    command.args(["--log-level", "debug"]);
    Server::start_unread(command, Stdio::null())
}

/// A name whose line in the log can be told from others, and be seen to be whole.
fn name(number: usize) -> String {
    format!("{number}-{}.", "x".repeat(LONG))
}

/// Asks for so many names, one after the other.
fn fill_log(server: &Server, verb: &str) {
    let mut nc = Nc::connect(server.address());
    for number in 0..REQUESTS {
        assert_eq!(nc.ask(&format!("{verb} {}", name(number))), "NOTFOUND");
    }
}

/// Reads at last: what comes is whole and in order, and tells of its gap.
fn read_at_last(server: &mut Server, verb: &str) {
    server.read_log();
    server.log_until(LOST);
    ask(server.address(), format!("{verb} at last\n").as_bytes());
    let log = server.log_until("at last");
    let (before, after) = log.split_once(LOST).expect("it is there");
    let lost = after.lines().next().expect("a number");
    assert!(lost.parse::<usize>().expect("a number") > 0);
    assert!(!after.contains(LOST), "one gap, one line");
    let asked = format!(": {verb} ");
    let names = before.lines().filter_map(|line| line.split_once(&asked));
    let count = names
        .enumerate()
        .map(|(number, (_, asked))| assert_eq!(asked, name(number)))
        .count();
    assert!(count > 0 && count < REQUESTS, "{count} requests");
}

#[test]
fn who_does_not_read_the_log_of_a_relay_holds_up_nobody() {
    let mut relay = unread(relay_command(&[]));
    fill_log(&relay, "FIND");
    read_at_last(&mut relay, "FIND");
}

#[test]
fn who_does_not_read_the_log_of_a_node_holds_up_nobody() {
    let (relay, share) = (relay(&[]), folder(&[]));
    let mut node = unread(node_command(relay.address(), share.path(), &[]));
    fill_log(&node, "GET");
    read_at_last(&mut node, "GET");
}

#[test]
fn what_a_console_says_to_nobody_holds_up_nobody() {
    let (share, outside) = (folder(&[]), folder(&[("hello", b"Hello!\n")]));
    let relay = relay(&[]);
    let command = node_command(relay.address(), share.path(), &["--console"]);
    let mut commands = tempfile::tempfile().expect("a file");
    let path = outside.path().join("hello");
    let lines = format!("{}share {}\n", "help\n".repeat(4000), path.display());
    write_whole(&mut commands, &lines);
    let mut node = Server::start_unread(command, commands.into());
    eventually("all commands are obeyed", || {
        ask(node.address(), b"GET hello\n") == "FOUND 7\nHello!\n"
    });
    node.read_log();
    node.log_until(LOST);
}

fn write_whole(file: &mut File, text: &str) {
    file.write_all(text.as_bytes()).expect("a disk with room");
    file.rewind().expect("a file");
}

#[test]
fn a_server_whose_log_nobody_reads_stops_in_time() {
    let (other, share) = (relay(&[]), folder(&[]));
    let node = node_command(other.address(), share.path(), &[]);
    for (command, verb) in [(relay_command(&[]), "FIND"), (node, "GET")] {
        let mut server = unread(command);
        fill_log(&server, verb);
        let start = Instant::now();
        assert_eq!(server.stop(), Some(0));
        let took = start.elapsed();
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
}
