//! The SHA-256 that nodes announce to the relay: for aria2c, and despite nodes that lie.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::thread;

use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::digest::sha256sum;
use crate::hashes::node;
use crate::support::{
    ProgramOutput, Server, ask, eventually, folder, http, http_program, is_missing, noise, relay,
    unlisted_node,
};

const SIZE: usize = 8 << 20;
const NAME: &str = "big.iso";
const METALINK: &str = "/metalink/big.iso.meta4";

/// A node that computes SHA-256, and its folder.
struct Holder {
    node: Server,
    _share: TempDir,
}

impl Holder {
    fn new(relay: &Server, content: &[u8]) -> Self {
        let share = folder(&[(NAME, content)]);
        let args = ["--sha256", "--no-hash-cache"];
        let node = node(relay, share.path(), &args);
        Self {
            node,
            _share: share,
        }
    }
}

/// Announces the content, and perhaps a digest of it, for a node at this address.
fn announce(relay: &Server, node: SocketAddr, content: &[u8], sha256: Option<&str>) {
    let (ip, port, size) = (node.ip(), node.port(), content.len());
    let hash = blake3::hash(content);
    let mut lines = format!("REGISTER {ip} {port}\nSHARE {size} {hash} {NAME}\n");
    let mut count = 2;
    if let Some(sha256) = sha256 {
        lines += &format!("SHAREDIGEST {hash} sha-256 {sha256} {NAME}\n");
        count += 1;
    }
    let reply = ask(relay.address(), lines.as_bytes());
    assert_eq!(reply.matches("OK").count(), count, "{reply}");
}

/// The digest of a content as another program computes it.
fn sha256_of(content: &[u8]) -> String {
    let folder = folder(&[("file", content)]);
    sha256sum(&folder.path().join("file"))
}

/// The digest in the Metalink of the file.
fn metalink_digest(relay: &Server) -> Option<String> {
    let found = http(relay.address(), "GET", METALINK, "");
    let (_, rest) = found.text().split_once("<hash type=\"sha-256\">")?;
    Some(rest.split_once("</hash>")?.0.to_owned())
}

/// The digest of each holder in JSON.
fn holder_digests(relay: &Server) -> Vec<Value> {
    let found = http(relay.address(), "GET", "/api/holders/big.iso", "");
    let object: Value = serde_json::from_str(found.text()).expect("it is JSON");
    let holders = object["holders"].as_array().expect("a list");
    holders
        .iter()
        .map(|holder| holder["sha256"].clone())
        .collect()
}

/// A relay at an address that no other test uses, so that its port is still free at the
/// restart.
fn relay_at(port: u16) -> Server {
    let mut command = Command::new(env!("CARGO_BIN_EXE_relay-server"));
    command.arg(port.to_string());
    command.args(["--listen", "127.0.0.76", "--lease", "3"]);
    Server::start(command)
}

#[test]
fn the_digest_of_a_node_reaches_clients_of_the_relay() {
    let content = noise(SIZE / 8, 8);
    let mut relay = relay_at(0);
    let holder = Holder::new(&relay, &content);
    let sha256 = sha256_of(&content);
    for _ in 0..2 {
        eventually("the digest is announced", || {
            metalink_digest(&relay).as_ref() == Some(&sha256)
        });
        assert_eq!(holder_digests(&relay), [sha256.as_str()]);
        assert_eq!(
            ask(relay.address(), b"DIGEST big.iso\n"),
            format!("DIGEST sha-256 {sha256}\n")
        );
        let page = http(
            relay.address(),
            "GET",
            "/holders/big.iso",
            "Accept: text/html\r\n",
        );
        // A narrow page breaks it in the middle.
        let text = page.text().replace("<wbr>", "");
        assert!(text.contains(&sha256), "{text}");
        let found = http(relay.address(), "HEAD", "/files/big.iso", "");
        let digest = found.header("digest").expect("a digest");
        let base64 = digest.strip_prefix("SHA-256=").expect("an algorithm");
        let output = Command::new("sh")
            .args([
                "-c",
                &format!("printf %s {base64} | base64 -d | od -An -v -tx1"),
            ])
            .output()
            .expect("the programs are installed");
        let hex = String::from_utf8(output.stdout).expect("text");
        assert_eq!(hex.split_whitespace().collect::<String>(), sha256);
        assert_eq!(found.header("repr-digest"), None);
        // A relay that is started again gets the digest again.
        let port = relay.address().port();
        relay.signal(Signal::KILL);
        relay.wait();
        relay = relay_at(port);
    }
    drop(holder);
}

#[test]
fn a_wrong_digest_is_not_told() {
    let content = noise(1000, 8);
    let relay = relay(&[]);
    let (right, wrong) = (sha256_of(&content), sha256_of(b"other"));
    let node = |port| SocketAddr::from(([127, 0, 0, 1], port));
    announce(&relay, node(40_001), &content, Some(&right));
    announce(&relay, node(40_002), &content, None);
    assert_eq!(metalink_digest(&relay).as_ref(), Some(&right));
    announce(&relay, node(40_003), &content, Some(&wrong));
    assert_eq!(metalink_digest(&relay), None);
    assert_eq!(holder_digests(&relay), [(); 3].map(|()| Value::Null));
    // A later announcement of the right one does not decide.
    announce(&relay, node(40_004), &content, Some(&right));
    assert_eq!(metalink_digest(&relay), None);
    // Another content of the same name has a digest of its own.
    let other = noise(1000, 9);
    announce(&relay, node(40_003), &other, Some(&wrong));
    let target = format!("{METALINK}?hash={}", blake3::hash(&content));
    let found = http(relay.address(), "GET", &target, "");
    assert!(found.text().contains(&right), "{}", found.text());
    assert_eq!(
        ask(relay.address(), b"UNREGISTER 127.0.0.1 40003\n"),
        "OK\n"
    );
    assert_eq!(metalink_digest(&relay).as_ref(), Some(&right));
    // The digest goes with those who have announced it.
    for port in [40_001, 40_004] {
        let line = format!("UNREGISTER 127.0.0.1 {port}\n");
        assert_eq!(ask(relay.address(), line.as_bytes()), "OK\n");
    }
    assert_eq!(metalink_digest(&relay), None);
    assert_eq!(holder_digests(&relay), [Value::Null]);
}

/// Three nodes with the same large file, whose digest the relay knows.
fn three_holders(relay: &Server, content: &[u8]) -> [Holder; 3] {
    let holders = [(); 3].map(|()| Holder::new(relay, content));
    let sha256 = sha256_of(content);
    eventually("three nodes with a digest", || {
        holder_digests(relay) == [sha256.as_str(); 3] && metalink_digest(relay).is_some()
    });
    holders
}

/// Downloads from several nodes at once: without a limit, the first one would send all before
/// the others are asked.
fn aria2c(relay: &Server, target: &TempDir) -> ProgramOutput {
    let url = format!("http://{}{METALINK}", relay.address());
    let args = [
        "--max-connection-per-server=4",
        "--max-overall-download-limit=6M",
        "--min-split-size=1M",
        "--split=4",
        "--console-log-level=notice",
        &url,
    ];
    http_program("aria2c", target.path(), &args)
}

#[test]
fn aria2c_checks_the_file_when_a_node_dies() {
    if is_missing("aria2c") {
        return;
    }
    let content = noise(SIZE, 8);
    let relay = relay(&[]);
    let holders = three_holders(&relay, &content);
    let target = folder(&[]);
    let output = thread::scope(|scope| {
        let download = scope.spawn(|| aria2c(&relay, &target));
        let node = &holders[0].node;
        eventually("the node sends", || {
            assert!(!download.is_finished(), "aria2c ended too early");
            node.stat("bytes_out") > 64 << 10
        });
        node.signal(Signal::KILL);
        download.join().expect("it runs")
    });
    let log = output.expect_code(0).text();
    assert!(log.contains("Verification finished successfully"), "{log}");
    assert!(fs::read(target.path().join(NAME)).expect("a file") == content);
}

#[test]
fn aria2c_does_not_take_the_bytes_of_a_lying_node() {
    if is_missing("aria2c") {
        return;
    }
    let content = noise(SIZE, 8);
    let relay = relay(&[]);
    let _holders = three_holders(&relay, &content);
    // The node is unknown to this relay, which has the announcement of another content.
    let share = folder(&[(NAME, &noise(SIZE, 9))]);
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 1));
    let liar = unlisted_node(nowhere, share.path(), &[]);
    announce(&relay, liar.address(), &content, None);
    let target = folder(&[]);
    let output = aria2c(&relay, &target);
    assert!(liar.stat("bytes_out") > 1 << 20, "the node was not asked");
    // 32: the checksum is wrong.
    assert_eq!(output.code, Some(32), "{}", output.text());
}
