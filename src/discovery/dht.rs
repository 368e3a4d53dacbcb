//! Nodes of a group on BitTorrent's Mainline DHT (BEP 5): a node is a peer of a torrent that
//! nobody has, whose hash is that of the group's name.

use std::collections::BTreeSet;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, ToSocketAddrs};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use log::{info, warn};
use mainline::{Dht, Id};

use crate::logging::OPERATOR;
use crate::protocol::{NodeAddress, Port};
use crate::sandbox::Sandbox;

/// Separates these hashes from all others that are made of the same names.
const HASH_CONTEXT: &str = "Peerline 2026 group on the Mainline DHT";

/// How often a node is announced: peers are forgotten after half an hour or more.
const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(900);

/// How long to wait after an announcement that nobody has taken.
const RETRY_DELAY: Duration = Duration::from_secs(30);

/// A DHT: the public one, or one of its own.
#[derive(Clone)]
pub struct DhtNetwork {
    /// `HOST:PORT` of the nodes that are asked first. Without any, those of the public DHT.
    pub bootstrap: Vec<String>,
}

/// A group of nodes.
#[derive(Clone, Copy)]
pub struct DhtGroup(Id);

impl DhtGroup {
    /// The group of this name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        let hash = blake3::derive_key(HASH_CONTEXT, name.as_bytes());
        let mut id = [0; 20];
        id.copy_from_slice(&hash[..20]);
        Self(id.into())
    }
}

impl DhtNetwork {
    /// Starts a thread that announces a node with this port as a member of the group, again
    /// and again. Others see it at the address from which its datagrams come. The thread keeps
    /// only the rights of `sandbox`.
    ///
    /// # Errors
    /// The system cannot create a thread.
    pub fn announce(self, group: DhtGroup, port: Port, sandbox: Option<Sandbox>) -> io::Result<()> {
        let body = move || {
            if let Some(Err(error)) = sandbox.map(|sandbox| sandbox.enter()) {
                warn!(target: OPERATOR, "sandbox of the DHT: {error}");
            }
            let mut has_failed = false;
            loop {
                let error = self.announce_while_possible(group, port);
                if !has_failed {
                    warn!(target: OPERATOR, "not announced on the DHT: {error}; still trying");
                }
                has_failed = true;
                thread::sleep(RETRY_DELAY);
            }
        };
        thread::Builder::new().name("dht".into()).spawn(body)?;
        Ok(())
    }

    /// Returns when an announcement fails: perhaps the names of the first nodes have other
    /// addresses by now.
    #[expect(deprecated, reason = "the other interface needs an executor")]
    fn announce_while_possible(&self, group: DhtGroup, port: Port) -> io::Error {
        let dht = match self.join() {
            Ok(dht) => dht,
            Err(error) => return error,
        };
        loop {
            if let Err(error) = dht.announce_peer(group.0, Some(port.get())) {
                return io::Error::other(error);
            }
            info!(target: OPERATOR, "announced on the DHT as {}", group.0);
            thread::sleep(ANNOUNCE_INTERVAL);
        }
    }

    /// Finds nodes of the group, at most `max`. Takes at most `time`.
    ///
    /// # Errors
    /// The system refuses a thread or a socket.
    #[expect(deprecated, reason = "the other interface needs an executor")]
    pub fn find(
        &self,
        group: DhtGroup,
        time: Duration,
        max: usize,
    ) -> io::Result<BTreeSet<NodeAddress>> {
        let deadline = Instant::now() + time;
        let dht = self.join()?;
        let scope = self.scope();
        let (sender, answers) = mpsc::channel();
        let body = move || {
            let mut answers = dht.get_peers(group.0);
            // Until the query ends, or nobody waits for it.
            while answers
                .next()
                .is_some_and(|peers| sender.send(peers).is_ok())
            {}
        };
        thread::Builder::new().name("dht".into()).spawn(body)?;
        let mut found = BTreeSet::new();
        while let Ok(peers) =
            answers.recv_timeout(deadline.saturating_duration_since(Instant::now()))
        {
            let nodes = peers.into_iter().filter_map(|peer| scope.node(peer));
            found.extend(nodes.take(max - found.len()));
            if found.len() >= max {
                break;
            }
        }
        Ok(found)
    }

    fn join(&self) -> io::Result<Dht> {
        let mut dht = Dht::builder();
        if !self.bootstrap.is_empty() {
            dht.bootstrap(&self.bootstrap);
        }
        // One of its own, not the usual one of BitTorrent.
        dht.port(0);
        if self.scope() == AddressScope::Machine {
            dht.bind_address(Ipv4Addr::LOCALHOST);
        }
        dht.build()
    }

    fn scope(&self) -> AddressScope {
        let is_loopback = |host: &String| {
            let addresses = host.to_socket_addrs();
            let mut addresses = addresses.into_iter().flatten().peekable();
            addresses.peek().is_some() && addresses.all(|address| address.ip().is_loopback())
        };
        match self.bootstrap.is_empty() {
            true => AddressScope::Internet,
            false if self.bootstrap.iter().all(is_loopback) => AddressScope::Machine,
            false => AddressScope::Network,
        }
    }
}

/// Where the members of a DHT can be. Strangers could otherwise make us connect to servers that
/// only we can reach.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum AddressScope {
    /// On the Internet: the DHT is the public one.
    Internet,
    /// On other machines.
    Network,
    /// On this machine.
    Machine,
}

impl AddressScope {
    fn node(self, peer: SocketAddrV4) -> Option<NodeAddress> {
        let ip = *peer.ip();
        let is_possible = match self {
            Self::Internet => is_public(ip),
            Self::Network => !ip.is_loopback(),
            Self::Machine => true,
        };
        let port = Port::new(peer.port()).filter(|_| is_possible)?;
        NodeAddress::new(ip.into(), port).ok()
    }
}

/// Whether an address can be reached from everywhere (RFC 6890).
fn is_public(ip: Ipv4Addr) -> bool {
    let [first, second, ..] = ip.octets();
    let is_shared = first == 100 && second & 0xc0 == 64;
    let is_reserved = first == 0 || first >= 224 || (first == 198 && second & 0xfe == 18);
    !(ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_documentation()
        || is_shared
        || is_reserved)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_found(scope: AddressScope, ip: &str, port: u16) -> bool {
        let ip = ip.parse().expect("an address");
        scope.node(SocketAddrV4::new(ip, port)).is_some()
    }

    #[test]
    fn strangers_cannot_name_addresses_that_only_we_can_reach() {
        let inside = [
            "0.0.0.1",
            "10.0.0.1",
            "100.64.0.1",
            "127.0.0.1",
            "169.254.0.1",
            "172.16.0.1",
            "192.0.2.1",
            "192.168.0.1",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
        ];
        for ip in inside {
            assert!(!is_found(AddressScope::Internet, ip, 9), "{ip}");
        }
        assert!(is_found(AddressScope::Internet, "9.9.9.9", 9));
        assert!(!is_found(AddressScope::Internet, "9.9.9.9", 0));
        assert!(is_found(AddressScope::Network, "10.0.0.1", 9));
        assert!(!is_found(AddressScope::Network, "127.0.0.1", 9));
        assert!(is_found(AddressScope::Machine, "127.0.0.1", 9));
    }

    #[test]
    fn the_hosts_asked_first_say_where_members_can_be() {
        let scope = |hosts: &[&str]| {
            let bootstrap = hosts.iter().map(ToString::to_string).collect();
            DhtNetwork { bootstrap }.scope()
        };
        assert_eq!(scope(&[]), AddressScope::Internet);
        assert_eq!(scope(&["127.0.0.1:1"]), AddressScope::Machine);
        assert_eq!(scope(&["127.0.0.1:1", "10.0.0.1:1"]), AddressScope::Network);
    }

    #[test]
    fn each_group_has_an_id_of_its_own() {
        let id = |name| DhtGroup::new(name).0;
        assert_eq!(id("a"), id("a"));
        assert_ne!(id("a"), id("b"));
    }
}
