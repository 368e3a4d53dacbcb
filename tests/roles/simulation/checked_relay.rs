//! The relay beside its model. Each request goes to both, and their replies must be
//! equal. After each request that may have changed something, two observers compare all
//! lists.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::mem;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Instant;

use peerline::close_reason::CloseReason;
use peerline::relay::Relay;

use super::host::{Host, HostAction};
use super::model::{Model, ModelClient, may_change};
use crate::machine::{Event, Machine};

/// One observer sees the nodes on loopback, the other does not.
const OBSERVERS: [(u32, IpAddr); 2] = [
    (1, IpAddr::V4(Ipv4Addr::LOCALHOST)),
    (2, IpAddr::V4(Ipv4Addr::new(198, 18, 0, 1))),
];

pub struct CheckedRelay {
    relay: Machine<Relay, Vec<Event<OwnedFd>>>,
    model: Rc<RefCell<Model>>,
    clients: BTreeMap<u32, ClientState>,
    /// The requests of the observers.
    queries: String,
    /// A request since the last comparison may have changed something.
    may_have_changed: bool,
    actions: Vec<HostAction>,
    /// Whether it sends epochs, as relays of older versions do not.
    has_epochs: bool,
}

struct ClientState {
    client: ModelClient,
    /// The beginning of a line whose end has not arrived.
    unfinished: Vec<u8>,
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
            may_have_changed: true,
            actions: Vec::new(),
            has_epochs,
        };
        let finds = names.iter().map(|name| format!("FIND {name}\n"));
        checked_relay.queries.extend(finds);
        for (number, ip) in OBSERVERS {
            checked_relay.connect(number, SocketAddr::new(ip, 50_000));
        }
        checked_relay
    }

    fn connect(&mut self, number: u32, from: SocketAddr) {
        self.relay.accept(number, from).expect("a new number");
        let state = ClientState {
            client: ModelClient::new(from.ip()),
            unfinished: Vec::new(),
        };
        self.clients.insert(number, state);
    }

    /// Sends lines to both; returns the actions of the relay.
    fn query(&mut self, number: u32, bytes: &[u8]) -> Vec<HostAction> {
        Host::receive(&mut self.relay, number, bytes);
        let mut replies = Host::take_actions(&mut self.relay);
        let now = self.relay.now;
        let ClientState { client, unfinished } =
            self.clients.get_mut(&number).expect("it is there");
        unfinished.extend_from_slice(bytes);
        let whole = unfinished
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |at| at + 1);
        let rest = unfinished.split_off(whole);
        let lines = String::from_utf8(mem::replace(unfinished, rest)).expect("all here is text");
        let mut answers = Vec::new();
        for action in &mut replies {
            if let HostAction::Send(to, bytes) = action {
                assert_eq!(*to, number, "no connection listens here");
                answers.extend_from_slice(bytes);
                if !self.has_epochs {
                    *bytes = without_epochs(bytes);
                }
            }
        }
        let answers = String::from_utf8(answers).expect("answers are text");
        let mut answers = answers.lines();
        for line in lines.lines() {
            self.may_have_changed |= may_change(line);
            let mut model = self.model.borrow_mut();
            let expected = model.answer(now, client, line);
            let mut answer: Vec<&str> = answers.by_ref().take(expected.len()).collect();
            if let [head] = answer.as_mut_slice()
                && let Some((registered, address, epoch)) = split_epoch(head)
            {
                model.check_epoch(&address, epoch);
                *head = registered;
            }
            assert_eq!(sorted(line, answer), sorted(line, expected), "{line}");
        }
        assert_eq!(answers.next(), None, "a reply to no request");
        replies
    }

    /// Compares all lists of both.
    fn compare_all(&mut self) {
        let queries = mem::take(&mut self.queries);
        for (number, _) in OBSERVERS {
            self.query(number, queries.as_bytes());
        }
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
            self.compare_all();
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

    fn accept(&mut self, from: SocketAddr) -> u32 {
        let number = self.relay.next_number();
        self.connect(number, from);
        number
    }

    fn on_connected(&mut self, _: u32) {
        unreachable!("a relay dials nobody");
    }

    fn receive(&mut self, number: u32, bytes: &[u8]) {
        let replies = self.query(number, bytes);
        self.actions.extend(replies);
        self.settle();
    }

    fn end_input(&mut self, number: u32) {
        Host::end_input(&mut self.relay, number);
    }

    fn close(&mut self, number: u32, reason: &CloseReason) {
        Host::close(&mut self.relay, number, reason);
    }

    fn next_deadline(&self) -> Option<Instant> {
        Host::next_deadline(&self.relay)
    }

    fn on_timer(&mut self) {
        Host::on_timer(&mut self.relay);
        self.settle();
    }

    fn on_external_event(&mut self) {}

    fn drain(&mut self) {
        Host::drain(&mut self.relay);
    }

    fn take_actions(&mut self) -> Vec<HostAction> {
        let mut actions = mem::take(&mut self.actions);
        actions.extend(Host::take_actions(&mut self.relay));
        actions
    }
}
