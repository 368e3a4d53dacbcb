//! The checks after each lossy phase.

use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::time::Duration;

use peerline::client::Task;
use peerline::jobs::FilePattern;
use peerline::protocol::{ContentHash, FileName};
use peerline::tls::KeyId;

use super::stranger::{Manner, Stranger};
use super::{GOOD, LEASE, Site, World};

impl World {
    /// Lets the network recover: no connection breaks, and no peer comes or goes.
    pub(super) fn settle_network(&mut self) {
        self.network.conditions = GOOD;
        if self.relay.is_none() {
            self.relay_starts();
        }
        // No machine is suspended any longer.
        self.pass(self.network.longest_suspension());
        // Late pieces have arrived, and every pause before a retry has passed.
        self.pass(Duration::from_secs(65));
        assert_eq!(self.clients, [], "all clients have come to an end");
        if mem::take(&mut self.had_key_of_impostor) {
            // Its lease has ended, and the longest pause before a retry has passed.
            self.pass(LEASE + Duration::from_secs(35));
        }
        // One renewal.
        self.pass(LEASE / 3 + Duration::from_secs(1));
        let (known, shared) = (self.known(), self.shared());
        for (node, files) in &shared {
            assert_eq!(known.get(node), Some(files), "the files of {node}");
        }
        let keys = self.known_keys();
        for site in self.sites.iter().filter(|site| site.node.is_some()) {
            let key = keys.get(&site.address.to_string());
            assert_eq!(key, Some(&site.key), "the key of {}", site.address);
        }
        // The leases of all nodes that are gone have ended, even if renewed by late pieces.
        self.pass(2 * LEASE);
        assert_eq!(self.known(), shared);
        self.all_can_be_fetched();
        self.nodes_answer_each_request();
    }

    fn nodes_answer_each_request(&mut self) {
        let now = self.network.now();
        for site in self.sites.iter().filter(|site| site.node.is_some()) {
            let node = site.address.into();
            let stranger = Stranger::with_questions(&mut self.rng, node, now);
            let ip = Manner::Babbles.ip(1);
            self.clients.push(self.network.add(ip, None, stranger));
        }
        self.pass(Duration::from_secs(10));
        assert_eq!(self.clients, [], "each has its replies");
    }

    /// The files in the relay's index.
    fn known(&self) -> BTreeMap<String, BTreeMap<String, String>> {
        let (_, model) = self.relay.as_ref().expect("it runs");
        model.borrow().index(self.network.now())
    }

    /// The keys of the nodes that are registered.
    fn known_keys(&self) -> BTreeMap<String, Option<KeyId>> {
        let (_, model) = self.relay.as_ref().expect("it runs");
        model.borrow().keys(self.network.now())
    }

    /// The files of the running nodes.
    fn shared(&self) -> BTreeMap<String, BTreeMap<String, String>> {
        let living = self.sites.iter().filter(|site| site.node.is_some());
        let of = |site: &Site| {
            let files = site.files.borrow();
            let files = files.after(None);
            let files = files.map(|(name, size, hash)| (name.to_owned(), format!("{size} {hash}")));
            (site.address.to_string(), files.collect())
        };
        living.map(of).collect()
    }

    fn all_can_be_fetched(&mut self) {
        let mut contents: BTreeMap<String, BTreeSet<ContentHash>> = BTreeMap::new();
        // Clients elsewhere do not see nodes on loopback.
        let believed = |site: &&Site| site.node.is_some() && !site.address.is_loopback();
        for site in self.sites.iter().filter(believed) {
            for (name, _, hash) in site.files.borrow().after(None) {
                contents.entry(name.to_owned()).or_default().extend(hash.0);
            }
        }
        for (name, hashes) in contents {
            let wanted = hashes.first().copied().filter(|_| hashes.len() > 1);
            let name = FileName::parse(&name).expect("a name").into_owned();
            let before = self.history.borrow().fetched;
            self.start_client(Task::Get(
                vec![FilePattern::Name(name.clone())],
                wanted.map(Into::into),
            ));
            self.pass(Duration::from_secs(10));
            let fetched = self.history.borrow().fetched;
            assert_eq!(fetched, before + 1, "{name} is fetched");
        }
    }
}
