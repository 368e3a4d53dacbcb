//! Nodes and files with leases, in two hash tables.

use std::collections::HashMap;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::str;
use std::time::Instant;

use super::line_server;

/// In seconds.
const EPOCH: u64 = 1_111_111_111;
const LEASE: u32 = 86_400;

/// An address, printed as it arrived.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Node {
    ip: Ipv4Addr,
    port: u16,
}

struct File {
    node: Node,
    size: u64,
    ends: u32,
}

/// Answers `REGISTER`, `SHARE` and `FIND`.
pub(super) fn run() -> io::Result<()> {
    let start = Instant::now();
    let mut nodes: HashMap<Node, u32> = HashMap::new();
    let mut files: HashMap<Box<[u8]>, File> = HashMap::new();
    let mut subject = None;
    line_server::serve(move |line, reply| {
        let ends = start.elapsed().as_secs() as u32 + LEASE;
        // A write to a Vec cannot fail.
        let _ = match fields(line) {
            Some(("REGISTER", ip, port)) => {
                let node = Node {
                    ip: ip.parse().expect("an address"),
                    port: port.parse().expect("a port"),
                };
                nodes.insert(node, ends);
                subject = Some(node);
                writeln!(reply, "OK {LEASE} {} {} 0 {EPOCH}", node.ip, node.port)
            }
            Some(("SHARE", size, rest)) => {
                let name = rest.split_once(' ').expect("hash and name").1;
                let size = size.parse().expect("a size");
                let node = subject.expect("REGISTER came before");
                files.insert(name.as_bytes().into(), File { node, size, ends });
                writeln!(reply, "OK")
            }
            _ => match line.strip_prefix(b"FIND ").and_then(|name| files.get(name)) {
                Some(file) if file.ends + LEASE > ends => {
                    let Node { ip, port } = file.node;
                    writeln!(reply, "HOLDERS 1\n{ip} {port} {} -", file.size)
                }
                _ => writeln!(reply, "NOTFOUND"),
            },
        };
    })
}

/// A verb, its first field and the rest.
fn fields(line: &[u8]) -> Option<(&str, &str, &str)> {
    let (verb, rest) = str::from_utf8(line).ok()?.split_once(' ')?;
    let (first, rest) = rest.split_once(' ')?;
    Some((verb, first, rest))
}
