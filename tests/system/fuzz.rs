//! Random input, and valid input that is split at random. A failure prints its seed.

use fastrand::Rng;

use crate::support::{Nc, Server, ask, ask_bytes, folder, node_with_relay};

/// The words that a reply can begin with.
const HEADS: [&str; 8] = [
    "OK", "PONG", "NODES", "FILES", "STATS", "HELP", "NOTFOUND", "ERROR",
];

/// The first byte of a connection that speaks TLS.
const TLS: u8 = 0x16;
/// The first byte of what a server says to one that does not.
const TLS_ALERT: u8 = 0x15;

/// Fragments of requests, which get further than random bytes.
const PIECES: [&[u8]; 16] = [
    b"GET ",
    b"get\t",
    b"LIST",
    b"MORE",
    b"PING",
    b"HELP",
    b"REGISTER ",
    b"UNREGISTER ",
    b"* 9",
    b"127.0.0.1 ",
    b"::1 80",
    b"\r\n",
    b"\n",
    b" ",
    b"file",
    b"../",
];

fn random_request(rng: &mut Rng) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..rng.usize(..200) {
        if rng.bool() {
            bytes.extend_from_slice(PIECES[rng.usize(..PIECES.len())]);
        } else {
            bytes.extend((0..rng.usize(..8)).map(|_| rng.u8(..)));
        }
    }
    bytes
}

fn check_random_request(server: &Server, seed: u64) {
    let request = random_request(&mut Rng::with_seed(seed));
    let reply = ask_bytes(server.address(), &request);
    if request.first() == Some(&TLS) {
        assert!(
            matches!(reply.first(), None | Some(&TLS_ALERT)),
            "seed {seed}"
        );
        return;
    }
    let reply = String::from_utf8(reply).expect("answers are text");
    // No line of a reply has a control character.
    assert!(
        !reply.contains(|c: char| c.is_control() && c != '\n'),
        "seed {seed}"
    );
    let head = reply.split([' ', '\n']).next().expect("a word");
    let known = HEADS.contains(&head) || reply.is_empty();
    assert!(known, "seed {seed}: {reply:?}");
}

#[test]
fn random_input_does_no_harm() {
    let share = folder(&[("other", b"")]);
    let (node, relay) = node_with_relay(share.path(), &["--log-level", "debug"]);
    for seed in 0..200 {
        check_random_request(&relay, seed);
        check_random_request(&node, seed);
    }
    for server in [&relay, &node] {
        assert_eq!(ask(server.address(), b"PING\n"), "PONG\n");
        let log = server.log_until("last PING");
        let is_control = |c: char| c.is_control() && c != '\n';
        assert!(
            !log.contains(is_control),
            "what came does not act on a terminal"
        );
    }
}

#[test]
fn the_split_of_input_does_not_change_the_replies() {
    let large = [b'x'; 70_000];
    let share = folder(&[("small", b"small"), ("large", &large)]);
    let (node, _relay) = node_with_relay(share.path(), &[]);
    let script = b"GET small\r\n\nGET large\nLIST\nMORE\nhello\nGET none\nPING\nQUIT\nPING\n";
    let whole = ask_bytes(node.address(), script);
    for seed in 0..50 {
        let mut rng = Rng::with_seed(seed);
        let mut nc = Nc::connect(node.address());
        let mut rest = &script[..];
        while !rest.is_empty() {
            let (piece, later) = rest.split_at(rng.usize(1..=rest.len().min(20)));
            nc.send(piece);
            rest = later;
        }
        assert!(nc.rest() == whole, "seed {seed}");
    }
}
