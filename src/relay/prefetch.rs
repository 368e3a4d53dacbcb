//! Optional CPU-cache prefetch for a batch of requests.
//!
//! Among a million entries a look-up waits for three dependent memory accesses, which
//! take longer than the rest of the reply. Looking up the keys of a whole batch first
//! makes these accesses overlap; the requests then find the entries in the cache.
//! Valkey 8 does the same for the commands of a batch.

use std::net::{IpAddr, SocketAddr};

use memchr::memchr_iter;

use crate::protocol::{ClaimedIp, FileName, NodeAddress, Request, canonical};
use crate::relay::Relay;

/// Lines parsed per peer. Later lines are handled much later or never, and must not
/// cost the relay more than their reply.
const MAX_LINES_PER_PEER: usize = 32;

/// The keys that a batch of requests will look up.
#[derive(Default)]
struct PrefetchKeys<'a> {
    names: Vec<FileName<'a>>,
    nodes: Vec<NodeAddress>,
}

impl Relay {
    pub(super) fn prefetch_batch<'a>(&self, batch: impl Iterator<Item = (SocketAddr, &'a [u8])>) {
        let mut keys = PrefetchKeys::default();
        for (peer, bytes) in batch {
            keys.add(canonical(peer.ip()), bytes);
        }
        // A single key would only be looked up twice.
        if keys.names.len() > 1 {
            self.index.prefetch(&keys.names);
        }
        if keys.nodes.len() > 1 {
            self.directory.prefetch(&keys.nodes);
        }
    }
}

impl<'a> PrefetchKeys<'a> {
    fn add(&mut self, peer_ip: IpAddr, bytes: &'a [u8]) {
        let mut begin = 0;
        for end in memchr_iter(b'\n', bytes).take(MAX_LINES_PER_PEER) {
            let line = &bytes[begin..end];
            match Request::parse(line.strip_suffix(b"\r").unwrap_or(line)) {
                Ok(
                    Request::Find(name)
                    | Request::Share(_, _, name)
                    | Request::ShareDigest(_, _, name),
                ) => self.names.push(name),
                Ok(Request::Register(ip, port)) => {
                    let ip = match ip {
                        ClaimedIp::Source => peer_ip,
                        ClaimedIp::Address(ip) => ip,
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
    fn only_the_next_lines_of_a_peer_are_parsed() {
        let mut keys = PrefetchKeys::default();
        let peer = IpAddr::from([192, 0, 2, 1]);
        keys.add(
            peer,
            "FIND a\r\nREGISTER * 9001\nno request\nFIND b".as_bytes(),
        );
        let node = NodeAddress::parse("192.0.2.1 9001").expect("an address");
        assert_eq!(keys.names, [FileName::parse("a").expect("a name")]);
        assert_eq!(keys.nodes, [node]);
        let long = "FIND c\n".repeat(1000);
        keys.add(peer, long.as_bytes());
        assert_eq!(keys.names.len(), 1 + MAX_LINES_PER_PEER);
    }
}
