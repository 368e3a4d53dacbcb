//! Datagrams share the rounds of the loop with everything else.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use peerline::close_reason::{CloseReason, ResourceLimit};
use peerline::limits::{Limits, RateLimits, Timeouts};
use peerline::reactor::{Clock, DatagramSocket, Reactor, ReactorSettings};
use peerline::role::{ConnId, Context, Input, ReadNext, Role, UdpPeer};

use crate::fake_stream::{FakeFile, FakeStream};

/// The work of a datagram, in short lines. The bytes of a turn stand for 1,024 of them.
const WORK: usize = 500;
/// As many as the loop receives at once.
const DATAGRAMS: usize = 16;

/// A role that counts the datagrams of each round. Each of them is a lot of work.
struct Counter {
    /// The other side, which has not sent anything until the loop runs.
    other_side: UdpSocket,
    has_sent: bool,
    rounds: Vec<usize>,
}

impl Role for Counter {
    type Session = String;
    type File = FakeFile;
    type Message = ();

    fn start(&mut self, context: &mut Context<'_, Self>) {
        let address = self.other_side.local_addr().expect("it is bound");
        let to = UdpPeer { socket: 0, address };
        context.out.begin_datagram(to).extend_from_slice(b"hello");
    }

    fn on_accept(&mut self, _: SocketAddr) -> String {
        String::new()
    }

    fn on_refuse(&self, _: ResourceLimit, _: &mut Vec<u8>) {}

    fn on_input(
        &mut self,
        _: &mut Context<'_, Self>,
        _: ConnId,
        _: SocketAddr,
        _: &mut String,
        _: Input<'_>,
    ) -> ReadNext {
        ReadNext::Line
    }

    fn on_close(&mut self, _: &mut Context<'_, Self>, _: String, _: &CloseReason) {}

    fn on_datagram(&mut self, context: &mut Context<'_, Self>, _: UdpPeer, bytes: &[u8]) {
        assert_eq!(
            bytes,
            format!("{}", self.rounds.iter().sum::<usize>()).as_bytes()
        );
        *self.rounds.last_mut().expect("a round") += 1;
        context.out.add_work(WORK);
    }

    fn on_message(&mut self, _: &mut Context<'_, Self>, (): ()) {}

    fn next_deadline(&self) -> Option<Instant> {
        None
    }

    fn has_work(&self) -> bool {
        true
    }

    /// A round ends.
    fn on_timer(&mut self, context: &mut Context<'_, Self>) {
        if !std::mem::replace(&mut self.has_sent, true) {
            let mut buffer = [0; 8];
            let (_, us) = self.other_side.recv_from(&mut buffer).expect("a datagram");
            for number in 0..DATAGRAMS {
                let text = number.to_string();
                let sent = self.other_side.send_to(text.as_bytes(), us);
                sent.expect("it is sent");
            }
        }
        match self.rounds.iter().sum::<usize>() {
            DATAGRAMS => context.out.stop_loop(),
            _ => self.rounds.push(0),
        }
    }

    fn drain(&mut self, _: &mut Context<'_, Self>) {}
}

#[test]
fn the_work_of_datagrams_that_no_byte_shows_ends_a_turn() {
    let settings = ReactorSettings {
        speaks_http: false,
        tls: None,
        relay_tls: Vec::new(),
        certificates: None,
        node_ids: None,
        secret: None,
        limits: Limits::default(),
        timeouts: Timeouts::default(),
        rates: RateLimits::default(),
        read_size: 1 << 20,
        source_addresses: Vec::new(),
    };
    let other_side = UdpSocket::bind(("127.0.0.1", 0)).expect("a port");
    let address = other_side.local_addr().expect("it is bound");
    let role = Counter {
        other_side,
        has_sent: false,
        rounds: vec![0],
    };
    let clock = Clock::new(Instant::now(), || Duration::ZERO);
    let reactor = Reactor::<_, FakeStream>::new(role, settings, clock);
    let mut reactor = reactor.expect("the system has a poll");
    let socket = DatagramSocket::connect(address, &[]).expect("a socket");
    reactor.add_datagram_socket(socket).expect("it is added");
    let (role, _) = reactor.run().expect("the poll works");
    let most = role.rounds.iter().max().expect("a round");
    assert!((most - 1) * WORK < 1024, "{:?}", role.rounds);
}
