//! Strangers: hosts that connect to a server and do what a careless or hostile program may
//! do. What a server answers them must be whole replies, and no more than there were
//! requests.
//!
//! The address of a stranger says what the relay's model knows of it, see [`Manner`].

use std::mem;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use fastrand::Rng;
use peerline::close_reason::CloseReason;
use peerline::protocol::{NodeAddress, Port};
use peerline::tls::KeyId;

use super::NAMES;
use super::host::{Host, HostAction};
use crate::reply_reader::ReplyReader;

/// The connection of a stranger; it opens only one.
const NUMBER: u32 = 1;
/// How long a stranger stays: less than the time in which the network recovers.
const LONGEST_STAY: Duration = Duration::from_secs(50);

/// How a stranger behaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Manner {
    /// Registers nodes, announces files and sends messages, all in the right form. The
    /// model of the relay knows what follows.
    Registers,
    /// Sends anything that changes nothing, and reads the replies.
    Babbles,
    /// The same, but reads nothing.
    Stalls,
}

impl Manner {
    /// The address of a stranger of this manner.
    pub fn ip(self, number: u8) -> IpAddr {
        let network = match self {
            Self::Registers => 1,
            Self::Babbles => 2,
            Self::Stalls => 3,
        };
        Ipv4Addr::new(198, 18, network, number).into()
    }

    /// The manner of a peer; none if it is no stranger.
    pub fn of(peer: IpAddr) -> Option<Self> {
        match peer {
            IpAddr::V4(ip) => match ip.octets() {
                [198, 18, 1, _] => Some(Self::Registers),
                [198, 18, 2, _] => Some(Self::Babbles),
                [198, 18, 3, _] => Some(Self::Stalls),
                _ => None,
            },
            IpAddr::V6(_) => None,
        }
    }
}

pub struct Stranger {
    now: Instant,
    leaves_at: Instant,
    /// What it says at once, when it is connected.
    text: Vec<u8>,
    /// Whether its input ends behind that.
    ends_input: bool,
    replies: ReplyReader,
    /// The number of replies at the end, if nothing can go wrong.
    expected: Option<u64>,
    actions: Vec<HostAction>,
}

impl Stranger {
    /// A stranger that asks a node many questions over a good network, and must get as many
    /// replies.
    pub fn with_questions(rng: &mut Rng, server: SocketAddr, now: Instant) -> Self {
        let mut lines = Vec::new();
        for _ in 0..rng.u32(1..300) {
            let name = rng.choice(NAMES).expect("there are names");
            let verb = ["HELP", "STATS", "LIST", "MORE", "PING", "GET", "STAT"][rng.usize(0..7)];
            lines.push(match verb {
                "GET" | "STAT" => format!("{verb} {name}\n"),
                verb => format!("{verb}\n"),
            });
        }
        Self {
            now,
            leaves_at: now + LONGEST_STAY,
            text: lines.concat().into_bytes(),
            ends_input: true,
            replies: ReplyReader::default(),
            expected: Some(lines.len() as u64),
            actions: vec![HostAction::Dial(NUMBER, server)],
        }
    }

    /// A stranger that connects to a server. `addresses` are those of nodes.
    pub fn new(
        rng: &mut Rng,
        manner: Manner,
        server: SocketAddr,
        addresses: &[String],
        now: Instant,
    ) -> Self {
        let text = match manner {
            Manner::Registers => registrations(rng, addresses),
            Manner::Babbles | Manner::Stalls => babble(rng, addresses),
        };
        Self::with_text(rng, text, server, now)
    }

    /// An impostor at the host of a node: it acts for the node.
    pub fn impostor(rng: &mut Rng, port: Port, server: SocketAddr, now: Instant) -> Self {
        let text = impersonation(rng, port);
        Self::with_text(rng, text, server, now)
    }

    /// The owner of a node's key, elsewhere: renews the lease of the node, or ends it.
    pub fn owner(rng: &mut Rng, node: NodeAddress, server: SocketAddr, now: Instant) -> Self {
        let verb = ["REGISTER", "UNREGISTER"][rng.usize(0..2)];
        let text = format!("{verb} {node}\nLIST\n").into_bytes();
        Self::with_text(rng, text, server, now)
    }

    fn with_text(rng: &mut Rng, text: Vec<u8>, server: SocketAddr, now: Instant) -> Self {
        Self {
            now,
            leaves_at: now + LONGEST_STAY.mul_f64(rng.f64()),
            text,
            ends_input: rng.bool(),
            replies: ReplyReader::default(),
            expected: None,
            actions: vec![HostAction::Dial(NUMBER, server)],
        }
    }

    fn leave(&mut self) {
        self.actions.push(HostAction::Finish);
    }
}

/// Lines that the model of the relay knows.
fn registrations(rng: &mut Rng, addresses: &[String]) -> Vec<u8> {
    let mut text = String::new();
    let name = |rng: &mut Rng| rng.choice(NAMES).expect("there are names");
    for _ in 0..rng.u32(1..30) {
        let line = match rng.u32(0..12) {
            0..3 => format!("REGISTER * {}", rng.u16(1..6)),
            3 => format!("UNREGISTER * {}", rng.u16(1..6)),
            4..7 => format!("SHARE {} - {}", rng.u8(..), name(rng)),
            7 => format!("UNSHARE {}", name(rng)),
            8 => format!(
                "SEND {} hello",
                rng.choice(addresses).expect("there are nodes")
            ),
            9 => "LISTEN".to_owned(),
            10 => "SEARCH".to_owned(),
            _ => format!("FIND {}", name(rng)),
        };
        text.push_str(&line);
        text.push('\n');
    }
    text.into_bytes()
}

/// Everything that only the node at this port may do. Never the same file as the node's.
fn impersonation(rng: &mut Rng, port: Port) -> Vec<u8> {
    let mut text = format!("REGISTER * {port}\n");
    for _ in 0..rng.u32(1..10) {
        let name = rng.choice(NAMES).expect("there are names");
        let line = match rng.u32(0..6) {
            0 => format!("REGISTER * {port}"),
            1 => format!("UNREGISTER * {port}"),
            2 | 3 => format!("SHARE {} - {name}", 1_000_000 + rng.u32(0..9)),
            4 => format!("UNSHARE {name}"),
            _ => "LISTEN".to_owned(),
        };
        text.push_str(&line);
        text.push('\n');
    }
    text.into_bytes()
}

/// Many requests that change nothing, and lines that are none.
fn babble(rng: &mut Rng, addresses: &[String]) -> Vec<u8> {
    let mut text = Vec::new();
    for _ in 0..rng.u32(1..20) {
        let line = match rng.u32(0..16) {
            0 => "HELP\n".to_owned(),
            1 => "STATS\n".to_owned(),
            2 => "LIST\n".to_owned(),
            3 => "SEARCH e\n".to_owned(),
            4 => "MORE\n".to_owned(),
            5 => format!("GET {}\n", rng.choice(NAMES).expect("there are names")),
            6 => format!("STAT {}\n", rng.choice(NAMES).expect("there are names")),
            7 => "SHARE 1 - a\n".to_owned(),
            8 => format!(
                "SEND {} stranger\n",
                rng.choice(addresses).expect("there are nodes")
            ),
            9 => "REGISTER 192.0.2.1 9\n".to_owned(),
            10 => "GET / HTTP/1.1\r\nHost: relay\r\n\r\n".to_owned(),
            11 => "\u{16}\u{3}\u{1}".to_owned(),
            12 => format!("{}\n", "x".repeat(rng.usize(0..9000))),
            13 => "no command\n".repeat(rng.usize(0..12)),
            14 => "GET ../".to_owned(),
            _ => String::from_utf8_lossy(&[rng.u8(..), rng.u8(..)]).into_owned(),
        };
        let times = [1, 1, 1, 40][rng.usize(0..4)];
        text.extend(line.repeat(times).into_bytes());
    }
    text
}

impl Host for Stranger {
    fn set_time(&mut self, now: Instant) {
        self.now = now;
    }

    fn accept(&mut self, _: SocketAddr, _: Option<KeyId>) -> u32 {
        unreachable!("a stranger listens nowhere")
    }

    fn on_connected(&mut self, number: u32) {
        let text = mem::take(&mut self.text);
        self.actions.push(HostAction::Send(number, text));
        if self.ends_input {
            self.actions.push(HostAction::EndInput(number));
        }
    }

    fn receive(&mut self, _: u32, bytes: &[u8]) {
        self.replies.read(bytes);
    }

    fn end_input(&mut self, number: u32) {
        assert!(self.replies.is_between_replies(), "the last reply is whole");
        if let Some(expected) = self.expected {
            assert_eq!(self.replies.replies(), expected, "each request has a reply");
        }
        self.actions.push(HostAction::Close(number));
        self.leave();
    }

    fn close(&mut self, number: u32, reason: &CloseReason) {
        assert_eq!(self.expected, None, "it ends: {reason}");
        self.actions.push(HostAction::Close(number));
        self.leave();
    }

    fn next_deadline(&self) -> Option<Instant> {
        Some(self.leaves_at)
    }

    fn on_timer(&mut self) {
        assert_eq!(self.expected, None, "it waits for its replies");
        self.leaves_at += LONGEST_STAY;
        self.leave();
    }

    fn on_external_event(&mut self) {}

    fn drain(&mut self) {}

    fn take_actions(&mut self) -> Vec<HostAction> {
        mem::take(&mut self.actions)
    }
}
