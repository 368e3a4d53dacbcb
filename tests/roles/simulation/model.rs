//! What a relay must answer, as `protocol.md` has it and in the plainest way: a
//! list of nodes, each with its files. It shares no code with the relay and is
//! as slow as it likes.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

pub struct Model {
    lease: Duration,
    /// In the order in which they first registered.
    nodes: Vec<Node>,
    registrations: u64,
    past_epochs: PastEpochs,
}

/// All epochs that any relay has sent, each with the node's address.
pub type PastEpochs = Rc<RefCell<BTreeSet<(String, String)>>>;

struct Node {
    /// `ip port`.
    address: String,
    on_loopback: bool,
    until: Instant,
    /// Which registration was the last whose asker told its files.
    last_announcer: u64,
    /// Size and hash by name.
    files: BTreeMap<String, String>,
    /// Known once the relay has sent it.
    epoch: Option<String>,
}

/// Somebody who asks.
pub struct PromptHandle {
    pub ip: IpAddr,
    /// The node for which he speaks, and by which registration.
    subject: Option<(String, u64)>,
}

impl PromptHandle {
    pub fn new(ip: IpAddr) -> Self {
        Self { ip, subject: None }
    }
}

impl Model {
    pub fn new(lease: Duration, past_epochs: PastEpochs) -> Self {
        Self {
            lease,
            nodes: Vec::new(),
            registrations: 0,
            past_epochs,
        }
    }

    /// Checks the epoch that the relay sent to a node that it has just registered: a
    /// renewal has the epoch of the record, and a new record has a new one.
    pub fn check_epoch(&mut self, address: &str, sent: &str) {
        let past_epochs = Rc::clone(&self.past_epochs);
        let node = self.node(address).expect("it is registered");
        let epoch = node.epoch.get_or_insert_with(|| {
            let is_new = past_epochs
                .borrow_mut()
                .insert((address.to_owned(), sent.to_owned()));
            assert!(is_new, "{address} has had the epoch {sent} before");
            sent.to_owned()
        });
        assert_eq!(epoch, sent, "the record of {address} is the same");
    }

    /// What the nodes share: size and hash by `ip port` and name.
    pub fn index(&self) -> BTreeMap<String, BTreeMap<String, String>> {
        let nodes = self.nodes.iter();
        nodes
            .map(|node| (node.address.clone(), node.files.clone()))
            .collect()
    }

    /// The lines of the answer. Of those below a list's head the order is open,
    /// but for `LIST`.
    pub fn answer(&mut self, now: Instant, asker: &mut PromptHandle, line: &str) -> Vec<String> {
        self.nodes.retain(|node| node.until > now);
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match verb {
            "REGISTER" => vec![self.register(now, asker, rest)],
            "UNREGISTER" => vec![self.unregister(asker, rest)],
            "SHARE" => {
                let mut fields = rest.splitn(3, ' ');
                let mut field = || fields.next().expect("size, hash and name").to_owned();
                let content = format!("{} {}", field(), field());
                let name = field();
                vec![self.change(asker, |files| {
                    files.insert(name, content);
                    true
                })]
            }
            "UNSHARE" => vec![self.change(asker, |files| files.remove(rest).is_some())],
            "LIST" => {
                let nodes = self.seen_by(asker).map(|node| node.address.clone());
                list("NODES", "", nodes.collect())
            }
            "FIND" => {
                let holders = self.seen_by(asker).filter_map(|node| {
                    let content = node.files.get(rest)?;
                    Some(format!("{} {content}", node.address))
                });
                match holders.collect::<Vec<_>>() {
                    none if none.is_empty() => vec!["NOTFOUND".to_owned()],
                    holders => list("HOLDERS", "", holders),
                }
            }
            "SEARCH" => {
                let mut found: BTreeMap<(&str, &str), u32> = BTreeMap::new();
                let text = rest.to_lowercase();
                for (name, content) in self.seen_by(asker).flat_map(|node| &node.files) {
                    if name.to_lowercase().contains(&text) {
                        *found.entry((name, content)).or_default() += 1;
                    }
                }
                let lines = found.into_iter();
                let lines =
                    lines.map(|((name, content), count)| format!("{content} {count} {name}"));
                let lines: Vec<String> = lines.collect();
                let total = format!(" {}", lines.len());
                list("FILES", &total, lines)
            }
            _ => panic!("nobody here asks {line:?}"),
        }
    }

    fn seen_by(&self, asker: &PromptHandle) -> impl Iterator<Item = &Node> {
        let on_loopback = asker.ip.is_loopback();
        self.nodes
            .iter()
            .filter(move |node| on_loopback || !node.on_loopback)
    }

    fn node(&mut self, address: &str) -> Option<&mut Node> {
        self.nodes.iter_mut().find(|node| node.address == address)
    }

    fn register(&mut self, now: Instant, asker: &mut PromptHandle, claim: &str) -> String {
        let (lease, until) = (self.lease.as_secs(), now + self.lease);
        let address = claimed(asker, claim);
        self.registrations += 1;
        let number = self.registrations;
        asker.subject = Some((address.clone(), number));
        let files = match self.node(&address) {
            Some(node) => {
                node.until = until;
                node.files.len()
            }
            None => {
                self.nodes.push(Node {
                    address: address.clone(),
                    on_loopback: asker.ip.is_loopback(),
                    until,
                    last_announcer: number,
                    files: BTreeMap::new(),
                    epoch: None,
                });
                0
            }
        };
        format!("OK {lease} {address} {files}")
    }

    fn unregister(&mut self, asker: &PromptHandle, claim: &str) -> String {
        let address = claimed(asker, claim);
        let before = self.nodes.len();
        self.nodes.retain(|node| node.address != address);
        if self.nodes.len() < before {
            "OK".to_owned()
        } else {
            format!("ERROR 404 no node is registered at {address}")
        }
    }

    fn change(
        &mut self,
        asker: &PromptHandle,
        act: impl FnOnce(&mut BTreeMap<String, String>) -> bool,
    ) -> String {
        let (subject, number) = asker.subject.clone().unwrap_or_default();
        let announcing_node = self
            .node(&subject)
            .filter(|node| node.last_announcer <= number);
        let done = announcing_node.map(|node| {
            node.last_announcer = number;
            act(&mut node.files)
        });
        match done {
            Some(true) => "OK".to_owned(),
            Some(false) => "NOTFOUND".to_owned(),
            None => "ERROR 403 REGISTER first".to_owned(),
        }
    }
}

/// Whether a line is no mere question.
pub fn may_change(line: &str) -> bool {
    let verbs = ["REGISTER", "UNREGISTER", "SHARE", "UNSHARE"];
    verbs.iter().any(|verb| line.starts_with(verb))
}

/// Everybody here registers `* port`.
fn claimed(asker: &PromptHandle, claim: &str) -> String {
    claim.replace('*', &asker.ip.to_string())
}

fn list(word: &str, total: &str, lines: Vec<String>) -> Vec<String> {
    let head = format!("{word} {}{total}", lines.len());
    [head].into_iter().chain(lines).collect()
}
