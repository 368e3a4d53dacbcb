//! `--from`: a client asks a node directly, without a relay.

use std::fs;
use std::process::Command;
use std::sync::{Arc, Mutex};

use crate::hashes::{self, hash, stat};
use crate::support::fake_server::FakeServer;
use crate::support::{ProgramOutput, Server, eventually, folder, node_with_relay, relay, run};

/// Runs the client with `--from` before and after the command.
fn client(node: &str, args: &[&str]) -> ProgramOutput {
    let start = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_peer-client"));
        // It does not count.
        command
            .env("PEERLINE_RELAY", "unknown.invalid:1")
            .args(args);
        run(command, b"")
    };
    let node: Vec<&str> = [&["--from"], &node.split(' ').collect::<Vec<_>>()[..]].concat();
    let output = start(&[args, &node].concat());
    let before = start(&[&node[..], args].concat());
    assert_eq!((output.code, &output.stdout), (before.code, &before.stdout));
    output
}

/// The address as two words and as one.
fn forms(node: &Server) -> [String; 2] {
    [node.wire_address(), node.address().to_string()]
}

#[test]
fn files_are_fetched_and_listed_without_a_relay() {
    let share = folder(&[("a.txt", b"A"), ("b.txt", b"BB"), ("c/d", b"D")]);
    let (node, _relay) = node_with_relay(share.path(), &[]);
    let address = node.wire_address();
    for form in forms(&node) {
        let output = client(&form, &["get", "a.txt"]).expect_code(0);
        assert_eq!(output.text(), "A");
        assert!(!output.stderr.contains("the relay"), "{}", output.stderr);
        let copies = folder(&[]);
        let dir = copies.path().to_str().expect("a text");
        client(&form, &["get", "*.txt", "-f", "-d", dir]).expect_code(0);
        let read = |name: &str| fs::read(copies.path().join(name)).expect("a file");
        assert_eq!([read("a.txt"), read("b.txt")], [&b"A"[..], b"BB"]);
        let list = client(&form, &["ls"]).expect_code(0).text();
        assert_eq!(list, "1 - 1 a.txt\n2 - 1 b.txt\n1 - 1 c/d\n");
        let list = client(&form, &["search", "B.T"]).expect_code(0).text();
        assert_eq!(list, "2 - 1 b.txt\n");
        let found = client(&form, &["find", "b.txt"]).expect_code(0).text();
        assert_eq!(found, format!("{address} 2 -\n"));
        let nodes = client(&form, &["nodes"]).expect_code(0).text();
        assert_eq!(nodes, format!("{address}\n"));
        client(&form, &["find", "b"]).expect_code(1);
        client(&form, &["search", "none"]).expect_code(1);
        let output = client(&form, &["get", "b"]).expect_code(1);
        assert!(
            output.stderr.contains("b: not found, 1 node asked"),
            "{}",
            output.stderr
        );
    }
}

#[test]
fn the_prompt_asks_the_node() {
    let share = folder(&[("a.txt", b"A")]);
    let (node, _relay) = node_with_relay(share.path(), &[]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_peer-client"));
    command.args(["--from", &node.address().to_string()]);
    let input = b"a.txt\nsearch A.T\nsend 127.0.0.1 9 hi\n";
    let output = run(command, input).expect_code(3);
    assert_eq!(output.text(), "A1 - 1 a.txt\n");
    let refused = "not sent: there is no relay";
    assert!(output.stderr.contains(refused), "{}", output.stderr);
}

#[test]
fn no_message_goes_to_a_node() {
    for flags in [&[][..], &["--tls", "required"]] {
        let received = Arc::new(Mutex::new(Vec::new()));
        let lines = Arc::clone(&received);
        let node = FakeServer::new(move |mut connection| {
            loop {
                let line = connection.line();
                if line.is_empty() {
                    return;
                }
                connection.send(match line.trim_end() {
                    "PING" => "PONG\n",
                    "LISTEN" => "OK 127.0.0.1 9\nFROM 127.0.0.1 10 hi\n",
                    _ => "ERROR 501 no\n",
                });
                lines.lock().expect("no panic").push(line);
            }
        });
        let mut command = Command::new(env!("CARGO_BIN_EXE_peer-client"));
        command.args(["--from", &node.address().to_string()]);
        command.args(flags);
        let input = b"chat\nhi\n/quit\nchat 127.0.0.1 10\n/quit\nsend 127.0.0.1 10 hi\nwho\n";
        let output = run(command, input).expect_code(3);
        assert_eq!(output.text(), "");
        drop(node);
        let received = received.lock().expect("no panic");
        let is_message = |line: &&String| {
            ["LISTEN", "SEND", "WHO"]
                .iter()
                .any(|verb| line.starts_with(verb))
        };
        assert_eq!(received.iter().find(is_message), None, "{}", output.stderr);
    }
}

#[test]
fn the_hash_that_the_node_states_is_checked() {
    let share = folder(&[("a", b"content")]);
    let relay = relay(&[]);
    let node = hashes::node(&relay, share.path(), &["--no-hash-cache"]);
    let right = hash(b"content");
    eventually("the hash is known", || stat(&node, "a") == right);
    let address = node.wire_address();
    client(&address, &["get", "a", "--hash", &right]).expect_code(0);
    client(&address, &["get", "a", "--hash", &hash(b"other")]).expect_code(12);
    let liar = FakeServer::new(move |mut connection| {
        loop {
            let line = connection.line();
            connection.send(match line.split_whitespace().next() {
                None => return,
                Some("STAT") => format!("STAT 7 {right} 0 -\n").into_bytes(),
                Some("GET" | "RANGE") => b"FOUND 7\nc0ntent".to_vec(),
                Some(_) => b"PONG\n".to_vec(),
            });
        }
    });
    let output = client(&liar.address().to_string(), &["get", "a"]).expect_code(12);
    assert_eq!(output.text(), "");
}

#[test]
fn a_node_that_is_not_there_is_named() {
    for command in [&["ls"][..], &["get", "a"], &["find", "a"]] {
        let output = client("127.0.0.1 9", command).expect_code(3);
        let why = "no answer from 127.0.0.1 port 9: connect failed: Connection refused; \
                   is the node running, and is its address right?\n";
        assert_eq!(output.stderr, why);
    }
}

#[test]
fn a_relay_in_place_of_the_node_is_no_empty_list() {
    let share = folder(&[("a", b"A")]);
    let (_node, relay) = node_with_relay(share.path(), &[]);
    for command in [&["ls"][..], &["search", "a"]] {
        let output = client(&relay.wire_address(), command).expect_code(3);
        let why = "a relay answers there, not a node; for a relay, leave out --from\n";
        assert!(output.stderr.ends_with(why), "{}", output.stderr);
        assert!(output.stdout.is_empty());
    }
    let home = folder(&[]);
    let dir = home.path().to_str().expect("a text");
    let output = client(&relay.wire_address(), &["get", "*", "-d", dir]).expect_code(3);
    let why = "a relay answers there, not a node";
    assert!(output.stderr.contains(why), "{}", output.stderr);
}
