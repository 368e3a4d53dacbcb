//! Nodes and clients that talk to the relay in datagrams, in good weather and bad.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::lossy_proxy::{BLACK_HOLE, CALM, Proxy, STORM};
use crate::support::relay_index::{files, holders, until_known};
use crate::support::{
    Done, Server, ask, client, client_command, eventually, folder, node, relay, run, unlisted_node,
};

/// A node that reaches the relay through a proxy.
fn node_behind(proxy: &Proxy, share: &tempfile::TempDir) -> Server {
    let node = unlisted_node(proxy.address(), share.path(), &["--udp"]);
    node.log_until("registered as");
    node
}

#[test]
fn a_node_registers_announces_renews_and_leaves_in_datagrams() {
    let relay = relay(&["--lease", "2"]);
    let proxy = Proxy::new(relay.address(), CALM);
    let share = folder(&[("a", b"1"), ("two words", b"12")]);
    let mut node = node_behind(&proxy, &share);
    until_known(&relay, 2);
    assert_eq!(files(&relay, ""), ["1 - 1 a", "2 - 1 two words"]);
    assert_eq!(
        holders(&relay, "a"),
        [format!("{} 1 -", node.wire_address())]
    );
    // Beyond its lease, and with what has changed.
    let before = Instant::now();
    fs::remove_file(share.path().join("a")).expect("it is there");
    eventually("the change in the index", || {
        files(&relay, "") == ["2 - 1 two words"]
    });
    eventually("the lease is over", || {
        before.elapsed() > Duration::from_secs(3)
    });
    assert_eq!(relay.stat("nodes"), 1);
    assert_eq!(relay.stat("nodes_expired"), 0);
    assert_eq!(node.stop(), Some(0));
    assert_eq!(ask(relay.address(), b"LIST\n"), "NODES 0\n");
    assert_eq!(proxy.connections(), 0);
}

#[test]
fn all_files_of_a_node_arrive_through_a_storm() {
    let relay = relay(&["--lease", "6"]);
    let proxy = Proxy::new(relay.address(), STORM);
    let content = |number: usize| vec![b'x'; number];
    let all: Vec<(String, Vec<u8>)> = (0..300)
        .map(|number| (format!("file {number:03}"), content(number)))
        .collect();
    let refs: Vec<(&str, &[u8])> = all
        .iter()
        .map(|(name, bytes)| (&**name, &**bytes))
        .collect();
    let share = folder(&refs);
    let mut node = node_behind(&proxy, &share);
    until_known(&relay, 300);
    let expected: Vec<String> = (0..300).map(|n| format!("{n} - 1 file {n:03}")).collect();
    assert_eq!(files(&relay, ""), expected);
    for number in (0..300).step_by(3) {
        fs::remove_file(share.path().join(format!("file {number:03}"))).expect("it is there");
    }
    let left = |n: &usize| !n.is_multiple_of(3);
    let expected: Vec<String> = (0..300)
        .filter(left)
        .map(|n| format!("{n} - 1 file {n:03}"))
        .collect();
    eventually("the change in the index", || files(&relay, "") == expected);
    assert_eq!(node.stop(), Some(0));
    eventually("the node has left", || {
        ask(relay.address(), b"LIST\n") == "NODES 0\n"
    });
}

#[test]
fn what_is_swallowed_is_said_over_tcp() {
    let relay = relay(&[]);
    let proxy = Proxy::new(relay.address(), BLACK_HOLE);
    let share = folder(&[("a", b"1")]);
    let mut node = node_behind(&proxy, &share);
    until_known(&relay, 1);
    // Once there was no answer, it is not waited for again.
    let before = Instant::now();
    assert_eq!(node.stop(), Some(0));
    assert!(before.elapsed() < Duration::from_secs(3));
    assert_eq!(ask(relay.address(), b"LIST\n"), "NODES 0\n");
    assert_eq!(relay.stat("datagrams"), 0);
}

#[test]
fn a_relay_without_udp_is_reached_over_tcp_at_once() {
    let relay = relay(&["--no-udp"]);
    let share = folder(&[("a", b"1")]);
    let before = Instant::now();
    let mut node = node(&relay, share.path(), &["--udp"]);
    until_known(&relay, 1);
    assert_eq!(node.stop(), Some(0));
    assert_eq!(ask(relay.address(), b"LIST\n"), "NODES 0\n");
    assert!(
        before.elapsed() < Duration::from_secs(3),
        "nothing was waited for"
    );
}

/// The client asks through a proxy.
fn ask_through(proxy: &Proxy, args: &[&str]) -> Done {
    let args = [&["--udp"], args].concat();
    run(client_command(proxy.address(), &args), b"")
}

/// Files that one node has, each with its number as its size.
fn announce(relay: &Server, files: u64) {
    let shares = (1..=files).map(|number| format!("SHARE {number} - file {number}\n"));
    let lines = format!("REGISTER * 9\n{}", shares.collect::<String>());
    ask(relay.address(), lines.as_bytes());
}

#[test]
fn a_node_is_seen_at_the_address_that_it_listens_on() {
    let relay = relay(&[]);
    let share = folder(&[]);
    let node = node(&relay, share.path(), &["--udp", "--listen", "127.0.0.9"]);
    assert!(node.wire_address().starts_with("127.0.0.9 "));
    let listed = format!("NODES 1\n{}\n", node.wire_address());
    assert_eq!(ask(relay.address(), b"LIST\n"), listed);
}

#[test]
fn the_console_of_a_node_asks_in_datagrams() {
    let relay = relay(&[]);
    let proxy = Proxy::new(relay.address(), CALM);
    announce(&relay, 2);
    let share = folder(&[]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_peer-node"));
    command
        .arg(proxy.address().ip().to_string())
        .arg(proxy.address().port().to_string())
        .args([
            "--udp",
            "--console",
            "--no-listen-messages",
            "--no-hashes",
            "--share",
        ])
        .arg(share.path());
    let done = run(command, b"find file 2\nfind file 1\nquit\n").expect_code(0);
    let found = done.text();
    assert!(
        found.contains("127.0.0.1 9 2 -\n127.0.0.1 9 1 -\n"),
        "{found}"
    );
    assert_eq!(proxy.connections(), 0, "{}", done.stderr);
}

#[test]
fn a_client_asks_in_datagrams() {
    let relay = relay(&[]);
    let proxy = Proxy::new(relay.address(), CALM);
    announce(&relay, 2);
    let found = ask_through(&proxy, &["find", "file 2"]).expect_code(0);
    assert_eq!(found.text(), "127.0.0.1 9 2 -\n");
    assert_eq!(
        ask_through(&proxy, &["nodes"]).expect_code(0).text(),
        "127.0.0.1 9\n"
    );
    ask_through(&proxy, &["find", "file 3"]).expect_code(1);
    assert_eq!(proxy.connections(), 0);
    // A search is for TCP.
    let found = ask_through(&proxy, &["search", "file 2"]).expect_code(0);
    assert!(found.text().ends_with(" file 2\n"), "{}", found.text());
    assert_eq!(proxy.connections(), 1);
}

#[test]
fn a_client_fetches_what_it_finds_in_datagrams() {
    let relay = relay(&[]);
    let share = folder(&[("a file", b"content")]);
    let other = folder(&[]);
    let _nodes = [share.path(), other.path()].map(|share| node(&relay, share, &["--udp"]));
    until_known(&relay, 1);
    let got = client(&relay, &["--udp", "get", "a file"]).expect_code(0);
    assert_eq!(got.text(), "content");
}

#[test]
fn a_list_that_was_cut_is_asked_for_over_tcp() {
    let relay = relay(&[]);
    let proxy = Proxy::new(relay.address(), CALM);
    let nodes: String = (1..=200)
        .map(|port| format!("REGISTER * {port}\n"))
        .collect();
    ask(relay.address(), nodes.as_bytes());
    let listed = ask_through(&proxy, &["nodes"]).expect_code(0).text();
    assert_eq!(listed.lines().count(), 200);
    assert_eq!(proxy.connections(), 1);
}

#[test]
fn what_a_client_finds_through_a_storm_is_right() {
    let relay = relay(&[]);
    announce(&relay, 12);
    let proxy = Proxy::new(relay.address(), STORM);
    thread::scope(|scope| {
        for number in 1..=12 {
            let proxy = &proxy;
            scope.spawn(move || {
                let name = format!("file {number}");
                let found = ask_through(proxy, &["find", &name]).expect_code(0);
                assert_eq!(found.text(), format!("127.0.0.1 9 {number} -\n"));
            });
        }
    });
}

#[test]
fn a_client_that_gets_no_answer_turns_to_tcp() {
    let relay = relay(&[]);
    announce(&relay, 1);
    let proxy = Proxy::new(relay.address(), BLACK_HOLE);
    let found = ask_through(&proxy, &["find", "file 1"]).expect_code(0);
    assert_eq!(found.text(), "127.0.0.1 9 1 -\n");
    assert_eq!(proxy.connections(), 1);
}

#[test]
fn a_client_finds_a_relay_without_udp_at_once() {
    let relay = relay(&["--no-udp"]);
    announce(&relay, 1);
    let before = Instant::now();
    let found = client(&relay, &["--udp", "find", "file 1"]).expect_code(0);
    assert_eq!(found.text(), "127.0.0.1 9 1 -\n");
    assert!(
        before.elapsed() < Duration::from_secs(3),
        "nothing was waited for"
    );
}
