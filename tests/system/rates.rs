//! Limits on the rate of content, by the time that transfers take at least.

use std::thread;
use std::time::{Duration, Instant};

use crate::hashes;
use crate::support::{
    Terminal, ask, ask_bytes, client, client_command, eventually, folder, node, noise, relay,
};

const SIZE: usize = 1_000_000;
/// Bytes per second, for `--limit-rate`.
const RATE: &str = "2MB";
/// What a transfer of `SIZE` bytes takes at that rate, less 10 %: a loop that was idle or busy
/// has credit.
const LEAST: Duration = Duration::from_millis(450);

/// How long `act` takes.
fn time_of<V>(act: impl FnOnce() -> V) -> (V, Duration) {
    let start = Instant::now();
    (act(), start.elapsed())
}

#[test]
fn a_node_sends_no_faster_than_its_limit() {
    let content = noise(SIZE, 1);
    let share = folder(&[("a", &content)]);
    let relay = relay(&[]);
    let node = node(&relay, share.path(), &["--limit-rate", RATE]);
    let address = node.address();
    let get = || time_of(|| ask_bytes(address, b"GET a\n"));
    let (reply, alone) = get();
    assert!(reply.ends_with(&content), "{} bytes", reply.len());
    assert!(alone >= LEAST, "{alone:?}");
    // Two take twice as long, and a short request does not wait for them.
    thread::scope(|scope| {
        let both = [(); 2].map(|()| scope.spawn(get));
        let (reply, _) = time_of(|| ask(address, b"PING\n"));
        assert_eq!(reply, "PONG\n");
        let times = both.map(|one| one.join().expect("a reply").1);
        let longest = times.into_iter().max().expect("two");
        assert!(longest >= LEAST * 2, "{longest:?}");
    });
}

#[test]
fn each_peer_of_a_node_has_a_limit_and_loopback_is_not_exempt() {
    let content = noise(SIZE, 2);
    let small = noise(10_000, 3);
    let share = folder(&[("large", &content), ("small", &small)]);
    let relay = relay(&[]);
    let node = node(&relay, share.path(), &["--limit-rate-per-peer", RATE]);
    let (_, took) = time_of(|| ask_bytes(node.address(), b"GET large\n"));
    assert!(took >= LEAST, "{took:?}");
    // Small files, which are in memory, count as well.
    let requests = "GET small\n".repeat(SIZE / small.len());
    let (reply, took) = time_of(|| ask_bytes(node.address(), requests.as_bytes()));
    assert!(reply.len() > SIZE);
    assert!(took >= LEAST, "{took:?}");
}

#[test]
fn a_client_receives_no_faster_than_its_limit() {
    let content = noise(SIZE, 4);
    let share = folder(&[("a", &content)]);
    let relay = relay(&[]);
    let _node = node(&relay, share.path(), &[]);
    for flag in ["--limit-rate", "--limit-rate-per-peer"] {
        let (output, took) = time_of(|| client(&relay, &["get", "a", flag, RATE]));
        assert!(output.expect_code(0).stdout == content);
        assert!(took >= LEAST, "{flag}: {took:?}");
    }
}

#[test]
fn pieces_that_the_limit_of_the_client_delays_are_fetched_once() {
    let content = noise(3 * SIZE, 5);
    let share = folder(&[("a", &content)]);
    let relay = relay(&[]);
    // A node closes the connection of a client that leaves much unread.
    let args = ["--no-hash-cache", "--stall", "1", "--log-rate", "1000000"];
    let nodes = [(); 2].map(|()| hashes::node(&relay, share.path(), &args));
    let hash = hashes::hash(&content);
    eventually("both are holders", || {
        ask(relay.address(), b"FIND a\n").matches(&hash).count() == 2
    });
    let (output, took) = time_of(|| client(&relay, &["get", "a", "--limit-rate", RATE]));
    assert!(output.expect_code(0).stdout == content);
    assert!(took >= LEAST * 3, "{took:?}");
    let sent: u64 = nodes.iter().map(|node| node.stat("bytes_out")).sum();
    assert!(sent < content.len() as u64 * 11 / 10, "{sent} bytes");
    for node in &nodes {
        assert!(!node.log().contains("slow reader"), "{}", node.log());
    }
}

#[test]
fn the_progress_names_the_limit() {
    let share = folder(&[("a", &noise(SIZE, 6))]);
    let (relay, copies) = (relay(&[]), folder(&[]));
    let _node = node(&relay, share.path(), &[]);
    let dir = copies.path().to_str().expect("a text");
    let args = ["get", "a", "-d", dir, "--limit-rate", RATE];
    let mut terminal = Terminal::start(client_command(relay.address(), &args));
    terminal.expect(" (limit 2.00 MB/s)");
    assert_eq!(terminal.wait().1, 0);
}
