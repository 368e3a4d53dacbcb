//! Nodes and clients that use UDP to the relay, with and without packet loss.

use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::lossy_proxy::{HEAVY_LOSS, LossyProxy, NO_LOSS, TOTAL_LOSS};
use crate::support::relay_index::{files, holders, wait_for_names};
use crate::support::{
    ProgramOutput, Server, ask, client, client_command, eventually, folder, node, relay, run,
    unlisted_node,
};

/// A node that reaches the relay through a lossy proxy.
fn node_through(proxy: &LossyProxy, share: &tempfile::TempDir) -> Server {
    let node = unlisted_node(proxy.address(), share.path(), &["--udp"]);
    node.log_until("registered as");
    node
}

#[test]
fn a_node_registers_announces_renews_and_leaves_over_udp() {
    let relay = relay(&["--lease", "2"]);
    let proxy = LossyProxy::new(relay.address(), NO_LOSS);
    let share = folder(&[("a", b"1"), ("two words", b"12")]);
    let mut node = node_through(&proxy, &share);
    wait_for_names(&relay, 2);
    assert_eq!(files(&relay, ""), ["1 - 1 a", "2 - 1 two words"]);
    assert_eq!(
        holders(&relay, "a"),
        [format!("{} 1 -", node.wire_address())]
    );
    // After the end of the first lease, and with the changed files.
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
fn all_files_are_announced_despite_packet_loss() {
    let relay = relay(&["--lease", "6"]);
    let proxy = LossyProxy::new(relay.address(), HEAVY_LOSS);
    let content = |number: usize| vec![b'x'; number];
    let all: Vec<(String, Vec<u8>)> = (0..300)
        .map(|number| (format!("file {number:03}"), content(number)))
        .collect();
    let refs: Vec<(&str, &[u8])> = all
        .iter()
        .map(|(name, bytes)| (&**name, &**bytes))
        .collect();
    let share = folder(&refs);
    let mut node = node_through(&proxy, &share);
    wait_for_names(&relay, 300);
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
fn a_node_falls_back_to_tcp_if_datagrams_are_lost() {
    let relay = relay(&[]);
    let proxy = LossyProxy::new(relay.address(), TOTAL_LOSS);
    let share = folder(&[("a", b"1")]);
    let mut node = node_through(&proxy, &share);
    wait_for_names(&relay, 1);
    // After one timeout UDP is not tried again.
    let before = Instant::now();
    assert_eq!(node.stop(), Some(0));
    assert!(before.elapsed() < Duration::from_secs(3));
    assert_eq!(ask(relay.address(), b"LIST\n"), "NODES 0\n");
    assert_eq!(relay.stat("datagrams"), 0);
}

#[test]
fn a_node_falls_back_to_tcp_at_once_if_udp_is_closed() {
    let relay = relay(&["--no-udp"]);
    let share = folder(&[("a", b"1")]);
    let before = Instant::now();
    let mut node = node(&relay, share.path(), &["--udp"]);
    wait_for_names(&relay, 1);
    assert_eq!(node.stop(), Some(0));
    assert_eq!(ask(relay.address(), b"LIST\n"), "NODES 0\n");
    assert!(
        before.elapsed() < Duration::from_secs(3),
        "nothing was waited for"
    );
}

/// Runs the client through a lossy proxy.
fn client_through(proxy: &LossyProxy, args: &[&str]) -> ProgramOutput {
    let args = [&["--udp"], args].concat();
    run(client_command(proxy.address(), &args), b"")
}

/// Registers a node with files; the size of each is its number.
fn announce(relay: &Server, files: u64) {
    let shares = (1..=files).map(|number| format!("SHARE {number} - file {number}\n"));
    let lines = format!("REGISTER * 9\n{}", shares.collect::<String>());
    ask(relay.address(), lines.as_bytes());
}

#[test]
fn a_node_sends_datagrams_from_its_listen_address() {
    let relay = relay(&[]);
    let share = folder(&[]);
    let node = node(&relay, share.path(), &["--udp", "--listen", "127.0.0.9"]);
    assert!(node.wire_address().starts_with("127.0.0.9 "));
    let list = format!("NODES 1\n{}\n", node.wire_address());
    assert_eq!(ask(relay.address(), b"LIST\n"), list);
}

#[test]
fn a_node_console_queries_over_udp() {
    let relay = relay(&[]);
    let proxy = LossyProxy::new(relay.address(), NO_LOSS);
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
    let output = run(command, b"find file 2\nfind file 1\nquit\n").expect_code(0);
    let text = output.text();
    assert!(
        text.contains("127.0.0.1 9 2 -\n127.0.0.1 9 1 -\n"),
        "{text}"
    );
    assert_eq!(proxy.connections(), 0, "{}", output.stderr);
}

#[test]
fn a_client_queries_over_udp() {
    let relay = relay(&[]);
    let proxy = LossyProxy::new(relay.address(), NO_LOSS);
    announce(&relay, 2);
    let output = client_through(&proxy, &["find", "file 2"]).expect_code(0);
    assert_eq!(output.text(), "127.0.0.1 9 2 -\n");
    assert_eq!(
        client_through(&proxy, &["nodes"]).expect_code(0).text(),
        "127.0.0.1 9\n"
    );
    client_through(&proxy, &["find", "file 3"]).expect_code(1);
    assert_eq!(proxy.connections(), 0);
    // SEARCH uses TCP.
    let output = client_through(&proxy, &["search", "file 2"]).expect_code(0);
    assert!(output.text().ends_with(" file 2\n"), "{}", output.text());
    assert_eq!(proxy.connections(), 1);
}

#[test]
fn a_client_finds_over_udp_and_fetches() {
    let relay = relay(&[]);
    let share = folder(&[("a file", b"content")]);
    let other = folder(&[]);
    let _nodes = [share.path(), other.path()].map(|share| node(&relay, share, &["--udp"]));
    wait_for_names(&relay, 1);
    let got = client(&relay, &["--udp", "get", "a file"]).expect_code(0);
    assert_eq!(got.text(), "content");
}

#[test]
fn a_truncated_list_is_requested_over_tcp() {
    let relay = relay(&[]);
    let proxy = LossyProxy::new(relay.address(), NO_LOSS);
    let nodes: String = (1..=200)
        .map(|port| format!("REGISTER * {port}\n"))
        .collect();
    ask(relay.address(), nodes.as_bytes());
    let list = client_through(&proxy, &["nodes"]).expect_code(0).text();
    assert_eq!(list.lines().count(), 200);
    assert_eq!(proxy.connections(), 1);
}

#[test]
fn a_client_finds_holders_despite_packet_loss() {
    let relay = relay(&[]);
    announce(&relay, 12);
    let proxy = LossyProxy::new(relay.address(), HEAVY_LOSS);
    thread::scope(|scope| {
        for number in 1..=12 {
            let proxy = &proxy;
            scope.spawn(move || {
                let name = format!("file {number}");
                let output = client_through(proxy, &["find", &name]).expect_code(0);
                assert_eq!(output.text(), format!("127.0.0.1 9 {number} -\n"));
            });
        }
    });
}

#[test]
fn a_client_falls_back_to_tcp_if_datagrams_are_lost() {
    let relay = relay(&[]);
    announce(&relay, 1);
    let proxy = LossyProxy::new(relay.address(), TOTAL_LOSS);
    let output = client_through(&proxy, &["find", "file 1"]).expect_code(0);
    assert_eq!(output.text(), "127.0.0.1 9 1 -\n");
    assert_eq!(proxy.connections(), 1);
}

#[test]
fn a_client_falls_back_to_tcp_at_once_if_udp_is_closed() {
    let relay = relay(&["--no-udp"]);
    announce(&relay, 1);
    let before = Instant::now();
    let output = client(&relay, &["--udp", "find", "file 1"]).expect_code(0);
    assert_eq!(output.text(), "127.0.0.1 9 1 -\n");
    assert!(
        before.elapsed() < Duration::from_secs(3),
        "nothing was waited for"
    );
}
