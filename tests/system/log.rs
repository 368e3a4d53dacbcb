//! The log: what strangers cause is limited, with a count of the rest; a log file may be
//! moved away or be full.

use std::fs;
use std::process::Command;
use std::time::Instant;

use serde_json::Value;

use crate::support::fake_server::FakeServer;
use crate::support::relay_index::wait_for_names;
use crate::support::{
    Nc, Server, ask, eventually, folder, node, node_command, relay, unlisted_node,
};

const DROPPED: &str = "log lines dropped (rate limit): ";
/// The limit of these servers, as by default.
const RATE: u64 = 100;

/// The numbers of dropped lines that a log states, together.
fn dropped(log: &str) -> u64 {
    let counts = log.lines().filter_map(|line| line.split_once(DROPPED));
    counts
        .map(|(_, count)| count.parse::<u64>().expect("a number"))
        .sum()
}

/// How many lines contain `text`.
fn count(log: &str, text: &str) -> u64 {
    log.matches(text).count() as u64
}

/// The most lines that may be logged in the time since `start`.
fn most_since(start: Instant) -> u64 {
    RATE * (start.elapsed().as_secs() + 2)
}

#[test]
fn a_flood_of_connections_is_logged_in_part_and_counted() {
    const CONNECTIONS: u64 = 3000;
    let (relay, start) = (relay(&["--log-rate", "100"]), Instant::now());
    for _ in 0..CONNECTIONS {
        Nc::connect(relay.address()).ask("QUIT");
    }
    let (logged, most) = (
        |log: &str| count(log, "INFO] 127.0.0.1:"),
        most_since(start),
    );
    // The last count comes although no other line follows.
    eventually("each connection is logged or counted", || {
        let log = relay.log();
        logged(&log) + dropped(&log) == CONNECTIONS
    });
    let log = relay.log();
    let logged = logged(&log);
    assert!(
        (RATE..=most).contains(&logged),
        "{logged} lines, not {most}"
    );
    let counts = count(&log, DROPPED);
    assert!(counts <= most / RATE, "one count a second, not {counts}");
}

#[test]
fn a_flood_does_not_hide_what_a_node_logs_about_itself() {
    let (relay, share) = (relay(&[]), folder(&[]));
    let mut node = node(&relay, share.path(), &["--log-rate", "1"]);
    for _ in 0..200 {
        Nc::connect(node.address()).ask("QUIT");
    }
    assert_eq!(node.stop(), Some(0));
    assert!(node.log().contains("INFO] unregistered"), "{}", node.log());
}

#[test]
fn joins_and_leaves_are_limited_and_counted() {
    // The first line is about the limits.
    let mut relay = relay(&["--log-rate", "2"]);
    let pair = "REGISTER * 9\nUNREGISTER * 9\n";
    ask(relay.address(), pair.repeat(500).as_bytes());
    assert_eq!(relay.stop(), Some(0));
    let logged = |log: &str| count(log, "] node 127.0.0.1 9 ");
    // One more line is that of the connection.
    eventually("each one is logged or counted", || {
        let log = relay.log();
        logged(&log) + dropped(&log) + count(&log, "INFO] 127.0.0.1:") == 1001
    });
    let logged = logged(&relay.log());
    assert!((1..50).contains(&logged), "{logged} lines");
}

/// A relay that sends this message again and again to a listener.
fn lying_relay(text: String) -> FakeServer {
    const MESSAGES: usize = 200_000;
    FakeServer::new(move |mut relay| {
        relay.line();
        relay.send("OK 60 127.0.0.1 9 0\n");
        if relay.line() == "LISTEN\n" {
            relay.send("OK 127.0.0.1 9\n");
            relay.send(format!("FROM 127.0.0.1 9 {text}\n").repeat(MESSAGES));
            let _ = relay.read_to_end();
        }
    })
}

#[test]
fn messages_of_a_lying_relay_do_not_fill_the_log() {
    let relay = lying_relay("x".repeat(1000));
    let (share, start) = (folder(&[]), Instant::now());
    let args = ["--listen-messages", "--log-rate", "100"];
    let mut node = unlisted_node(relay.address(), share.path(), &args);
    node.log_until(DROPPED);
    assert_eq!(ask(node.address(), b"PING\n"), "PONG\n");
    let most = most_since(start);
    assert_eq!(node.stop(), Some(0));
    // A long line counts as several.
    let (logged, most) = (node.log().len() as u64, most * 512);
    assert!(
        count(&node.log(), "message from") > 0 && logged <= most,
        "{logged} bytes, not {most}"
    );
}

#[test]
fn messages_of_a_lying_relay_do_not_flood_the_console() {
    let relay = lying_relay("buy".to_owned());
    let (share, start) = (folder(&[]), Instant::now());
    let args = ["--console", "--log-rate", "100"];
    let node = unlisted_node(relay.address(), share.path(), &args);
    node.log_until("messages omitted)");
    assert_eq!(ask(node.address(), b"PING\n"), "PONG\n");
    let (shown, most) = (count(&node.log(), "message from"), most_since(start));
    assert!((1..=most).contains(&shown), "{shown} lines, not {most}");
}

#[test]
fn a_log_file_that_was_moved_away_is_created_again() {
    let folder = folder(&[]);
    let (path, moved) = (folder.path().join("log"), folder.path().join("log.1"));
    let relay = relay(&["--log-file", path.to_str().expect("text")]);
    let contains = |path, text| fs::read_to_string(path).is_ok_and(|log| log.contains(text));
    ask(relay.address(), b"REGISTER * 9\n");
    eventually("the first line", || {
        contains(&path, "node 127.0.0.1 9 registered")
    });
    fs::rename(&path, &moved).expect("a new name");
    ask(relay.address(), b"REGISTER * 10\n");
    eventually("a new file", || {
        contains(&path, "node 127.0.0.1 10 registered")
    });
    assert!(!contains(&moved, "node 127.0.0.1 10 "));
}

/// A folder of the same name stands for a folder in which `--user` may make no file: the tests
/// may run as root.
#[test]
fn a_log_file_that_cannot_be_reopened_is_reported_once_on_stderr() {
    let folder = folder(&[]);
    let (path, moved) = (folder.path().join("log"), folder.path().join("log.1"));
    let mut relay = relay(&["--log-file", path.to_str().expect("text")]);
    let registers = |port: u16| ask(relay.address(), format!("REGISTER * {port}\n").as_bytes());
    let has = |path, text: &str| fs::read_to_string(path).is_ok_and(|log| log.contains(text));
    registers(9);
    eventually("the first line", || has(&path, " 9 registered"));
    fs::rename(&path, &moved).expect("a new name");
    fs::create_dir(&path).expect("a free name");
    registers(10);
    eventually("the old file", || has(&moved, " 10 registered"));
    registers(11);
    eventually("the old file again", || has(&moved, " 11 registered"));
    let text = format!(
        "cannot reopen the log file {}: Is a directory",
        path.display()
    );
    relay.log_until(&text);
    fs::remove_dir(&path).expect("it is empty");
    registers(12);
    eventually("a new file", || has(&path, " 12 registered"));
    assert_eq!(relay.stop(), Some(0));
    assert_eq!(count(&relay.log(), &text), 1, "{}", relay.log());
}

#[test]
fn a_full_log_file_is_reported_once_on_stderr() {
    let mut relay = relay(&["--log-file", "/dev/full"]);
    let text = "cannot write the log to /dev/full: No space left on device";
    for _ in 0..3 {
        ask(relay.address(), b"PING\n");
        relay.log_until(text);
    }
    assert_eq!(relay.stop(), Some(0));
    assert_eq!(count(&relay.log(), text), 1, "{}", relay.log());
}

#[test]
fn a_log_file_at_its_size_limit_does_not_kill() {
    let folder = folder(&[]);
    let path = folder.path().join("log");
    let mut command = Command::new("sh");
    // Units of 512 or 1024 bytes.
    command.args(["-c", "ulimit -f 8; exec \"$0\" \"$@\""]);
    command.args([
        env!("CARGO_BIN_EXE_relay-server"),
        "0",
        "--log-level",
        "debug",
    ]);
    command
        .args(["--log-rate", "1000000", "--log-file"])
        .arg(&path);
    let mut relay = Server::start(command);
    let mut nc = Nc::connect(relay.address());
    for number in 0..1000 {
        assert_eq!(nc.ask(&format!("FIND file {number}")), "NOTFOUND");
    }
    relay.log_until(": File too large");
    assert_eq!(relay.stop(), Some(0));
    let text = "cannot write the log to ";
    assert_eq!(count(&relay.log(), text), 1, "{}", relay.log());
}

#[test]
fn a_node_without_a_console_logs_what_it_fetches() {
    let relay = relay(&[]);
    let share = folder(&[("docs/a", b"a"), ("docs/b", b"b"), ("c", b"c")]);
    let _other = node(&relay, share.path(), &[]);
    wait_for_names(&relay, 3);
    let own = folder(&[]);
    let args = ["--get", "docs/", "--get", "none", "--log-format", "json"];
    let node = node_command(relay.address(), own.path(), &args);
    let node = Server::start(node);
    node.log_until("2 files fetched");
    let log = node.log();
    for line in log.lines() {
        let record: Value = serde_json::from_str(line).expect("a record");
        assert!(
            record["time"].is_string() && record["level"].is_string(),
            "{log}"
        );
    }
    assert!(
        !log.contains("docs/a") && !log.contains("saved as"),
        "{log}"
    );
    let own = folder(&[]);
    let node = node_command(
        relay.address(),
        own.path(),
        &["--get", "c", "--get", "none"],
    );
    let node = Server::start(node);
    let (found, missing) = (node.log_until("saved as"), node.log_until("none: "));
    assert!(found.contains("INFO] c: 1 B in "), "{found}");
    assert!(missing.contains("WARN] none: "), "{missing}");
}
