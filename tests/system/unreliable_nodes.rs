//! Fetches from nodes that are silent, that lie about their content, or that give up
//! because our own output is slow.

use std::io::Read;
use std::net::SocketAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Stdio;
use std::time::{Duration, Instant, SystemTime};

use crate::support::fake_server::{FakeServer, unregister};
use crate::support::piece_node::{Fault, PieceNode};
use crate::support::relay_index::{self, holders};
use crate::support::{
    RunningProgram, Server, ask, client, client_command, eventually, folder, large_file, node,
    noise, relay, run,
};

const HELLO: &[u8] = b"Hello, Peerline!\n";

/// Registers a node and announces a content for it.
fn announce(relay: &Server, node: SocketAddr, content: &[u8], name: &str) {
    let (ip, port, size) = (node.ip(), node.port(), content.len());
    let hash = blake3::hash(content);
    let lines = format!("REGISTER {ip} {port}\nSHARE {size} {hash} {name}\n");
    let reply = ask(relay.address(), lines.as_bytes());
    assert!(reply.ends_with("\nOK\n"), "{reply}");
}

/// A node's reply to `GET`.
fn found(content: &[u8]) -> Vec<u8> {
    [format!("FOUND {}\n", content.len()).as_bytes(), content].concat()
}

/// Regression: after a second, whatever the other node sent was saved.
#[test]
fn a_node_without_a_hash_sends_the_content_whose_hash_is_known_or_none() {
    let large = noise(3_000_000, 1);
    for right in [HELLO, &large] {
        let mut wrong = right.to_vec();
        wrong[0] ^= 1;
        let longer = [right, b"!"].concat();
        for (sent, code) in [(right, 0), (&wrong, 12), (&longer, 12)] {
            let relay = relay(&[]);
            let silent = FakeServer::hanging_after("");
            announce(&relay, silent.address(), right, "file");
            let other = FakeServer::replying(found(sent));
            let size = sent.len() as u64;
            relay_index::announce(&relay, other.address(), size, "file");
            let home = folder(&[("file", b"old")]);
            let path = home.path().to_str().expect("UTF-8");
            let args = ["get", "file", "-d", path, "--force", "--timeout=2"];
            let output = client(&relay, &args).expect_code(code);
            let saved = std::fs::read(home.path().join("file")).expect("a file");
            assert!(saved == if code == 0 { right } else { b"old" });
            let is_named = output.stderr.contains("not have the hash that is known");
            assert_eq!(is_named, code != 0, "{}", output.stderr);
        }
    }
}

#[test]
fn silent_nodes_cost_little() {
    // Most say nothing, and some fall silent within the content.
    let last_words = ["", "", "FOUND 17\n", "FOUND 17\nHello"];
    let silent = (0..20).map(|number| FakeServer::hanging_after(last_words[number % 4]));
    let silent: Vec<_> = silent.collect();
    let honest = FakeServer::replying(found(HELLO));
    let mut nodes: Vec<_> = silent.iter().map(FakeServer::address).collect();
    nodes.push(honest.address());
    let relay = FakeServer::relay(&nodes);
    let started = Instant::now();
    let args = ["get", "hello.txt", "--timeout", "3"];
    let output = run(client_command(relay.address(), &args), b"").expect_code(0);
    assert_eq!(output.stdout, HELLO);
    // One after the other, they would take a minute.
    assert!(started.elapsed() < Duration::from_secs(30));
    // A shorter delay is a flag.
    let started = Instant::now();
    let args = [&args[..], &["--try-delay", "0.01"]].concat();
    run(client_command(relay.address(), &args), b"").expect_code(0);
    assert!(started.elapsed() < Duration::from_secs(10));
}

#[test]
fn a_time_in_the_future_is_not_that_of_a_file() {
    let hash = blake3::hash(HELLO);
    let node = FakeServer::new(move |mut connection| {
        loop {
            let line = connection.line();
            let is_open = match line.split(' ').next() {
                Some("STAT") => connection.send(format!("STAT 17 {hash} 15000000000 x\n")),
                _ if line.is_empty() => false,
                _ => connection.send(found(HELLO)),
            };
            if !is_open {
                return;
            }
        }
    });
    let relay = relay(&[]);
    announce(&relay, node.address(), HELLO, "hello.txt");
    let home = folder(&[]);
    let mut command = client_command(relay.address(), &["get", "hello.txt", "-d."]);
    command.current_dir(home.path());
    let before = SystemTime::now() - Duration::from_secs(60);
    run(command, b"").expect_code(0);
    let metadata = std::fs::metadata(home.path().join("hello.txt")).expect("a file");
    let modified = metadata.modified().expect("a time");
    assert!(modified > before && modified <= SystemTime::now());
    // The source says so.
    assert_ne!(metadata.permissions().mode() & 0o100, 0);
}

#[test]
fn a_node_that_sends_no_piece_takes_no_space() {
    let content = noise(20 << 20, 25);
    let relay = relay(&[]);
    let _node = PieceNode::new(&relay, &content, Fault::HangAt(1));
    let home = folder(&[]);
    let mut command = client_command(relay.address(), &["get", "file", "-d."]);
    command.current_dir(home.path()).stdin(Stdio::null());
    let client = RunningProgram::start(command.stderr(Stdio::null()));
    let part = || std::fs::metadata(home.path().join(".file.part")).ok();
    let allocated = || part().map_or(0, |part| part.blocks() * 512);
    eventually("the first half of a piece", || allocated() >= 256 * 1024);
    assert!(allocated() < 10 << 20, "{} bytes", allocated());
    assert_eq!(part().map(|part| part.len()), Some(20 << 20));
    drop(client);
}

#[test]
fn failing_nodes_are_limited() {
    let mute = FakeServer::replying("");
    let port = mute.address().port();
    let nodes = (1..=100).map(|n| SocketAddr::from(([127, 0, 0, n], port)));
    let nodes: Vec<_> = nodes.collect();
    let relay = FakeServer::relay(&nodes);
    let args = ["get", "a", "--max-failures", "3"];
    let output = run(client_command(relay.address(), &args), b"").expect_code(5);
    let message = "a: given up, 3 of 100 nodes failed, 97 not asked; --max-failures sets the limit";
    assert!(output.stderr.contains(message), "{}", output.stderr);
}

#[test]
fn many_nodes_at_one_address_do_not_hide_another() {
    let relay = relay(&[]);
    let lines = (1..=100).map(|port| format!("REGISTER 127.0.0.1 {port}\nSHARE 17 - hello.txt\n"));
    ask(relay.address(), lines.collect::<String>().as_bytes());
    let share = folder(&[("hello.txt", HELLO)]);
    let _honest = node(&relay, share.path(), &["--listen", "127.0.0.2"]);
    eventually("all holders", || holders(&relay, "hello.txt").len() == 101);
    for _ in 0..3 {
        let output = client(&relay, &["get", "hello.txt"]).expect_code(0);
        assert_eq!(output.stdout, HELLO);
    }
}

#[test]
fn a_liar_is_named_and_the_next_holder_is_asked() {
    let relay = relay(&[]);
    let honest = FakeServer::replying(found(HELLO));
    announce(&relay, honest.address(), HELLO, "hello.txt");
    let liar = FakeServer::replying(found(b"Hello, Pharmacy!\n"));
    announce(&relay, liar.address(), HELLO, "hello.txt");
    let (home, mut named) = (folder(&[]), 0);
    let message = format!(
        "127.0.0.1 port {}: the content does not have the announced hash",
        liar.address().port()
    );
    for number in 0..4 {
        let path = home.path().join(number.to_string());
        let output = client(&relay, &["get", "hello.txt"]).expect_code(0);
        assert_eq!(output.stdout, HELLO);
        named += usize::from(output.stderr.contains(&message));
        let args = ["get", "hello.txt", "-q", "-o", path.to_str().expect("text")];
        let output = client(&relay, &args).expect_code(0);
        named += usize::from(output.stderr.contains(&message));
        assert_eq!(std::fs::read(path).expect("the file"), HELLO);
    }
    // The relay names each of them first in turn.
    assert!(liar.connections() > 0);
    assert_eq!(named, liar.connections());
    // Only the liar is left.
    unregister(&relay, honest.address());
    let output = client(&relay, &["get", "hello.txt"]).expect_code(12);
    assert_eq!(output.text(), "");
    assert!(output.stderr.contains(&message), "{}", output.stderr);
}

#[test]
fn wrong_content_that_was_printed_has_its_exit_code() {
    let relay = relay(&[]);
    // More than the client holds back until it is checked.
    let (content, wrong) = (noise(2 << 20, 1), noise(2 << 20, 2));
    let liar = FakeServer::replying(found(&wrong));
    announce(&relay, liar.address(), &content, "file");
    let output = client(&relay, &["get", "file"]).expect_code(12);
    let port = liar.address().port();
    let message = format!(" bytes printed, from 127.0.0.1 port {port}");
    assert!(
        output.stderr.contains("file: wrong content: "),
        "{}",
        output.stderr
    );
    assert!(output.stderr.contains(&message), "{}", output.stderr);
    // Nothing wrong is saved.
    let home = folder(&[]);
    let args = ["get", "file", "-d", home.path().to_str().expect("text")];
    client(&relay, &args).expect_code(12);
    assert_eq!(std::fs::read_dir(home.path()).expect("it").count(), 0);
}

#[test]
fn another_content_does_not_block_a_script() {
    let relay = relay(&[]);
    let honest = FakeServer::replying(found(HELLO));
    announce(&relay, honest.address(), HELLO, "hello.txt");
    let other = FakeServer::replying(found(b"other"));
    announce(&relay, other.address(), b"other", "hello.txt");
    for _ in 0..4 {
        let output = client(&relay, &["get", "hello.txt"]).expect_code(0);
        assert_eq!(output.stdout, HELLO);
        let message = "hello.txt: several contents; fetching the first; to choose one, add --hash HASH to the command";
        assert!(output.stderr.contains(message), "{}", output.stderr);
    }
    // Nodes at more addresses count more than the age of a node.
    let second = SocketAddr::from(([127, 0, 0, 2], other.address().port()));
    announce(&relay, second, b"other", "hello.txt");
    let output = client(&relay, &["get", "hello.txt"]).expect_code(0);
    assert_eq!(output.text(), "other");
}

#[test]
fn a_script_is_told_that_another_content_is_tried() {
    let relay = relay(&[]);
    // The content that is fetched first does not come from its only node.
    let other = FakeServer::replying(found(b"other"));
    announce(&relay, other.address(), HELLO, "hello.txt");
    let honest = FakeServer::replying(found(b"other"));
    announce(&relay, honest.address(), b"other", "hello.txt");
    let output = client(&relay, &["get", "hello.txt", "--json"]).expect_code(0);
    assert_eq!(output.text(), "other");
    let note = format!("hello.txt: no node has sent {}", blake3::hash(HELLO));
    assert!(output.stderr.contains(&note), "{}", output.stderr);
}

#[test]
fn a_slow_reader_of_stdout_is_told_so() {
    // More than all buffers hold.
    let share = large_file(64 << 20);
    let relay = relay(&[]);
    let node = node(&relay, share.path(), &["--stall", "2"]);
    let mut client = RunningProgram::start(
        client_command(relay.address(), &["get", "large", "-q"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped()),
    );
    let mut stdout = client.child.stdout.take().expect("it is a pipe");
    stdout.read_exact(&mut [0]).expect("the first byte");
    node.log_until("slow reader");
    stdout.read_to_end(&mut Vec::new()).expect("the rest");
    assert_eq!(client.wait(), Some(4));
    let mut text = String::new();
    let stderr = client.child.stderr.as_mut().expect("it is a pipe");
    stderr.read_to_string(&mut text).expect("text");
    let message = "broken off: the output took no data for ";
    assert!(text.contains(message), "{text}");
}
