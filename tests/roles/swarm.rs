//! Downloads in pieces from nodes with random faults. Connections, chunks and failures
//! come in a random order, and time is virtual.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use fastrand::Rng;
use peerline::client::{Client, Task};
use peerline::close_reason::CloseReason;
use peerline::jobs::{
    ContentInfo, DiscardedContent, FilePattern, JobId, JobRunner, Listing, Opened, PartialContent,
    PeerSource, PieceSet, PromptKind, StoreError, TaskResult, User, UserEvent,
};
use peerline::limits::JobLimits;
use peerline::protocol::{FileName, PieceValue, Request};
use peerline::role::Role;

use crate::long_content::LongContent;
use crate::machine::{Event, Machine};

static CONTENT: LazyLock<LongContent> = LazyLock::new(|| LongContent::new(9 << 19));
/// The most steps of one run.
const MAX_STEPS: usize = 20_000;
const RELAY: &str = "192.0.2.1:4000";

/// What is wrong with a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum NodeFault {
    None,
    WrongBytes,
    WrongList,
    /// It closes the connection now and then.
    Closes,
    /// It falls silent now and then.
    FallsSilent,
    Changes,
    IsGone,
    RefusesConnections,
    OnlyGet,
}

const FAULTS: [NodeFault; 8] = [
    NodeFault::WrongBytes,
    NodeFault::WrongList,
    NodeFault::Closes,
    NodeFault::FallsSilent,
    NodeFault::Changes,
    NodeFault::IsGone,
    NodeFault::RefusesConnections,
    NodeFault::OnlyGet,
];

/// What the user has got.
#[derive(Default)]
struct Stored {
    bytes: Vec<u8>,
    is_in_order: bool,
    is_complete: bool,
}

struct StoringUser(Rc<RefCell<Stored>>);

impl User for StoringUser {
    fn on_event(&mut self, _: UserEvent<'_>) {}

    fn prompt(&mut self, _: PromptKind) {}

    fn show(&mut self, _: Listing<'_>) -> Result<(), StoreError> {
        Ok(())
    }

    fn open(
        &mut self,
        _: JobId,
        _: &FileName<'_>,
        content: &ContentInfo,
    ) -> Result<Opened, StoreError> {
        let mut stored = self.0.borrow_mut();
        stored.bytes.clear();
        if stored.is_in_order {
            return Ok(Opened::InOrder);
        }
        let size = usize::try_from(content.size).expect("it fits into memory");
        stored.bytes.resize(size, 0);
        Ok(Opened::Empty)
    }

    fn write_at(&mut self, _: JobId, offset: u64, bytes: &[u8]) -> Result<(), StoreError> {
        let mut stored = self.0.borrow_mut();
        let start = usize::try_from(offset).expect("it fits into memory");
        if stored.is_in_order {
            assert_eq!(stored.bytes.len(), start, "in order");
            stored.bytes.extend_from_slice(bytes);
        } else {
            stored.bytes[start..start + bytes.len()].copy_from_slice(bytes);
        }
        Ok(())
    }

    fn record_piece(&mut self, _: JobId, index: u32) -> Result<(), StoreError> {
        let stored = self.0.borrow();
        let range = CONTENT.layout.range(index as usize);
        let range = range.start as usize..range.end as usize;
        assert!(
            stored.bytes[range.clone()] == CONTENT.bytes[range],
            "piece {index}"
        );
        Ok(())
    }

    fn start_check(&mut self, _: JobId, _: &PieceSet, _: &[PieceValue]) -> Result<(), StoreError> {
        unreachable!("nothing is stored before")
    }

    fn checked_pieces(&mut self, _: JobId) -> Result<Vec<(u32, bool)>, StoreError> {
        Ok(Vec::new())
    }

    fn commit(&mut self, _: JobId, _: &ContentInfo) -> Result<(), StoreError> {
        let mut stored = self.0.borrow_mut();
        assert!(stored.bytes == CONTENT.bytes, "the content is right");
        stored.is_complete = true;
        Ok(())
    }

    fn discard(&mut self, _: JobId) -> DiscardedContent {
        let stored = self.0.borrow();
        DiscardedContent {
            printed: if stored.is_in_order {
                stored.bytes.len() as u64
            } else {
                0
            },
            ..DiscardedContent::default()
        }
    }

    fn keep(&mut self, _: JobId) -> PartialContent {
        PartialContent::Nothing
    }
}

/// What a connection does next.
enum Action {
    Establish,
    Refuse,
    Send(Vec<u8>),
    Close,
    /// Nothing more comes.
    BeSilent,
}

struct Connection {
    address: SocketAddr,
    input: Vec<u8>,
    actions: VecDeque<Action>,
}

struct Swarm {
    machine: Machine<Client, Vec<Event<OwnedFd>>>,
    nodes: BTreeMap<SocketAddr, NodeFault>,
    connections: BTreeMap<u32, Connection>,
    random: Rng,
    is_done: bool,
}

impl Swarm {
    fn new(random: Rng, faults: &[NodeFault], stored: &Rc<RefCell<Stored>>) -> Self {
        let limits = JobLimits::default();
        let relay: SocketAddr = RELAY.parse().expect("an address");
        let jobs = JobRunner::new(
            StoringUser(Rc::clone(stored)),
            vec![PeerSource::relay("the relay", vec![relay])],
            limits,
        );
        let pattern = FilePattern::parse("a").expect("a name");
        let client = Client::new(jobs, Task::Get([pattern].into(), None));
        let nodes = faults.iter().enumerate();
        let nodes = nodes.map(|(index, fault)| (([192, 0, 2, 2 + index as u8], 1).into(), *fault));
        Self {
            machine: Machine::new(client, Instant::now(), Vec::new()),
            nodes: nodes.collect(),
            connections: BTreeMap::new(),
            random,
            is_done: false,
        }
    }

    /// Runs until the client is done.
    fn run(&mut self) -> TaskResult {
        for _ in 0..MAX_STEPS {
            self.take_events();
            if self.is_done {
                return self.machine.role().result();
            }
            let is_active = |(number, connection): (&u32, &Connection)| {
                let first = connection.actions.front();
                let is_active = !matches!(first, None | Some(Action::BeSilent));
                is_active.then_some(*number)
            };
            let active: Vec<u32> = self.connections.iter().filter_map(is_active).collect();
            match self.random.choice(&active) {
                Some(number) if self.random.u8(..) > 20 => self.act(*number),
                _ => self.pass_time(),
            }
        }
        panic!("it does not end");
    }

    /// The next deadline passes, or a silent connection ends.
    fn pass_time(&mut self) {
        match self.machine.role().next_deadline() {
            Some(due) => {
                self.machine.now = self.machine.now.max(due);
                self.machine.call(Client::on_timer);
            }
            None => self.machine.now += Duration::from_secs(1),
        }
        let is_silent =
            |connection: &Connection| matches!(connection.actions.front(), Some(Action::BeSilent));
        let silent = self.connections.iter();
        let silent: Vec<u32> = silent
            .filter_map(|(number, connection)| is_silent(connection).then_some(*number))
            .collect();
        if let Some(number) = silent.first()
            && self.random.u8(..) < 30
        {
            self.machine.now += Duration::from_secs(10);
            self.close(*number, &CloseReason::ReadTimeout);
        }
    }

    fn close(&mut self, number: u32, reason: &CloseReason) {
        if self.machine.is_connected(number) {
            self.machine.close(number, reason).expect("it is connected");
        }
        self.connections.remove(&number);
    }

    fn act(&mut self, number: u32) {
        let connection = self.connections.get_mut(&number).expect("it is there");
        match connection.actions.pop_front().expect("an action") {
            Action::Establish => self.machine.on_connected(number).expect("it is there"),
            Action::Refuse => {
                let refused = io::ErrorKind::ConnectionRefused.into();
                self.close(number, &CloseReason::ConnectFailed(refused));
            }
            Action::Send(mut bytes) => {
                let length = self.random.usize(1..=300_000).min(bytes.len());
                let rest = bytes.split_off(length);
                if !rest.is_empty() {
                    connection.actions.push_front(Action::Send(rest));
                }
                self.machine.receive(number, &bytes).expect("it is there");
            }
            Action::Close => self.close(number, &CloseReason::EndOfInput),
            Action::BeSilent => connection.actions.push_front(Action::BeSilent),
        }
    }

    fn take_events(&mut self) {
        for event in std::mem::take(&mut self.machine.observer) {
            match event {
                Event::Connecting {
                    number, address, ..
                } => {
                    let first = match self.nodes.get(&address) {
                        Some(NodeFault::RefusesConnections) => Action::Refuse,
                        _ => Action::Establish,
                    };
                    let connection = Connection {
                        address,
                        input: Vec::new(),
                        actions: [first].into(),
                    };
                    self.connections.insert(number, connection);
                }
                Event::Sent { to, bytes } => self.on_sent(to, &bytes),
                Event::Closed { number, .. } => drop(self.connections.remove(&number)),
                Event::LoopStopped => self.is_done = true,
                _ => {}
            }
        }
    }

    /// The client has sent something.
    fn on_sent(&mut self, to: u32, bytes: &[u8]) {
        let Some(connection) = self.connections.get_mut(&to) else {
            return;
        };
        connection.input.extend_from_slice(bytes);
        let address = connection.address;
        let mut lines = Vec::new();
        while let Some(end) = connection.input.iter().position(|byte| *byte == b'\n') {
            lines.push(connection.input.drain(..=end).collect::<Vec<u8>>());
        }
        for line in lines {
            let request = Request::parse(line.trim_ascii_end()).expect("a request");
            let actions = match self.nodes.get(&address) {
                Some(fault) => node_actions(&request, *fault, &mut self.random),
                None => vec![Action::Send(self.relay_reply(&request))],
            };
            if let Some(connection) = self.connections.get_mut(&to) {
                connection.actions.extend(actions);
            }
        }
    }

    fn relay_reply(&self, request: &Request<'_>) -> Vec<u8> {
        let nodes = self.nodes.keys();
        let nodes: Vec<_> = nodes
            .map(|node| format!("{} {}", node.ip(), node.port()))
            .collect();
        match request {
            Request::List => format!("NODES {}\n{}\n", nodes.len(), nodes.join("\n")),
            Request::Find(_) => {
                let (size, hash) = (CONTENT.bytes.len(), CONTENT.hash);
                let lines = nodes.iter().map(|node| format!("{node} {size} {hash}\n"));
                format!("HOLDERS {}\n{}", nodes.len(), lines.collect::<String>())
            }
            _ => "FILES 0 0\n".to_owned(),
        }
        .into_bytes()
    }
}

/// What a node does for a request.
fn node_actions(request: &Request<'_>, fault: NodeFault, random: &mut Rng) -> Vec<Action> {
    let send = |text: &str| vec![Action::Send(text.as_bytes().to_vec())];
    let is_wrong = fault == NodeFault::WrongBytes;
    let mut reply = match request {
        Request::Get(_) => {
            let mut reply = format!("FOUND {}\n", CONTENT.bytes.len()).into_bytes();
            reply.extend_from_slice(&CONTENT.bytes);
            let last = reply.len() - 1;
            reply[last] ^= u8::from(is_wrong || fault == NodeFault::WrongList);
            reply
        }
        _ if fault == NodeFault::OnlyGet => return send("ERROR 501 only GET\n"),
        _ if fault == NodeFault::IsGone => return send("NOTFOUND\n"),
        Request::Pieces(_) => CONTENT.list(fault == NodeFault::WrongList).into_bytes(),
        Request::Range { .. } if fault == NodeFault::Changes && random.bool() => {
            return send("ERROR 409 it has changed\n");
        }
        Request::Range { offset, .. } => {
            let index = (offset / CONTENT.layout.piece_size()) as usize;
            CONTENT.reply(index, is_wrong && random.bool())
        }
        _ => return send("NOTFOUND\n"),
    };
    if matches!(fault, NodeFault::Closes | NodeFault::FallsSilent) && random.u8(..) < 60 {
        reply.truncate(random.usize(1..=reply.len()));
        let end = match fault {
            NodeFault::Closes => Action::Close,
            _ => Action::BeSilent,
        };
        return vec![Action::Send(reply), end];
    }
    vec![Action::Send(reply)]
}

#[test]
fn downloads_from_faulty_nodes_are_right_or_fail() {
    for seed in 0..60 {
        let mut random = Rng::with_seed(seed);
        let count = random.usize(1..=5);
        let mut faults: Vec<NodeFault> = (0..count)
            .map(|_| FAULTS[random.usize(..FAULTS.len())])
            .collect();
        let has_honest = seed % 3 > 0;
        if has_honest {
            faults.push(NodeFault::None);
            random.shuffle(&mut faults);
        }
        let stored = Rc::new(RefCell::new(Stored {
            is_in_order: seed % 2 == 0,
            ..Stored::default()
        }));
        println!("seed {seed}: {faults:?}");
        let result = Swarm::new(random, &faults, &stored).run();
        let stored = stored.borrow();
        if has_honest {
            assert_eq!(result, TaskResult::Success, "seed {seed}");
        }
        assert_eq!(
            result == TaskResult::Success,
            stored.is_complete,
            "seed {seed}"
        );
        // Only what was checked is printed.
        if stored.is_in_order {
            assert!(CONTENT.bytes.starts_with(&stored.bytes), "seed {seed}");
        }
    }
}
