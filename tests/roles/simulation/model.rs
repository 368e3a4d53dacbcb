//! A model of the relay as `protocol.md` specifies it, in the simplest form: a list of
//! nodes, each with its files. The model shares no code with the relay, and need not be
//! fast.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use peerline::tls::KeyId;

pub struct Model {
    lease: Duration,
    /// In the order of their first registration.
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
    /// The newest registration whose connection announced files.
    last_announcer: u64,
    /// Size and hash by name.
    files: BTreeMap<String, String>,
    /// Known once the relay has sent it.
    epoch: Option<String>,
    /// The key with which it was registered.
    key: Option<KeyId>,
}

/// A connection to the relay.
pub struct ModelClient {
    pub ip: IpAddr,
    port: u16,
    /// The key that it has shown.
    key: Option<KeyId>,
    /// The node that this connection registered, and the number of the registration.
    subject: Option<(String, u64)>,
}

impl ModelClient {
    pub fn new(from: SocketAddr, key: Option<KeyId>) -> Self {
        Self {
            ip: from.ip(),
            port: from.port(),
            key,
            subject: None,
        }
    }

    /// The addresses at which this connection may receive messages: that of its node, and
    /// its own.
    pub fn addresses(&self) -> [String; 2] {
        let node = self.subject.as_ref().map(|(address, _)| address.clone());
        let own = format!("{} {}", self.ip, self.port);
        [node.unwrap_or_else(|| own.clone()), own]
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
    pub fn index(&self, now: Instant) -> BTreeMap<String, BTreeMap<String, String>> {
        let nodes = self.nodes.iter().filter(|node| node.until > now);
        nodes
            .map(|node| (node.address.clone(), node.files.clone()))
            .collect()
    }

    /// The keys of the nodes, by `ip port`.
    pub fn keys(&self, now: Instant) -> BTreeMap<String, Option<KeyId>> {
        let nodes = self.nodes.iter().filter(|node| node.until > now);
        nodes.map(|node| (node.address.clone(), node.key)).collect()
    }

    /// The lines of the reply. Below the head of a list their order is open, except for
    /// `LIST`.
    pub fn answer(&mut self, now: Instant, client: &mut ModelClient, line: &str) -> Vec<String> {
        self.nodes.retain(|node| node.until > now);
        let (verb, rest) = line.split_once(' ').unwrap_or((line, ""));
        match verb {
            "REGISTER" => vec![self.register(now, client, rest)],
            "UNREGISTER" => vec![self.unregister(client, rest)],
            "SHARE" => {
                let mut fields = rest.splitn(3, ' ');
                let mut field = || fields.next().expect("size, hash and name").to_owned();
                let content = format!("{} {}", field(), field());
                let name = field();
                vec![self.change(client, |files| {
                    files.insert(name, content);
                    true
                })]
            }
            "UNSHARE" => vec![self.change(client, |files| files.remove(rest).is_some())],
            "LIST" => {
                let nodes = self.seen_by(client);
                let nodes = nodes.map(|node| format!("{}{}", node.address, node.id()));
                list("NODES", "", nodes.collect())
            }
            "FIND" => {
                let holders = self.seen_by(client).filter_map(|node| {
                    let content = node.files.get(rest)?;
                    Some(format!("{} {content}{}", node.address, node.id()))
                });
                match holders.collect::<Vec<_>>() {
                    none if none.is_empty() => vec!["NOTFOUND".to_owned()],
                    holders => list("HOLDERS", "", holders),
                }
            }
            "SEARCH" => {
                let mut found: BTreeMap<(&str, &str), u32> = BTreeMap::new();
                let text = rest.to_lowercase();
                for (name, content) in self.seen_by(client).flat_map(|node| &node.files) {
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
            _ => panic!("unexpected request {line:?}"),
        }
    }

    fn seen_by(&self, client: &ModelClient) -> impl Iterator<Item = &Node> {
        let on_loopback = client.ip.is_loopback();
        self.nodes
            .iter()
            .filter(move |node| on_loopback || !node.on_loopback)
    }

    fn node(&mut self, address: &str) -> Option<&mut Node> {
        self.nodes.iter_mut().find(|node| node.address == address)
    }

    fn register(&mut self, now: Instant, client: &mut ModelClient, claim: &str) -> String {
        let (lease, until) = (self.lease.as_secs(), now + self.lease);
        let address = claimed(client, claim);
        self.registrations += 1;
        let number = self.registrations;
        client.subject = None;
        if let Err(refusal) = self.check_claim(client, &address) {
            return refusal;
        }
        client.subject = Some((address.clone(), number));
        // A node that shows its key for the first time begins anew.
        self.nodes
            .retain(|node| node.address != address || node.key == client.key);
        let files = match self.node(&address) {
            Some(node) => {
                node.until = until;
                node.files.len()
            }
            None => {
                self.nodes.push(Node {
                    address: address.clone(),
                    on_loopback: client.ip.is_loopback(),
                    until,
                    last_announcer: number,
                    files: BTreeMap::new(),
                    epoch: None,
                    key: client.key,
                });
                0
            }
        };
        format!("OK {lease} {address} {files}")
    }

    fn unregister(&mut self, client: &ModelClient, claim: &str) -> String {
        let address = claimed(client, claim);
        if let Some(node) = self.node(&address)
            && !node.belongs_to(client)
        {
            return not_your_key(&address);
        }
        let before = self.nodes.len();
        self.nodes.retain(|node| node.address != address);
        if self.nodes.len() < before {
            "OK".to_owned()
        } else {
            format!("ERROR 404 no node is registered at {address}")
        }
    }

    /// A client may register its own address, and that of a node whose key it has. Nobody
    /// else may register the address of a node with a key.
    fn check_claim(&mut self, client: &ModelClient, address: &str) -> Result<(), String> {
        let (ip, port) = address.split_once(' ').expect("ip and port");
        let is_own = ip == client.ip.to_string();
        match self.node(address) {
            Some(node) if node.key.is_some() && node.key == client.key => Ok(()),
            _ if !is_own => {
                let seen = client.ip;
                Err(format!(
                    "ERROR 403 your address is {seen}; use REGISTER * {port}"
                ))
            }
            Some(node) if !node.belongs_to(client) => Err(not_your_key(address)),
            Some(_) | None => Ok(()),
        }
    }

    fn change(
        &mut self,
        client: &ModelClient,
        act: impl FnOnce(&mut BTreeMap<String, String>) -> bool,
    ) -> String {
        let (subject, number) = client.subject.clone().unwrap_or_default();
        if let Some(node) = self.node(&subject)
            && !node.belongs_to(client)
        {
            return not_your_key(&subject);
        }
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

impl Node {
    /// What follows its address in a list.
    fn id(&self) -> String {
        self.key.map(|key| format!(" {key}")).unwrap_or_default()
    }

    /// Whether a client with its address may act for it.
    fn belongs_to(&self, client: &ModelClient) -> bool {
        self.key.is_none() || self.key == client.key
    }
}

fn not_your_key(address: &str) -> String {
    format!(
        "ERROR 403 {address} is registered with a key that you have not shown; connect over TLS \
         with its certificate, or wait until its lease ends"
    )
}

/// Whether a request may change the directory or the index.
pub fn may_change(line: &str) -> bool {
    let verbs = ["REGISTER", "UNREGISTER", "SHARE", "UNSHARE"];
    verbs.iter().any(|verb| line.starts_with(verb))
}

/// The address of a registration.
fn claimed(client: &ModelClient, claim: &str) -> String {
    claim.replace('*', &client.ip.to_string())
}

fn list(word: &str, total: &str, lines: Vec<String>) -> Vec<String> {
    let head = format!("{word} {}{total}", lines.len());
    [head].into_iter().chain(lines).collect()
}
