//! A role that gets arbitrary events. The shell around it checks everything that the
//! role sends.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use peerline::close_reason::CloseReason;
use peerline::protocol::Request;
use peerline::role::{FramingError, Role, UdpPeer};

use super::Bytes;
use super::machine::{Event, Machine, Observer};
use super::reply_reader::ReplyReader;

/// The most times that timers may fire before the clock moves on.
const MAX_FIRED: u32 = 1000;

/// The kinds of events. The first byte of an event, modulo their number, is its kind.
/// Then come the number of a connection where there is one, and the bytes that arrive.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum EventKind {
    Accept,
    Connected,
    Receive,
    ReceiveMany,
    EndInput,
    Reset,
    LineTimeout,
    Advance,
    Datagram,
    External,
    Message,
    Drain,
}

const KINDS: [EventKind; 12] = [
    EventKind::Accept,
    EventKind::Connected,
    EventKind::Receive,
    EventKind::ReceiveMany,
    EventKind::EndInput,
    EventKind::Reset,
    EventKind::LineTimeout,
    EventKind::Advance,
    EventKind::Datagram,
    EventKind::External,
    EventKind::Message,
    EventKind::Drain,
];

/// The addresses of peers.
const PEERS: [&str; 5] = [
    "127.0.0.1:50000",
    "203.0.113.1:50001",
    "203.0.113.1:50002",
    "[2001:db8::1]:50003",
    "[::ffff:192.0.2.9]:50004",
];

/// Checks what a role sends.
#[derive(Default)]
pub struct Checks {
    connections: BTreeMap<u32, Checked>,
    /// A client listens nowhere.
    pub is_client: bool,
    has_stopped: bool,
}

/// One connection.
#[derive(Default)]
struct Checked {
    is_outbound: bool,
    /// The lines that have arrived.
    lines: u64,
    replies: ReplyReader,
    /// An outbound request whose end was not sent yet.
    request: Vec<u8>,
}

impl<F> Observer<F> for Checks {
    fn observe(&mut self, event: Event<F>) {
        match event {
            // As in the loop, what is sent to a closed connection is lost.
            Event::Sent { to, bytes } => {
                if let Some(checked) = self.connections.get_mut(&to) {
                    checked.on_sent(&bytes);
                }
            }
            Event::File { to, length, .. } => {
                if let Some(checked) = self.connections.get_mut(&to) {
                    checked.replies.read_body(length);
                }
            }
            Event::LoopStopped => self.has_stopped = true,
            Event::Connecting { number, .. } => {
                let is_outbound = true;
                let checked = Checked {
                    is_outbound,
                    ..Checked::default()
                };
                self.connections.insert(number, checked);
            }
            Event::Closed { number, .. } => {
                self.connections.remove(&number);
            }
            _ => {}
        }
    }
}

impl Checks {
    /// No client has more replies than it has sent lines. A line that is cut, too long or
    /// late has a reply too, but then the connection is closed.
    fn check_replies(&self) {
        for (number, checked) in &self.connections {
            let (lines, replies) = (checked.lines, checked.replies.replies());
            assert!(
                replies <= lines,
                "{number}: {replies} replies to {lines} lines"
            );
        }
    }
}

impl Checked {
    fn on_sent(&mut self, bytes: &[u8]) {
        if !self.is_outbound {
            self.replies.read(bytes);
            return;
        }
        self.request.extend_from_slice(bytes);
        while let Some(end) = self.request.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.request.drain(..=end).collect();
            let request = Request::parse(&line[..end]);
            assert!(request.is_ok(), "{request:?} is sent");
        }
    }
}

/// Feeds the events that `data` describes to a role. `send` passes a message of another
/// thread.
pub fn run<R: Role>(
    machine: &mut Machine<R, Checks>,
    data: &[u8],
    send: fn(&mut Machine<R, Checks>, &str),
) {
    let mut bytes = Bytes(data);
    let mut is_draining = false;
    while !bytes.is_empty() && !machine.observer.has_stopped {
        let kind = KINDS[usize::from(bytes.number()) % KINDS.len()];
        match kind {
            EventKind::Accept => {
                let peer = peer(bytes.number());
                let number = machine.next_number();
                // A loop that stops accepts no connections.
                if !is_draining && !machine.observer.is_client {
                    machine.accept(number, peer).expect("a new number");
                    machine
                        .observer
                        .connections
                        .insert(number, Checked::default());
                }
            }
            EventKind::Advance => advance(
                machine,
                Duration::from_millis(u64::from(bytes.number()).pow(2)),
            ),
            EventKind::Datagram => {
                let from = UdpPeer {
                    socket: 0,
                    address: peer(bytes.number()),
                };
                let datagram = bytes.slice();
                machine.call(|role, context| role.on_datagram(context, from, datagram));
            }
            EventKind::External => machine.call(R::on_external_event),
            EventKind::Message => {
                let text = String::from_utf8_lossy(bytes.slice()).into_owned();
                send(machine, &text);
            }
            EventKind::Drain => {
                if !is_draining {
                    machine.call(R::drain);
                }
                is_draining = true;
            }
            EventKind::Connected
            | EventKind::Receive
            | EventKind::ReceiveMany
            | EventKind::EndInput
            | EventKind::Reset
            | EventKind::LineTimeout => on_connection(machine, kind, &mut bytes),
        }
        machine.observer.check_replies();
    }
    advance(machine, Duration::from_secs(3600));
    for (number, checked) in &machine.observer.connections {
        let (lines, replies) = (checked.lines, checked.replies.replies());
        if !checked.is_outbound {
            assert!(
                replies >= lines,
                "{number}: {replies} replies to {lines} lines"
            );
            assert!(
                checked.replies.is_between_replies(),
                "{number}: the reply is whole"
            );
        }
    }
}

/// An event on one of the open connections.
fn on_connection<R: Role>(
    machine: &mut Machine<R, Checks>,
    kind: EventKind,
    bytes: &mut Bytes<'_>,
) {
    let index = usize::from(bytes.number());
    let received = match kind {
        EventKind::Receive => bytes.slice().to_vec(),
        EventKind::ReceiveMany => vec![bytes.number(); 16 * usize::from(bytes.number())],
        _ => Vec::new(),
    };
    let count = machine.observer.connections.len();
    let Some(number) = machine
        .observer
        .connections
        .keys()
        .nth(index % count.max(1))
        .copied()
    else {
        return;
    };
    match kind {
        EventKind::Connected => machine.on_connected(number),
        EventKind::EndInput => machine.end_input(number),
        EventKind::LineTimeout => machine.on_framing_error(number, FramingError::LineTimeout),
        EventKind::Reset => {
            let reason = CloseReason::ConnectionLost(ErrorKind::ConnectionReset.into());
            machine.close(number, &reason)
        }
        _ => {
            let lines = received.iter().filter(|byte| **byte == b'\n').count();
            let checked = machine.observer.connections.get_mut(&number);
            checked.expect("just found").lines += lines as u64;
            machine.receive(number, &received)
        }
    }
    .expect("the connection is open");
}

fn peer(number: u8) -> SocketAddr {
    let peer = PEERS[usize::from(number) % PEERS.len()];
    peer.parse().expect("an address")
}

/// Moves the clock, and fires timers on the way.
fn advance<R: Role>(machine: &mut Machine<R, Checks>, by: Duration) {
    let end = machine.now + by;
    let mut fired = 0;
    loop {
        let due = match machine.role().has_work() {
            true => Some(machine.now),
            false => machine.role().next_deadline(),
        };
        let Some(due) = due.filter(|due| *due <= end) else {
            break;
        };
        fired = if due > machine.now { 0 } else { fired + 1 };
        assert!(fired < MAX_FIRED, "timers fire for ever");
        machine.now = machine.now.max(due);
        machine.call(R::on_timer);
    }
    machine.now = end;
}
