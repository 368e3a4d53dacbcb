//! Servers whose log is a full pipe, on stderr or by name: they keep serving, they stop on a
//! signal, and the log contains the number of dropped lines.

use std::fs::File;
use std::io::{Seek, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, Mode, mkfifoat};

use crate::support::{Nc, Server, ask, eventually, folder, node_command, relay, relay_command};

/// Requests with long lines, each of which is logged: more than a pipe holds
/// (64 KiB), what the log thread writes (1 MiB) and what waits for it (1 MiB).
const REQUESTS: usize = 3000;
const LONG: usize = 1000;
const DROPPED: &str = "log lines dropped (slow reader): ";

fn start_unread(mut command: Command) -> Server {
    command.args(["--log-level", "debug"]);
    Server::start_without_log_reader(command, Stdio::null())
}

/// A name that makes its log line unique and shows whether the line is complete.
fn name(number: usize) -> String {
    format!("{number}-{}.", "x".repeat(LONG))
}

/// Sends one request after the other, each of which is logged.
fn fill_log(server: &Server, verb: &str) {
    let mut nc = Nc::connect(server.address());
    for number in 0..REQUESTS {
        assert_eq!(nc.ask(&format!("{verb} {}", name(number))), "NOTFOUND");
    }
}

/// Reads the log: lines are complete, in order, and with one line for the gap.
fn check_log(server: &mut Server, verb: &str) {
    server.start_reading_log();
    server.log_until(DROPPED);
    ask(server.address(), format!("{verb} at last\n").as_bytes());
    let log = server.log_until("at last");
    let (before, after) = log.split_once(DROPPED).expect("it is there");
    let lost = after.lines().next().expect("a number");
    assert!(lost.parse::<usize>().expect("a number") > 0);
    assert!(!after.contains(DROPPED), "one gap, one line");
    let prefix = format!(": {verb} ");
    let names = before.lines().filter_map(|line| line.split_once(&prefix));
    let count = names
        .enumerate()
        .map(|(number, (_, prefix))| assert_eq!(prefix, name(number)))
        .count();
    assert!(count > 0 && count < REQUESTS, "{count} requests");
}

#[test]
fn an_unread_relay_log_does_not_block() {
    let mut relay = start_unread(relay_command(&[]));
    fill_log(&relay, "FIND");
    check_log(&mut relay, "FIND");
}

#[test]
fn an_unread_node_log_does_not_block() {
    let (relay, share) = (relay(&[]), folder(&[]));
    let mut node = start_unread(node_command(relay.address(), share.path(), &[]));
    fill_log(&node, "GET");
    check_log(&mut node, "GET");
}

#[test]
fn an_unread_console_does_not_block() {
    let (share, outside) = (folder(&[]), folder(&[("hello", b"Hello!\n")]));
    let relay = relay(&[]);
    let command = node_command(relay.address(), share.path(), &["--console"]);
    let mut commands = tempfile::tempfile().expect("a file");
    let path = outside.path().join("hello");
    let lines = format!("{}share {}\n", "help\n".repeat(4000), path.display());
    write_file(&mut commands, &lines);
    let mut node = Server::start_without_log_reader(command, commands.into());
    eventually("all commands are obeyed", || {
        ask(node.address(), b"GET hello\n") == "FOUND 7\nHello!\n"
    });
    node.start_reading_log();
    node.log_until(DROPPED);
}

fn write_file(file: &mut File, text: &str) {
    file.write_all(text.as_bytes()).expect("a disk with room");
    file.rewind().expect("a file");
}

#[test]
fn a_server_with_an_unread_log_stops_in_time() {
    let (other, share) = (relay(&[]), folder(&[]));
    let node = node_command(other.address(), share.path(), &[]);
    for (command, verb) in [(relay_command(&[]), "FIND"), (node, "GET")] {
        let mut server = start_unread(command);
        fill_log(&server, verb);
        let start = Instant::now();
        assert_eq!(server.stop(), Some(0));
        let took = start.elapsed();
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
}

#[test]
fn a_log_file_that_nobody_reads_does_not_block() {
    let folder = folder(&[]);
    let path = folder.path().join("fifo");
    mkfifoat(CWD, &path, Mode::RUSR | Mode::WUSR).expect("a FIFO");
    let name = path.to_str().expect("text");
    let args = ["--log-file", name, "--log-level", "debug"];
    let mut relay = relay(&args);
    fill_log(&relay, "FIND");
    let start = Instant::now();
    assert_eq!(relay.stop(), Some(0));
    let took = start.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
}
