//! The roles of the three programs, each with arbitrary events.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use peerline::client::{Client, Task};
use peerline::jobs::{FilePattern, JobRunner, PeerSource, Query, TerminalEvent};
use peerline::limits::JobLimits;
use peerline::node::{Console, Node, NodeMessage, Registrar};
use peerline::protocol::{ClaimedIp, FileName, NodeAddress, Port, SharedSecret, Text};
use peerline::relay::{Relay, RelaySettings};
use peerline::role::Role;
use peerline::session::GroupSecret;

use super::defaults::defaults;
use super::events::{Checks, run};
use super::machine::Machine;
use super::memory::{Entry, Files, Memory};
use super::recording_user::RecordingUser;

const RELAY: &str = "192.0.2.1:4000";
const SEED: u64 = 7;

/// A relay with low limits: once for everybody, and once with the secret of the specification.
pub fn relay(data: &[u8]) {
    let now = Instant::now();
    let secret = SharedSecret::new("correct horse battery").expect("a secret");
    let secret = Arc::new(GroupSecret::new(secret));
    for secret in [None, Some(secret)] {
        let mut settings = low_limits();
        (settings.access.secret, settings.access.guess_rate) = (secret, 2);
        let relay = Relay::new(settings, [7; 32], now);
        let mut machine = Machine::new(relay, now, Checks::default());
        run(&mut machine, data, |_, _| {});
    }
}

/// A relay with low limits.
pub(super) fn new_relay(now: Instant) -> Relay {
    Relay::new(low_limits(), [7; 32], now)
}

fn low_limits() -> RelaySettings {
    let mut settings = defaults();
    settings.max_nodes = 6;
    settings.max_nodes_per_address = 3;
    settings.quota.node_files = 5;
    settings.quota.node_bytes = 64;
    settings.message_rate = 2;
    settings
}

/// A node with all that it can have.
pub fn node(data: &[u8]) {
    let now = Instant::now();
    let mut machine = Machine::new(new_node(now), now, Checks::default());
    run(&mut machine, data, |machine, line| {
        let typed = TerminalEvent::Typed(line.to_owned());
        machine.call(|node, context| node.on_message(context, NodeMessage::Terminal(typed)));
    });
}

/// A node with files of each kind, messages and a console.
pub(super) fn new_node(now: Instant) -> Node<Memory> {
    let files = Rc::new(RefCell::new(Files::watched()));
    files.borrow_mut().change(|entries| {
        for (name, entry) in [
            ("hello.txt", Entry::Small("Hello, Peerline!\n".into())),
            ("empty.txt", Entry::Small(String::new())),
            ("large", Entry::Large(1 << 40)),
            ("sub/größe.txt", Entry::Small("Grüße aus Köln\n".into())),
            ("forbidden", Entry::Forbidden),
            ("busy", Entry::Busy),
            ("broken", Entry::Broken),
        ] {
            entries.insert(name.to_owned(), entry);
        }
    });
    let relay = vec![RELAY.parse().expect("an address")];
    let port = Port::new(40_001).expect("not zero");
    let registrar = Registrar::new(relay.clone(), ClaimedIp::Source, port, SEED, now);
    let mut node = Node::new(Memory::new(files), vec![registrar], 10, now, |event| {
        assert!(!event.to_string().contains(char::is_control), "{event:?}");
    });
    node.receive_messages(SEED);
    let (sender, _) = channel();
    let mut jobs = JobRunner::new(
        RecordingUser::new(sender),
        vec![PeerSource::relay("the relay", relay)],
        JobLimits::default(),
    );
    jobs.set_may_choose(true);
    node.console = Some(Console::new(jobs, 2));
    node
}

/// A client with a task that the first byte chooses.
pub fn client(data: &[u8]) {
    let (first, data) = data.split_first().unwrap_or((&0, &[]));
    let name = |name| FileName::parse(name).expect("a name").into_owned();
    let pattern = |pattern| FilePattern::parse(pattern).expect("a pattern");
    let text = Text::parse("hello").expect("a text").into_owned();
    let peer = NodeAddress::parse("203.0.113.9 9").expect("an address");
    let task = match first % 8 {
        0 => Task::Query(Query::Nodes),
        1 => Task::Query(Query::Files(String::new())),
        2 => Task::Query(Query::Holders(name("a"))),
        3 => Task::SendAndWait(peer, text, Duration::from_secs(5)),
        4 => Task::Chat(Some(peer), Duration::from_secs(5)),
        5 => Task::Prompt,
        _ => Task::Get(["hello.txt", "b*"].map(pattern).into(), None),
    };
    let relay = vec![RELAY.parse().expect("an address")];
    let (sender, _) = channel();
    let client = Client::new(
        JobRunner::new(
            RecordingUser::new(sender),
            vec![PeerSource::relay("the relay", relay)],
            JobLimits::default(),
        ),
        task,
    );
    let mut machine = Machine::new(client, Instant::now(), Checks::default());
    machine.observer.is_client = true;
    run(&mut machine, data, |machine, line| {
        let typed = TerminalEvent::Typed(line.to_owned());
        machine.call(|client, context| client.on_message(context, typed.into()));
    });
}
