//! Files that a node is still fetching: it serves the pieces that it has.

use std::fs;
use std::net::SocketAddr;
use std::time::Instant;

use peerline::protocol::FileParts;

use crate::descriptors::start_with_limit;
use crate::hashes;
use crate::http_archive::unpack;
use crate::node_console::node_with_stdin;
use crate::support::piece_node::{Fault, PieceNode};
use crate::support::relay_index::{self, holders};
use crate::support::{
    DEADLINE, Server, ask, ask_bytes, client_command, eventually, folder, http, noise, relay, run,
};

const MIB: usize = 1024 * 1024;

/// A relay, and a slow node that has announced the hash of `big`.
fn slow_node(content: &[u8], rate: &str) -> (Server, Server, tempfile::TempDir) {
    let relay = relay(&[]);
    let share = folder(&[("big", content)]);
    let node = hashes::node(&relay, share.path(), &["--limit-rate", rate]);
    let hash = blake3::hash(content).to_string();
    eventually("the hash is announced", || {
        relay_index::hashes(&relay, "big").contains(&hash)
    });
    (relay, node, share)
}

/// The last field of the reply to `STAT` for an incomplete file.
fn parts(node: SocketAddr) -> Option<FileParts> {
    let stat = ask(node, b"STAT big\n");
    let parts = stat.split_ascii_whitespace().nth(5)?;
    Some(parts.parse().expect("parts"))
}

#[test]
fn two_nodes_that_fetch_the_same_file_help_each_other() {
    let content = noise(48 * MIB, 1);
    let (relay, origin, _share) = slow_node(&content, "8MB");
    let folders = [folder(&[]), folder(&[])];
    let args = ["--get", "big", "--no-console"];
    let mut nodes = folders
        .each_ref()
        .map(|folder| hashes::node(&relay, folder.path(), &args));
    for (node, folder) in nodes.iter_mut().zip(&folders) {
        let text = node.log_until("big: 50.33 MB in ");
        assert!(text.contains(", verified"), "{text}");
        let log = node.log();
        let is_empty = |line: &str| line.trim_end().ends_with(']');
        assert!(!log.lines().any(is_empty), "progress is not logged: {log}");
        let saved = fs::read(folder.path().join("big")).expect("the file");
        assert!(saved == content);
    }
    let served = origin.stat("bytes_out") as usize;
    assert!(
        served < content.len() * 16 / 10,
        "{served} bytes for two nodes"
    );
}

#[test]
fn an_incomplete_file_is_served_in_parts() {
    let content = noise(8 * MIB, 2);
    let (relay, _origin, _share) = slow_node(&content, "2MB");
    let own = folder(&[]);
    let mut node = node_with_stdin(&relay, own.path(), &[]);
    node.enter("get big");
    let address = node.address();
    let is_part = |parts: &FileParts, piece: u64| {
        let start = piece * MIB as u64;
        parts.contains(&(start..start + MIB as u64))
    };
    eventually("a piece has arrived", || {
        parts(address).is_some_and(|parts| (0..8).any(|piece| is_part(&parts, piece)))
    });
    let now = parts(address).expect("it is incomplete");
    let present = (0..8).find(|piece| is_part(&now, *piece)).expect("a part");
    let (start, hash) = (present * MIB as u64, blake3::hash(&content));
    let reply = ask_bytes(
        address,
        format!("RANGE {start} {MIB} {hash} big\n").as_bytes(),
    );
    let piece = &content[start as usize..start as usize + MIB];
    assert!(reply == [format!("FOUND {MIB}\n").as_bytes(), piece].concat());
    // Of a part, and of less than one that is sent from memory.
    let reply = ask_bytes(address, format!("RANGE {} 5 - big\n", start + 7).as_bytes());
    assert!(reply == [b"FOUND 5\n", &piece[7..12]].concat());
    for (request, reply) in [
        (
            format!("RANGE 0 {} {hash} big\n", 8 * MIB),
            "ERROR 416 the node does not have this part",
        ),
        (
            format!("RANGE {} 1 - big\n", 9 * MIB),
            "ERROR 416 the offset is past the end",
        ),
        (
            format!("RANGE 0 1 {} big\n", blake3::hash(b"")),
            "ERROR 409 ",
        ),
        ("GET big\n".to_owned(), "ERROR 503 the file is incomplete"),
        ("PIECES big\n".to_owned(), "PIECES 8 1048576 "),
        ("LIST\n".to_owned(), "FILES 1 1\n8388608 "),
    ] {
        let answer = ask(address, request.as_bytes());
        assert!(answer.starts_with(reply), "{request}: {answer}");
    }
    eventually("it is announced", || holders(&relay, "big").len() == 2);
    node.log_until("big: 8.39 MB in ");
    assert_eq!(
        ask_bytes(address, b"GET big\n").len(),
        "FOUND 8388608\n".len() + content.len()
    );
    eventually("it is a file like others", || parts(address).is_none());
}

#[test]
fn a_download_that_is_broken_off_is_no_longer_announced() {
    let content = noise(8 * MIB, 3);
    let (relay, _origin, _share) = slow_node(&content, "1MB");
    let own = folder(&[]);
    let mut node = node_with_stdin(&relay, own.path(), &[]);
    node.enter("get big");
    eventually("it is announced", || holders(&relay, "big").len() == 2);
    node.enter("cancel 1");
    node.log_until("broken off");
    eventually("it is withdrawn", || holders(&relay, "big").len() == 1);
    assert_eq!(ask(node.address(), b"STAT big\n"), "NOTFOUND\n");
}

#[track_caller]
fn get(relay: &Server, code: i32) -> (Option<Vec<u8>>, String) {
    let home = folder(&[]);
    let mut command = client_command(relay.address(), &["get", "file", "-o", "saved"]);
    command.current_dir(home.path());
    let output = run(command, b"").expect_code(code);
    (fs::read(home.path().join("saved")).ok(), output.stderr)
}

#[test]
fn nodes_with_a_part_are_asked_for_that_part_only() {
    let relay = relay(&[]);
    let content = noise(9 * MIB, 4);
    let incomplete = PieceNode::new(&relay, &content, Fault::Incomplete(4));
    let _liar = PieceNode::new(&relay, &content, Fault::NamesParts);
    let _whole = PieceNode::new(&relay, &content, Fault::None);
    let (saved, stderr) = get(&relay, 0);
    assert!(saved.as_ref() == Some(&content), "{stderr}");
    assert!(incomplete.served() <= 4);
}

#[test]
fn nodes_that_get_nothing_new_are_not_waited_for() {
    let relay = relay(&[]);
    let content = noise(9 * MIB, 5);
    let _half = PieceNode::new(&relay, &content, Fault::Incomplete(4));
    let _liar = PieceNode::new(&relay, &content, Fault::NamesParts);
    let started = Instant::now();
    let (saved, stderr) = get(&relay, 4);
    assert_eq!(saved, None);
    assert!(
        stderr.contains("44 %") || stderr.contains("4.19 MB"),
        "{stderr}"
    );
    assert!(started.elapsed() < DEADLINE, "{stderr}");
}

/// Only a piece that has arrived is progress; what a node says of its pieces is none.
#[track_caller]
fn assert_given_up(fault: Fault) {
    let relay = relay(&[]);
    let content = noise(24 * MIB, 6);
    let liar = PieceNode::new(&relay, &content, fault);
    let (saved, stderr) = get(&relay, 5);
    assert_eq!(saved, None);
    assert!(liar.stats() < 12, "{} requests: {stderr}", liar.stats());
}

#[test]
fn a_node_that_claims_the_whole_file_and_sends_nothing_is_given_up() {
    assert_given_up(Fault::ClaimsWholeFile);
}

#[test]
fn a_node_that_names_one_more_piece_each_time_and_sends_nothing_is_given_up() {
    assert_given_up(Fault::NamesOneMore);
}

#[test]
fn an_archive_leaves_incomplete_files_out() {
    let content = noise(8 * MIB, 7);
    let (relay, _origin, _share) = slow_node(&content, "1MB");
    let own = folder(&[("a", b"first"), ("z", b"last")]);
    let mut node = node_with_stdin(&relay, own.path(), &[]);
    node.enter("get big");
    let address = node.address();
    eventually("it is listed", || parts(address).is_some());
    let archive = unpack(&http(address, "GET", "/?tar", "").content);
    assert!(parts(address).is_some(), "too late");
    assert_eq!(archive.keys().collect::<Vec<_>>(), ["a", "z"]);
    let response = http(address, "GET", "/big", "");
    assert_eq!(response.status, 503);
    assert_eq!(response.header("retry-after"), Some("1"));
}

#[test]
fn short_parts_of_an_incomplete_file_keep_no_descriptor() {
    let content = noise(8 * MIB, 8);
    let (relay, _origin, _share) = slow_node(&content, "1MB");
    let own = folder(&[]);
    let (port, share) = (relay.address().port().to_string(), own.path());
    let share = share.to_str().expect("a temporary folder's name is text");
    let args = ["127.0.0.1", &port, "--share", share, "--get", "big"];
    let node = start_with_limit(80, env!("CARGO_BIN_EXE_peer-node"), &args);
    let address = node.address();
    let first = |parts: &FileParts| {
        (0..8)
            .map(|n| n * MIB as u64)
            .find(|n| parts.contains(&(*n..n + 1)))
    };
    let mut start = None;
    eventually("a piece has arrived", || {
        start = parts(address).and_then(|parts| first(&parts));
        start.is_some()
    });
    let start = start.expect("it has arrived");
    // More answers than descriptors, in one turn of the loop.
    let requests = format!("RANGE {start} 1 - big\n").repeat(200);
    let reply = ask_bytes(address, requests.as_bytes());
    let answer = [b"FOUND 1\n", &content[start as usize..=start as usize]].concat();
    assert!(
        reply == answer.repeat(200),
        "{}",
        String::from_utf8_lossy(&reply)
    );
}
