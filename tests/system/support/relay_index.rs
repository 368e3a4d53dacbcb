//! Queries and announcements to the relay's index.

use std::net::SocketAddr;

use crate::support::{Server, ask, eventually};

/// The holders of a file, each as `ip port size hash`, and the id of a node that has shown one.
pub fn holders(relay: &Server, name: &str) -> Vec<String> {
    let answer = ask(relay.address(), format!("FIND {name}\n").as_bytes());
    if answer == "NOTFOUND\n" {
        return Vec::new();
    }
    list(&answer, "HOLDERS ")
}

/// What each holder of a file has announced as its hash: `-` for none.
pub fn hashes(relay: &Server, name: &str) -> Vec<String> {
    let holders = holders(relay, name);
    let hashes = holders.iter().filter_map(|line| line.split(' ').nth(3));
    hashes.map(str::to_owned).collect()
}

/// The files whose names contain `text`, each as `size hash holders name`.
pub fn files(relay: &Server, text: &str) -> Vec<String> {
    let answer = ask(relay.address(), format!("SEARCH {text}\n").as_bytes());
    list(&answer, "FILES ")
}

fn list(answer: &str, head: &str) -> Vec<String> {
    let mut lines = answer.lines();
    let first = lines.next().and_then(|line| line.strip_prefix(head));
    let count = first.unwrap_or_else(|| panic!("no {head}in {answer:?}"));
    let lines: Vec<String> = lines.map(ToOwned::to_owned).collect();
    let shown = count.split(' ').next().and_then(|count| count.parse().ok());
    assert_eq!(shown, Some(lines.len()), "{answer}");
    lines
}

/// Waits until exactly so many nodes have announced a file with the hash of this content.
#[track_caller]
pub fn wait_for_hash(relay: &Server, name: &str, content: &[u8], nodes: usize) {
    let hash = blake3::hash(content).to_string();
    eventually("the relay knows the hash", || {
        let hashes = hashes(relay, name);
        hashes.iter().filter(|other| **other == hash).count() == nodes
    });
}

/// Waits until the relay's index has `count` names.
#[track_caller]
pub fn wait_for_names(relay: &Server, count: u64) {
    let what = format!("{count} names in the index");
    eventually(&what, || relay.stat("names ") == count);
}

/// Registers a node and announces a file for it.
pub fn announce(relay: &Server, node: SocketAddr, size: u64, name: &str) {
    let (ip, port) = (node.ip(), node.port());
    let lines = format!("REGISTER {ip} {port}\nSHARE {size} - {name}\n");
    let reply = ask(relay.address(), lines.as_bytes());
    assert!(reply.ends_with("\nOK\n"), "{reply}");
}
