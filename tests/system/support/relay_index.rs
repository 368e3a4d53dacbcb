//! What the relay's index says.

use std::net::SocketAddr;

use crate::support::{Server, ask, eventually};

/// Who has a file: `ip port size hash` each.
pub fn holders(relay: &Server, name: &str) -> Vec<String> {
    let answer = ask(relay.address(), format!("FIND {name}\n").as_bytes());
    if answer == "NOTFOUND\n" {
        return Vec::new();
    }
    list(&answer, "HOLDERS ")
}

/// The files whose names contain a text: `size hash holders name` each.
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

/// Waits until the relay's index has so many names.
#[track_caller]
pub fn until_known(relay: &Server, count: u64) {
    let what = format!("{count} names in the index");
    eventually(&what, || relay.stat("names ") == count);
}

/// Has the relay believe that this node has this file.
pub fn announce(relay: &Server, node: SocketAddr, size: u64, name: &str) {
    let (ip, port) = (node.ip(), node.port());
    let lines = format!("REGISTER {ip} {port}\nSHARE {size} - {name}\n");
    let reply = ask(relay.address(), lines.as_bytes());
    assert!(reply.ends_with("\nOK\n"), "{reply}");
}
