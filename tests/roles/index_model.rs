//! Property test: the relay's index agrees with a plain map, whatever nodes share,
//! unshare and leave behind.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

use caseless::Caseless;
use peerline::protocol::MAX_LISTED_FILES;
use peerline::relay::{BYTES_OF_FIRST_DIGEST, BYTES_PER_DIGEST, Quota, Relay, RelaySettings};
use peerline::role::Role;
use proptest::prelude::*;
use unicode_normalization::UnicodeNormalization;

use crate::defaults::defaults;
use crate::relay::stage;
use crate::stage::Stage;

/// Few nodes, so that several share the same names.
const NODES: usize = 5;
/// From this one on, nodes are visible to requesters on loopback only.
const FIRST_ON_LOOPBACK: usize = 3;
/// The connections that search, from elsewhere and from loopback.
const OBSERVERS: [(u32, [u8; 4]); 2] = [(21, [203, 0, 113, 1]), (22, [127, 0, 0, 99])];
/// Names that differ in case and script, some contained in others.
const NAMES: [&str; 12] = [
    "a",
    "A",
    "ab/a",
    "Größe.txt",
    "GRÖSSE.TXT",
    "größe.TXT",
    "ΣΑΣ",
    "σας",
    "Straße",
    "two  words",
    "日本語",
    "İstanbul",
];
const TEXTS: [&str; 11] = [
    "", "a", "A", "grö", "ÖSSE", "σα", "ΑΣ", "i\u{307}", "本", "SS", "name 1",
];

#[derive(Clone, Debug)]
enum ModelStep {
    /// Size and hash, then the name.
    Share(usize, String, String),
    /// First number and count of numbered names.
    ShareMany(usize, u32, u32),
    /// The hash, then the name.
    ShareDigest(usize, String, String),
    Unshare(usize, String),
    /// The node leaves and comes back; whether the relay has time to remove its files.
    Leave(usize, bool),
    Search(&'static str, bool),
}

fn numbered(number: u32) -> String {
    format!("Name {number:04}")
}

fn names() -> impl Strategy<Value = String> {
    prop_oneof![
        9 => prop::sample::select(&NAMES[..]).prop_map(str::to_owned),
        1 => (0_u32..3000).prop_map(numbered),
    ]
}

fn contents() -> impl Strategy<Value = String> {
    let hash = prop_oneof![
        Just("-".to_owned()),
        Just("01".repeat(32)),
        Just("02".repeat(32))
    ];
    (0_u64..2, hash).prop_map(|(size, hash)| format!("{size} {hash}"))
}

fn steps() -> impl Strategy<Value = ModelStep> {
    let node = 0..NODES;
    prop_oneof![
        8 => (node.clone(), contents(), names())
            .prop_map(|(node, content, name)| ModelStep::Share(node, content, name)),
        1 => (node.clone(), 0_u32..2000, 0_u32..800)
            .prop_map(|(node, first, count)| ModelStep::ShareMany(node, first, count)),
        6 => (node.clone(), 1_u8..3, names()).prop_map(|(node, digit, name)| {
            ModelStep::ShareDigest(node, format!("{digit:02}").repeat(32), name)
        }),
        6 => (node.clone(), names()).prop_map(|(node, name)| ModelStep::Unshare(node, name)),
        1 => (node, any::<bool>()).prop_map(|(node, rests)| ModelStep::Leave(node, rests)),
        4 => (prop::sample::select(&TEXTS[..]), any::<bool>())
            .prop_map(|(text, on_loopback)| ModelStep::Search(text, on_loopback)),
    ]
}

/// As the relay compares names.
fn fold(text: &str) -> String {
    text.nfd().default_case_fold().nfc().collect()
}

/// The bytes of a name that count.
fn stored_bytes(name: &str) -> u64 {
    (name.len() + fold(name).len()) as u64
}

/// The relay, and the reference implementation.
struct ModelledRelay {
    stage: Stage<Relay>,
    quota: Quota,
    /// Holders and their contents, in the order in which they shared the name.
    names: BTreeMap<String, Vec<(usize, String)>>,
    /// Nodes and names with a digest.
    digests: BTreeSet<(usize, String)>,
    /// Files and bytes of each node.
    usage: [(u64, u64); NODES],
}

impl ModelledRelay {
    fn new(quota: Quota) -> Self {
        let mut stage = stage(RelaySettings {
            quota,
            ..defaults()
        });
        for node in 0..NODES {
            let ip = match node {
                ..FIRST_ON_LOOPBACK => [192, 0, 2, node as u8 + 1],
                _ => [127, 0, 0, node as u8 + 1],
            };
            stage
                .connect(node as u32 + 1, ip.into())
                .expect("a new number");
        }
        for (observer, ip) in OBSERVERS {
            stage
                .connect(observer, IpAddr::from(ip))
                .expect("a new number");
        }
        let mut relay = Self {
            stage,
            quota,
            names: BTreeMap::new(),
            digests: BTreeSet::new(),
            usage: [(0, 0); NODES],
        };
        (0..NODES).for_each(|node| relay.register(node));
        relay
    }

    /// The lines that a connection receives for these requests.
    fn ask(&mut self, conn: u32, lines: &str) -> Vec<String> {
        self.stage
            .arrive(conn, lines.as_bytes())
            .expect("it is connected");
        let mut replies = self.stage.take_text();
        while !replies.contains(" < ") && self.stage.role().has_work() {
            self.stage.advance(Duration::ZERO);
            replies += &self.stage.take_text();
        }
        let head = format!("{conn} < ");
        let lines = replies.lines().filter_map(|line| line.strip_prefix(&head));
        lines.map(str::to_owned).collect()
    }

    fn ask_as(&mut self, node: usize, lines: &str) -> Vec<String> {
        self.ask(node as u32 + 1, lines)
    }

    fn register(&mut self, node: usize) {
        let reply = self.ask_as(node, "REGISTER * 1\n");
        assert!(reply[0].starts_with("OK 60 "), "{reply:?}");
        assert_eq!(reply[0].split(' ').nth(4), Some("0"), "{reply:?}");
    }

    fn share(&mut self, node: usize, content: &str, names: Vec<String>) {
        let lines = names.iter().map(|name| format!("SHARE {content} {name}\n"));
        let replies = self.ask_as(node, &lines.collect::<String>());
        assert_eq!(replies.len(), names.len());
        for (name, reply) in names.into_iter().zip(replies) {
            let bytes = stored_bytes(&name);
            let (files, all_bytes) = self.usage[node];
            let holders = self.names.get(&name);
            let known = holders.and_then(|h| h.iter().position(|(other, _)| *other == node));
            let is_over =
                files >= self.quota.node_files || all_bytes + bytes > self.quota.node_bytes;
            let is_refused = known.is_none() && is_over;
            assert_eq!(
                reply.starts_with("ERROR 413"),
                is_refused,
                "{name}: {reply}"
            );
            if is_refused {
                continue;
            }
            let holders = self.names.entry(name.clone()).or_default();
            match known {
                Some(position) if holders[position].1 == content => {}
                Some(position) => {
                    content.clone_into(&mut holders[position].1);
                    if self.digests.remove(&(node, name)) {
                        self.usage[node].1 -= self.bytes_of_next_digest(node);
                    }
                }
                None => {
                    holders.push((node, content.to_owned()));
                    self.usage[node] = (files + 1, all_bytes + bytes);
                }
            }
        }
    }

    fn share_digest(&mut self, node: usize, hash: &str, name: &str) {
        let line = format!("SHAREDIGEST {hash} sha-256 {hash} {name}\n");
        let reply = self.ask_as(node, &line);
        let holders = self.names.get(name).into_iter().flatten();
        let mut own = holders.filter(|(holder, _)| *holder == node);
        let has_content = own.any(|(_, content)| content.ends_with(hash));
        let key = (node, name.to_owned());
        let is_new = !self.digests.contains(&key);
        let bytes = self.usage[node].1 + self.bytes_of_next_digest(node);
        if !has_content {
            assert_eq!(reply, ["NOTFOUND"], "{name}");
        } else if is_new && bytes > self.quota.node_bytes {
            assert!(reply[0].starts_with("ERROR 413"), "{name}: {reply:?}");
        } else {
            assert_eq!(reply, ["OK"], "{name}");
            if is_new {
                self.usage[node].1 = bytes;
                self.digests.insert(key);
            }
        }
    }

    fn bytes_of_next_digest(&self, node: usize) -> u64 {
        match self.digests.iter().any(|(other, _)| *other == node) {
            true => BYTES_PER_DIGEST,
            false => BYTES_OF_FIRST_DIGEST,
        }
    }

    fn unshare(&mut self, node: usize, name: &str) {
        let reply = self.ask_as(node, &format!("UNSHARE {name}\n"));
        let is_removed = self.forget(node, name);
        assert_eq!(reply, [if is_removed { "OK" } else { "NOTFOUND" }]);
    }

    fn forget(&mut self, node: usize, name: &str) -> bool {
        let Some(holders) = self.names.get_mut(name) else {
            return false;
        };
        let before = holders.len();
        holders.retain(|(holder, _)| *holder != node);
        let is_removed = holders.len() < before;
        if is_removed {
            let (files, bytes) = self.usage[node];
            let digest = match self.digests.remove(&(node, name.to_owned())) {
                true => self.bytes_of_next_digest(node),
                false => 0,
            };
            self.usage[node] = (files - 1, bytes - stored_bytes(name) - digest);
        }
        self.names.retain(|_, holders| !holders.is_empty());
        is_removed
    }

    fn leave(&mut self, node: usize, rests: bool) {
        assert_eq!(self.ask_as(node, "UNREGISTER * 1\n"), ["OK"]);
        for holders in self.names.values_mut() {
            holders.retain(|(holder, _)| *holder != node);
        }
        self.names.retain(|_, holders| !holders.is_empty());
        self.digests.retain(|(holder, _)| *holder != node);
        self.usage[node] = (0, 0);
        if rests {
            self.stage.advance(Duration::from_millis(1));
            self.stage.take_text();
        }
        self.register(node);
    }

    /// The visible holders of each name, with their contents.
    fn visible(&self, on_loopback: bool) -> impl Iterator<Item = (&str, Vec<&(usize, String)>)> {
        let is_visible =
            move |(node, _): &&(usize, String)| on_loopback || *node < FIRST_ON_LOOPBACK;
        let names = self.names.iter().map(move |(name, holders)| {
            (
                name.as_str(),
                holders.iter().filter(is_visible).collect::<Vec<_>>(),
            )
        });
        names.filter(|(_, holders)| !holders.is_empty())
    }

    /// All lines that a search lists.
    fn expected(&self, text: &str, on_loopback: bool) -> Vec<String> {
        let mut lines = Vec::new();
        for (name, holders) in self.visible(on_loopback) {
            if !fold(name).contains(&fold(text)) {
                continue;
            }
            let mut contents: Vec<(&str, u64)> = Vec::new();
            for (_, content) in holders {
                match contents.iter_mut().find(|(other, _)| other == content) {
                    Some((_, count)) => *count += 1,
                    None => contents.push((content, 1)),
                }
            }
            lines.extend(
                contents
                    .iter()
                    .map(|(content, count)| format!("{content} {count} {name}")),
            );
        }
        lines
    }

    /// Compares all pages of a search with the model's lines.
    fn compare(&mut self, text: &str, on_loopback: bool) {
        let expected = self.expected(text, on_loopback);
        let (observer, _) = OBSERVERS[usize::from(on_loopback)];
        let name = |line: &str| line.splitn(4, ' ').last().map(str::to_owned);
        let mut rest = expected.as_slice();
        let mut request = format!("SEARCH {text}\n");
        loop {
            let page = self.ask(observer, &request);
            let (head, lines) = page.split_first().expect("a first line");
            assert_eq!(
                *head,
                format!("FILES {} {}", lines.len(), expected.len()),
                "{text:?}"
            );
            let (now, later) = rest.split_at(lines.len().min(rest.len()));
            assert_eq!(lines, now, "{text:?}");
            // As many as fit; the lines of one name stay together.
            let next = later.first().map_or(0, |next| {
                later
                    .iter()
                    .take_while(|line| name(line) == name(next))
                    .count()
            });
            assert!(lines.len() <= MAX_LISTED_FILES);
            assert!(next == 0 || lines.len() + next > MAX_LISTED_FILES);
            rest = later;
            if lines.is_empty() {
                break;
            }
            "MORE\n".clone_into(&mut request);
        }
        assert!(rest.is_empty(), "{text:?} ends before {rest:?}");
    }

    /// Compares the figures and the holders of each name.
    fn check(&mut self) {
        self.stage.advance(Duration::from_millis(1));
        self.stage.take_text();
        for (on_loopback, (observer, _)) in [false, true].into_iter().zip(OBSERVERS) {
            let visible: Vec<(String, usize)> = self
                .visible(on_loopback)
                .map(|(name, holders)| (name.to_owned(), holders.len()))
                .collect();
            let figures = self.ask(observer, "STATS\n");
            assert!(
                figures.contains(&format!("names {}", visible.len())),
                "{figures:?}"
            );
            for (name, holders) in visible {
                let found = self.ask(observer, &format!("FIND {name}\n"));
                assert_eq!(found[0], format!("HOLDERS {holders}"), "{name}");
                assert_eq!(found.len(), holders + 1);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn the_index_agrees_with_a_plain_map(
        steps in prop::collection::vec(steps(), 1..80),
        node_files in prop_oneof![1_u64..8, 1_u64..2500],
        node_bytes in prop_oneof![1_u64..60, 60_u64..600, 1_u64..40_000],
    ) {
        let mut relay = ModelledRelay::new(Quota { node_files, node_bytes, ..defaults().quota });
        for step in steps {
            match step {
                ModelStep::Share(node, content, name) => relay.share(node, &content, vec![name]),
                ModelStep::ShareMany(node, first, count) => {
                    relay.share(node, "1 -", (first..first + count).map(numbered).collect());
                }
                ModelStep::ShareDigest(node, hash, name) => {
                    relay.share_digest(node, &hash, &name);
                }
                ModelStep::Unshare(node, name) => relay.unshare(node, &name),
                ModelStep::Leave(node, rests) => relay.leave(node, rests),
                ModelStep::Search(text, on_loopback) => relay.compare(text, on_loopback),
            }
        }
        relay.check();
        for text in TEXTS {
            relay.compare(text, true);
            relay.compare(text, false);
        }
    }
}
