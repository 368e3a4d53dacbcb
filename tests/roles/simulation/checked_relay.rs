//! The relay beside its model. Each request goes to both, and their replies must be
//! equal. After each request that may have changed something, two observers compare all
//! lists.
//!
//! A stranger that sends more than the model knows gets whole replies, one for each line.
//! Beside it, everybody else is answered at once, or within a few rounds of the loop.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Instant;

use peerline::close_reason::CloseReason;
use peerline::relay::Relay;
use peerline::role::Role;
use peerline::tls::KeyId;

use super::host::{Host, HostAction};
use super::messages::Messages;
use super::model::{Model, ModelClient, may_change};
use super::stranger::Manner;
use crate::machine::{Event, Machine};
use crate::reply_reader::ReplyReader;

/// One observer sees the nodes on loopback, the other does not.
const OBSERVERS: [(u32, IpAddr); 2] = [
    (1, IpAddr::V4(Ipv4Addr::LOCALHOST)),
    (2, IpAddr::V4(Ipv4Addr::new(198, 18, 0, 1))),
];

/// The most rounds of the loop in which a request waits for those of strangers.
const MAX_ROUNDS: u32 = 1000;

pub struct CheckedRelay {
    relay: Machine<Relay, Vec<Event<OwnedFd>>>,
    model: Rc<RefCell<Model>>,
    clients: BTreeMap<u32, ClientState>,
    /// The requests of the observers.
    queries: String,
    messages: Messages,
    /// A request since the last comparison may have changed something.
    may_have_changed: bool,
    actions: Vec<HostAction>,
    /// Whether it sends epochs, as relays of older versions do not.
    has_epochs: bool,
}

pub struct ClientState {
    pub client: ModelClient,
    manner: Option<Manner>,
    /// The beginning of a line whose end has not arrived.
    unfinished: Vec<u8>,
    /// Replies to requests of a client that the model knows.
    pub answers: VecDeque<String>,
    /// What the relay has sent to another client, and the lines that came from it.
    pub replies: ReplyReader,
    pub lines: u64,
}

impl ClientState {
    fn new(from: SocketAddr, key: Option<KeyId>) -> Self {
        Self {
            client: ModelClient::new(from, key),
            manner: Manner::of(from.ip()),
            unfinished: Vec::new(),
            answers: VecDeque::new(),
            replies: ReplyReader::default(),
            lines: 0,
        }
    }

    /// Whether its requests are more than the model knows.
    pub fn is_opaque(&self) -> bool {
        matches!(self.manner, Some(Manner::Babbles | Manner::Stalls))
    }

    /// Takes the whole lines of what has arrived.
    fn take_lines(&mut self, bytes: &[u8]) -> Vec<u8> {
        self.lines += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.unfinished.extend_from_slice(bytes);
        let end = self.unfinished.iter().rposition(|byte| *byte == b'\n');
        let rest = self.unfinished.split_off(end.map_or(0, |end| end + 1));
        mem::replace(&mut self.unfinished, rest)
    }
}

impl CheckedRelay {
    /// A relay that has just started. `names` are all names that nodes may share.
    pub fn new(
        relay: Relay,
        model: Rc<RefCell<Model>>,
        has_epochs: bool,
        now: Instant,
        names: &[&str],
    ) -> Self {
        let mut checked_relay = Self {
            relay: Machine::new(relay, now, Vec::new()),
            model,
            clients: BTreeMap::new(),
            queries: "LIST\nSEARCH\nSEARCH E\n".to_owned(),
            messages: Messages::default(),
            may_have_changed: true,
            actions: Vec::new(),
            has_epochs,
        };
        let finds = names.iter().map(|name| format!("FIND {name}\n"));
        checked_relay.queries.extend(finds);
        for (number, ip) in OBSERVERS {
            checked_relay.connect(number, SocketAddr::new(ip, 50_000), None);
        }
        checked_relay
    }

    fn connect(&mut self, number: u32, from: SocketAddr, key: Option<KeyId>) {
        self.relay.accept(number, from).expect("a new number");
        if let Some(key) = key {
            self.relay.on_encrypted(number, key).expect("just accepted");
        }
        if Manner::of(from.ip()) == Some(Manner::Stalls) {
            self.relay.stall(number).expect("just accepted");
        }
        self.clients.insert(number, ClientState::new(from, key));
    }

    /// Sends bytes to both, and compares the replies.
    fn query(&mut self, number: u32, bytes: &[u8]) {
        let state = self.clients.get_mut(&number).expect("it is there");
        let lines = state.take_lines(bytes);
        let is_opaque = state.is_opaque();
        Host::receive(&mut self.relay, number, bytes);
        self.read_actions();
        if is_opaque {
            return;
        }
        let lines = String::from_utf8(lines).expect("all here is text");
        for line in lines.lines() {
            self.compare(number, line);
        }
        let state = &self.clients[&number];
        assert_eq!(state.answers, [""; 0], "a reply to no request");
        self.messages.assert_all_delivered();
    }

    /// Compares the reply to one request with that of the model.
    fn compare(&mut self, number: u32, line: &str) {
        let now = self.relay.now;
        let state = self.clients.get_mut(&number).expect("it is there");
        let is_message = Messages::is_about(line);
        let expected = match is_message {
            true => Vec::new(),
            false => self.model.borrow_mut().answer(now, &mut state.client, line),
        };
        let length = if is_message { 1 } else { expected.len() };
        let mut answer = self.answer(number, length);
        if is_message {
            let client = &self.clients[&number].client;
            self.messages.check(number, client, line, &answer[0]);
            return;
        }
        self.may_have_changed |= may_change(line);
        if let [head] = answer.as_mut_slice()
            && let Some((registered, address, epoch)) = split_epoch(head)
        {
            self.model.borrow_mut().check_epoch(&address, epoch);
            *head = registered.to_owned();
        }
        assert_eq!(sorted(line, answer), sorted(line, expected), "{line}");
    }

    /// The next reply to a client. It may have to wait for the requests of strangers, but
    /// not for long.
    fn answer(&mut self, number: u32, length: usize) -> Vec<String> {
        for _ in 0..MAX_ROUNDS {
            let answers = &mut self.clients.get_mut(&number).expect("it is there").answers;
            if answers.len() >= length {
                return answers.drain(..length).collect();
            }
            assert!(self.relay.role().has_work(), "a request has no reply");
            Host::on_timer(&mut self.relay);
            self.read_actions();
        }
        panic!("a client waits behind strangers");
    }

    /// Reads what the relay has sent.
    fn read_actions(&mut self) {
        for mut action in Host::take_actions(&mut self.relay) {
            match &mut action {
                HostAction::Send(to, bytes) => {
                    if let Some(state) = self.clients.get_mut(to) {
                        self.messages.read(*to, state, bytes);
                    }
                    if !self.has_epochs {
                        *bytes = without_epochs(bytes);
                    }
                }
                HostAction::Close(number) => self.close_client(*number),
                _ => {}
            }
            self.actions.push(action);
        }
    }

    fn close_client(&mut self, number: u32) {
        self.clients.remove(&number);
        self.messages.close(number);
    }

    /// Compares all lists of both.
    fn compare_all(&mut self) {
        let queries = mem::take(&mut self.queries);
        for (number, _) in OBSERVERS {
            self.query(number, queries.as_bytes());
        }
        self.actions
            .retain(|action| !matches!(action, HostAction::Send(1 | 2, _)));
        self.queries = queries;
        self.may_have_changed = false;
    }

    /// Lets the relay finish the work on its index, and compares before and after.
    fn settle(&mut self) {
        if self.may_have_changed {
            self.compare_all();
        }
        while Host::next_deadline(&self.relay).is_some_and(|due| due <= self.relay.now) {
            Host::on_timer(&mut self.relay);
            self.read_actions();
            self.compare_all();
        }
        let reading = self.clients.values();
        for state in reading.filter(|state| state.manner == Some(Manner::Babbles)) {
            let (replies, lines) = (state.replies.replies(), state.lines);
            assert_eq!(replies, lines, "the number of replies is that of the lines");
            assert!(state.replies.is_between_replies(), "the reply is whole");
        }
    }
}

/// Splits the reply to `REGISTER` into the known fields, the address among them, and
/// the epoch.
fn split_epoch(line: &str) -> Option<(&str, String, &str)> {
    let fields: Vec<&str> = line.split(' ').collect();
    let ["OK", _, ip, port, _, epoch] = fields.as_slice() else {
        return None;
    };
    let registered = &line[..line.len() - epoch.len() - 1];
    Some((registered, format!("{ip} {port}"), epoch))
}

/// Removes the epochs from replies.
fn without_epochs(replies: &[u8]) -> Vec<u8> {
    let replies = std::str::from_utf8(replies).expect("replies are text");
    let lines = replies.lines().map(|line| {
        let registered = split_epoch(line).map_or(line, |(registered, ..)| registered);
        format!("{registered}\n")
    });
    lines.collect::<String>().into_bytes()
}

/// Sorts a list whose order does not matter here.
fn sorted(line: &str, answer: Vec<impl Into<String>>) -> Vec<String> {
    let mut answer: Vec<String> = answer.into_iter().map(Into::into).collect();
    if line != "LIST" && !answer.is_empty() {
        answer[1..].sort();
    }
    answer
}

impl Host for CheckedRelay {
    fn set_time(&mut self, now: Instant) {
        Host::set_time(&mut self.relay, now);
    }

    fn accept(&mut self, from: SocketAddr, key: Option<KeyId>) -> u32 {
        let number = self.relay.next_number();
        self.connect(number, from, key);
        number
    }

    fn on_connected(&mut self, _: u32) {
        unreachable!("a relay dials nobody");
    }

    fn receive(&mut self, number: u32, bytes: &[u8]) {
        self.query(number, bytes);
        self.settle();
    }

    fn end_input(&mut self, number: u32) {
        if let Some(state) = self.clients.get_mut(&number) {
            // The reply to a line that is not ended.
            state.lines += 1;
        }
        Host::end_input(&mut self.relay, number);
        self.read_actions();
    }

    fn close(&mut self, number: u32, reason: &CloseReason) {
        Host::close(&mut self.relay, number, reason);
        self.read_actions();
    }

    fn next_deadline(&self) -> Option<Instant> {
        Host::next_deadline(&self.relay)
    }

    fn on_timer(&mut self) {
        Host::on_timer(&mut self.relay);
        self.read_actions();
        self.settle();
    }

    fn on_external_event(&mut self) {}

    fn drain(&mut self) {
        Host::drain(&mut self.relay);
        self.read_actions();
    }

    fn take_actions(&mut self) -> Vec<HostAction> {
        mem::take(&mut self.actions)
    }
}
