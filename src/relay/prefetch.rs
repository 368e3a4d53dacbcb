//! Looking ahead. Among a million entries a look-up waits for memory three times,
//! each time for what tells the next place; that takes longer than all else that
//! an answer needs. Of requests that came together the waits can go on side by
//! side: what they are about is looked up for all of them first, and then lies in
//! the processor's cache when they are answered one by one. (Valkey 8 does so for
//! the commands of a batch.)

use std::net::{IpAddr, SocketAddr};

use memchr::memchr_iter;

use crate::protocol::{ClaimedIp, FileName, NodeAddress, Request, canonical};
use crate::relay::Relay;

/// Lines of one peer that are looked at. Those after them are heard much later, or
/// never: nobody is to cost the relay more by sending what it will not answer.
const LINES: usize = 32;

/// What some requests are about.
#[derive(Default)]
struct Ahead<'a> {
    names: Vec<FileName<'a>>,
    nodes: Vec<NodeAddress>,
}

impl Relay {
    pub(super) fn look_ahead<'a>(&self, arrived: impl Iterator<Item = (SocketAddr, &'a [u8])>) {
        let mut ahead = Ahead::default();
        for (peer, bytes) in arrived {
            ahead.add(canonical(peer.ip()), bytes);
        }
        // One alone would only be looked up twice.
        if ahead.names.len() > 1 {
            self.index.prefetch(&ahead.names);
        }
        if ahead.nodes.len() > 1 {
            self.directory.prefetch(&ahead.nodes);
        }
    }
}

impl<'a> Ahead<'a> {
    fn add(&mut self, seen: IpAddr, bytes: &'a [u8]) {
        let mut begin = 0;
        for end in memchr_iter(b'\n', bytes).take(LINES) {
            let line = &bytes[begin..end];
            match Request::parse(line.strip_suffix(b"\r").unwrap_or(line)) {
                Ok(Request::Find(name) | Request::Share(_, _, name)) => self.names.push(name),
                Ok(Request::Register(ip, port)) => {
                    let ip = match ip {
                        ClaimedIp::Seen => seen,
                        ClaimedIp::Is(ip) => ip,
                    };
                    self.nodes.extend(NodeAddress::new(ip, port));
                }
                _ => {}
            }
            begin = end + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_one_peer_only_the_next_lines_are_looked_at() {
        let mut ahead = Ahead::default();
        let peer = IpAddr::from([192, 0, 2, 1]);
        ahead.add(
            peer,
            "FIND a\r\nREGISTER * 9001\nno request\nFIND b".as_bytes(),
        );
        let node = NodeAddress::parse("192.0.2.1 9001").expect("an address");
        assert_eq!(ahead.names, [FileName::parse("a").expect("a name")]);
        assert_eq!(ahead.nodes, [node]);
        let long = "FIND c\n".repeat(1000);
        ahead.add(peer, long.as_bytes());
        assert_eq!(ahead.names.len(), 1 + LINES);
    }
}
