//! The limits of the servers: each is reached and enforced.

use std::io::Write;
use std::time::Duration;

use crate::support::{Nc, ask, eventually, folder, node_with_relay, relay, without_epochs};

const NO_PLACE: &str = "ERROR 503 too many connections; try again later\n";

#[test]
fn max_connections_refuses_until_one_closes() {
    let relay = relay(&["--max-connections", "2"]);
    let mut first = Nc::connect(relay.address());
    let mut second = Nc::connect(relay.address());
    assert_eq!(first.ask("PING"), "PONG");
    assert_eq!(second.ask("PING"), "PONG");
    // A refused client gets the error, whether it has sent a request or not.
    for request in ["", "LIST\n", "PING\nQUIT\n"] {
        let mut third = Nc::connect(relay.address());
        third.send(request);
        assert_eq!(third.rest_text(), NO_PLACE);
    }
    relay.log_until_count("refused: connection limit", 3);
    assert_eq!(first.ask("PING"), "PONG", "those inside are served on");
    assert_eq!(second.ask("QUIT"), "OK bye");
    drop(second);
    eventually("the place is free", || {
        ask(relay.address(), b"PING\n") == "PONG\n"
    });
}

#[test]
fn max_connections_refuses_a_crowd() {
    let relay = relay(&["--max-connections", "1"]);
    let mut inside = Nc::connect(relay.address());
    assert_eq!(inside.ask("PING"), "PONG");
    // Refused connections that do not read are limited too. The others are closed
    // without a reply.
    let mut crowd: Vec<Nc> = (0..200).map(|_| Nc::connect(relay.address())).collect();
    let mut count = 0;
    for nc in &mut crowd {
        let reply = nc.rest_text();
        assert!(reply.is_empty() || reply == NO_PLACE, "{reply}");
        count += usize::from(!reply.is_empty());
    }
    assert!(count > 0, "some are told");
    assert_eq!(inside.ask("PING"), "PONG", "those inside are served on");
    let stats = inside.ask("STATS");
    let count = stats.strip_prefix("STATS ").expect("its own word first");
    let count: u32 = count.parse().expect("a count");
    let figures: Vec<String> = (0..count).map(|_| inside.line()).collect();
    assert!(figures.contains(&"connections 1".into()), "{figures:?}");
    assert!(
        figures.contains(&"connections_refused 200".into()),
        "{figures:?}"
    );
}

#[test]
fn max_per_address_does_not_count_loopback() {
    let relay = relay(&["--max-per-address", "1"]);
    let mut both = [Nc::connect(relay.address()), Nc::connect(relay.address())];
    for nc in &mut both {
        assert_eq!(nc.ask("PING"), "PONG");
    }
}

#[test]
fn max_line_includes_the_newline() {
    let relay = relay(&["--max-line", "64"]);
    let mut nc = Nc::connect(relay.address());
    // Blanks at the end: 63 bytes and the newline.
    assert_eq!(nc.ask(&format!("{:<63}", "PING")), "PONG");
    nc.send(format!("{:<64}\nPING\n", "PING"));
    assert_eq!(nc.rest_text(), "ERROR 431 line too long\n");
    drop(nc);
    // A line can be too long before its end arrives.
    let mut nc = Nc::connect(relay.address());
    nc.send([b'x'; 64]);
    assert_eq!(nc.rest_text(), "ERROR 431 line too long\n");
    drop(nc);
    relay.log_until_count("line too long", 2);
}

#[test]
fn max_unknown_closes_the_connection() {
    for (args, limit) in [(&[][..], 10), (&["--max-unknown", "3"][..], 3)] {
        let relay = relay(args);
        let mut nc = Nc::connect(relay.address());
        // A known verb with invalid arguments does not count.
        nc.send("GET a\nLIST x\n".repeat(20));
        for _ in 0..40 {
            assert!(nc.line().starts_with("ERROR "));
        }
        nc.send("what?\n".repeat(20));
        let replies = nc.rest_text();
        assert_eq!(replies.lines().count(), limit, "{replies}");
        let each = "ERROR 501 unknown command what?; HELP lists the commands";
        assert!(replies.lines().all(|line| line == each), "{replies}");
        drop(nc);
        relay.log_until("too many unknown commands");
    }
}

#[test]
fn first_line_closes_silent_connections_without_a_reply() {
    let relay = relay(&["--first-line", "0.5"]);
    let mut nc = Nc::connect(relay.address());
    assert_eq!(nc.rest_text(), "");
    relay.log_until("no request received");
}

#[test]
fn first_line_is_not_extended_by_single_bytes() {
    let relay = relay(&["--first-line", "0.5"]);
    let mut nc = Nc::connect(relay.address());
    nc.send("LI");
    let pause = Duration::from_millis(100);
    while nc.is_silent_for(pause) {
        nc.send("S");
    }
    assert_eq!(
        nc.rest_text(),
        "ERROR 408 line timeout; send each line in one piece\n"
    );
    drop(nc);
    relay.log_until("line timeout");
}

#[test]
fn idle_closes_inactive_connections() {
    let relay = relay(&["--idle", "0.5"]);
    let mut nc = Nc::connect(relay.address());
    assert_eq!(nc.ask("PING"), "PONG");
    assert_eq!(nc.rest_text(), "", "without a word");
    relay.log_until("1 request, last PING");
    relay.log_until("ms, idle timeout");
    // A part of a line is not a request.
    let mut nc = Nc::connect(relay.address());
    nc.send("PING\nLIS");
    assert_eq!(
        nc.rest_text(),
        "PONG\nERROR 408 line timeout; send each line in one piece\n"
    );
}

#[test]
fn idle_restarts_with_each_request() {
    let relay = relay(&["--idle", "2"]);
    let mut nc = Nc::connect(relay.address());
    for _ in 0..5 {
        assert_eq!(nc.ask("PING"), "PONG");
        assert!(nc.is_silent_for(Duration::from_millis(500)), "it is open");
    }
    assert_eq!(nc.ask("PING"), "PONG");
}

#[test]
fn input_after_quit_is_discarded_for_a_limited_time() {
    // The server reads on for a moment so that the last reply arrives.
    let relay = relay(&[]);
    let mut nc = Nc::connect(relay.address());
    assert_eq!(nc.ask("QUIT"), "OK bye");
    while !relay.log().contains("1 request, last QUIT") {
        if nc.stream().write_all(b"PING\n").is_err() {
            break;
        }
    }
    relay.log_until("1 request, last QUIT");
}

#[test]
fn max_nodes_refuses_new_nodes_and_keeps_old_ones() {
    let relay = relay(&["--max-nodes", "2"]);
    let mut nc = Nc::connect(relay.address());
    for port in ["1", "2", "1"] {
        let reply = nc.ask(&format!("REGISTER * {port}"));
        assert!(reply.starts_with("OK 60 "), "{reply}");
    }
    let mut other = Nc::connect(relay.address());
    other.send("REGISTER * 3\nPING\n");
    let full = "ERROR 503 the directory is full; try again later\n";
    assert_eq!(other.rest_text(), full);
    let list = ask(relay.address(), b"LIST\n");
    assert_eq!(list, "NODES 2\n127.0.0.1 1\n127.0.0.1 2\n");
    assert_eq!(nc.ask("UNREGISTER * 1"), "OK");
    let registered = nc.ask("REGISTER * 3");
    assert_eq!(without_epochs(&registered), "OK 60 127.0.0.1 3 0");
}

/// The largest number stands for no limit.
#[test]
fn the_announced_memory_does_not_wrap_around() {
    let most = "limits: no limit on memory; beside its queued data, ";
    for flag in [
        "--max-nodes",
        "--max-shared-in-all",
        "--max-shared-bytes-in-all",
        "--max-queue-total",
    ] {
        let args = [
            flag,
            "18446744073709551615",
            "--max-queue",
            "18446744073709551615",
        ];
        let relay = relay(&args);
        assert!(relay.log_until("queued data").contains(most), "{flag}");
        assert_eq!(ask(relay.address(), b"PING\n"), "PONG\n");
    }
}

#[test]
fn max_files_limits_the_list_but_not_get() {
    let share = folder(&[("a", b"a"), ("b", b"b"), ("c", b"c")]);
    let (node, _relay) = node_with_relay(share.path(), &["--max-files", "2"]);
    let list = ask(node.address(), b"LIST\n");
    assert!(list.starts_with("FILES 2 2\n"), "{list}");
    node.log_until("--max-files");
    let files = ask(node.address(), b"GET a\nGET b\nGET c\n");
    assert_eq!(files, "FOUND 1\naFOUND 1\nbFOUND 1\nc");
}
