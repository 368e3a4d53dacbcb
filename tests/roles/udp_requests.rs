//! Sessions over UDP with a real relay, on a virtual clock, over a network that
//! delays, duplicates and loses datagrams.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime};

use peerline::close_reason::CloseReason;
use peerline::protocol::{FileName, HolderItem, Request};
use peerline::relay::Relay;
use peerline::role::{Action, Context, Output, ReadNext, Role, Traffic, UdpPeer};
use peerline::session::udp_requests::{UdpOutcome, UdpRequests};
use proptest::prelude::*;

use crate::defaults::defaults;
use crate::relay::relay;

/// What the network does with the datagrams in transit.
#[derive(Clone, Debug)]
enum NetworkEvent {
    /// One of them arrives.
    Deliver(prop::sample::Index),
    /// One of them arrives, and will arrive once more.
    Duplicate(prop::sample::Index),
    Lose(prop::sample::Index),
    /// So many milliseconds pass.
    Wait(u64),
}

fn events() -> impl Strategy<Value = Vec<NetworkEvent>> {
    let index = any::<prop::sample::Index>;
    let event = prop_oneof![
        6 => index().prop_map(NetworkEvent::Deliver),
        2 => index().prop_map(NetworkEvent::Duplicate),
        1 => index().prop_map(NetworkEvent::Lose),
        2 => prop::sample::select(&[1, 400, 600, 130_000][..]).prop_map(NetworkEvent::Wait),
    ];
    prop::collection::vec(event, 0..200)
}

/// A session that finds the files `from` to `to` one after the other. The size of
/// each is its number.
#[derive(Debug)]
struct FileFinder {
    from: u64,
    to: u64,
    /// The next line is a holder.
    expects_item: bool,
}

impl FileFinder {
    fn send_request(&self, text: &mut Vec<u8>) {
        let name = format!("f{:05}", self.from);
        let request = Request::Find(FileName::parse(&name).expect("a name"));
        text.extend_from_slice(format!("{request}\n").as_bytes());
    }

    fn on_input(&mut self, line: &[u8], more: &mut Vec<u8>) -> ReadNext {
        let line = std::str::from_utf8(line).expect("text");
        if !std::mem::take(&mut self.expects_item) {
            assert_eq!(line, "HOLDERS 1");
            self.expects_item = true;
            return ReadNext::Line;
        }
        let holder = HolderItem::parse(line).expect("a holder");
        assert_eq!(holder.size, self.from, "the answer to another request");
        self.from += 1;
        if self.from > self.to {
            return ReadNext::Close(CloseReason::Completed);
        }
        self.send_request(more);
        ReadNext::Line
    }
}

/// A datagram in transit: to the relay, or back.
#[derive(Clone)]
struct Datagram {
    to_relay: bool,
    with: UdpPeer,
    bytes: Vec<u8>,
}

/// A relay, sessions with it, and the network between.
struct World {
    relay: Relay,
    now: Instant,
    out: Output<Relay>,
    in_transit: Vec<Datagram>,
    udp: UdpRequests<FileFinder>,
    outcomes: Vec<UdpOutcome<FileFinder>>,
}

/// The relay's address for the sessions, and theirs for the relay.
fn relay_address() -> UdpPeer {
    at("192.0.2.1:4000")
}

fn client_address() -> UdpPeer {
    at("192.0.2.7:5000")
}

fn at(address: &str) -> UdpPeer {
    let address: SocketAddr = address.parse().expect("an address");
    UdpPeer { socket: 0, address }
}

impl World {
    fn new(files: u64) -> Self {
        let now = Instant::now();
        let mut settings = defaults();
        settings.lease = Duration::from_secs(86_400);
        let mut world = Self {
            relay: relay(settings, now),
            now,
            out: Output::default(),
            in_transit: Vec::new(),
            udp: UdpRequests::new(&[relay_address()], 7),
            outcomes: Vec::new(),
        };
        for number in 1..=files {
            // Over the same network, without losses.
            let node = at("192.0.2.9:6000");
            world.relay_receives(node, b"PING\n");
            let cookie = world.in_transit.pop().expect("an answer");
            let cookie = String::from_utf8(cookie.bytes).expect("text");
            let share = format!(
                "{} REGISTER * 1\nSHARE {number} - f{number:05}\n",
                cookie.trim()
            );
            world.relay_receives(node, share.as_bytes());
            let answer = world.in_transit.pop().expect("an answer");
            assert!(answer.bytes.ends_with(b"\nOK\n"));
        }
        world
    }

    fn relay_receives(&mut self, from: UdpPeer, bytes: &[u8]) {
        let traffic = Traffic::default();
        let mut context = Context {
            now: self.now,
            wall_clock: || SystemTime::UNIX_EPOCH,
            traffic: &traffic,
            out: &mut self.out,
        };
        self.relay.on_datagram(&mut context, from, bytes);
        self.send(false);
    }

    fn client_receives(&mut self, bytes: &[u8]) {
        let from = relay_address();
        let outcome =
            self.udp
                .on_datagram(&mut self.out, self.now, from, bytes, FileFinder::on_input);
        self.outcomes.extend(outcome);
        self.send(true);
    }

    fn start(&mut self, from: u64, to: u64) {
        let finder = FileFinder {
            from,
            to,
            expects_item: false,
        };
        let address = relay_address().address;
        let write = |finder: &mut FileFinder, text: &mut Vec<u8>| finder.send_request(text);
        let started = self
            .udp
            .start(&mut self.out, self.now, address, finder, write);
        started.expect("there is a route");
        self.send(true);
    }

    fn advance(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.udp.next_deadline().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            let failed = self.udp.on_timer(&mut self.out, self.now);
            self.outcomes.extend(failed);
            self.send(true);
        }
        self.now = end;
    }

    /// The datagrams that were written are in transit.
    fn send(&mut self, to_relay: bool) {
        let (text, steps) = self.out.take();
        let mut start = 0;
        for step in steps {
            let Action::Datagram { to, end } = step else {
                panic!("only datagrams are sent");
            };
            let bytes = text[start..end].to_vec();
            start = end;
            if !bytes.is_empty() {
                let with = if to_relay { client_address() } else { to };
                self.in_transit.push(Datagram {
                    to_relay,
                    with,
                    bytes,
                });
            }
        }
    }

    fn deliver(&mut self, datagram: &Datagram) {
        if datagram.to_relay {
            self.relay_receives(datagram.with, &datagram.bytes);
        } else {
            self.client_receives(&datagram.bytes);
        }
    }

    fn apply(&mut self, event: &NetworkEvent) {
        let count = self.in_transit.len();
        match event {
            NetworkEvent::Wait(millis) => self.advance(Duration::from_millis(*millis)),
            _ if count == 0 => {}
            NetworkEvent::Lose(index) => drop(self.in_transit.swap_remove(index.index(count))),
            NetworkEvent::Duplicate(index) => {
                let datagram = self.in_transit[index.index(count)].clone();
                self.deliver(&datagram);
            }
            NetworkEvent::Deliver(index) => {
                let datagram = self.in_transit.swap_remove(index.index(count));
                self.deliver(&datagram);
            }
        }
    }
}

proptest! {
    /// Each session checks its answers.
    #[test]
    fn an_answer_reaches_its_own_request_on_any_network(events in events()) {
        let mut world = World::new(60);
        world.start(1, 20);
        world.start(21, 40);
        world.start(41, 60);
        for event in &events {
            world.apply(event);
        }
        // Then nothing is lost, and the datagrams in transit arrive.
        for _ in 0..10_000 {
            match world.in_transit.pop() {
                Some(datagram) => world.deliver(&datagram),
                None if world.udp.is_empty() => break,
                None => world.advance(Duration::from_millis(100)),
            }
        }
        prop_assert_eq!(world.outcomes.len(), 3);
        for outcome in &world.outcomes {
            match outcome {
                UdpOutcome::Ended(finder, CloseReason::Completed) => prop_assert_eq!(finder.from, finder.to + 1),
                UdpOutcome::FallBack(address, _) => {
                    prop_assert_eq!(*address, relay_address().address);
                }
                UdpOutcome::Ended(finder, end) => prop_assert!(false, "{:?}: {:?}", finder, end),
            }
        }
    }
}

#[test]
fn a_datagram_is_sent_again_until_the_session_falls_back() {
    let mut world = World::new(1);
    world.start(1, 1);
    let mut sent = Vec::new();
    for tenth in 0..50 {
        sent.extend(
            world
                .in_transit
                .drain(..)
                .map(|datagram| (tenth, datagram.bytes)),
        );
        world.advance(Duration::from_millis(100));
    }
    let times: Vec<u32> = sent.iter().map(|(tenth, _)| *tenth).collect();
    assert_eq!(times, [0, 5, 10, 20]);
    assert!(sent.iter().all(|(_, bytes)| *bytes == sent[0].1));
    assert!(matches!(world.outcomes[..], [UdpOutcome::FallBack(..)]));
    // For a while no datagrams go there.
    let finder = || FileFinder {
        from: 1,
        to: 1,
        expects_item: false,
    };
    let address = relay_address().address;
    let starts = |world: &mut World| {
        let write = |_: &mut FileFinder, text: &mut Vec<u8>| text.extend_from_slice(b"PING\n");
        let started = world
            .udp
            .start(&mut world.out, world.now, address, finder(), write);
        started.is_ok()
    };
    assert!(!starts(&mut world));
    world.advance(Duration::from_secs(300));
    assert!(starts(&mut world));
}

#[test]
fn an_expired_cookie_is_replaced() {
    let mut world = World::new(2);
    for number in [1, 2] {
        world.start(number, number);
        let mut datagrams = 0;
        while let Some(datagram) = world.in_transit.pop() {
            datagrams += 1;
            world.deliver(&datagram);
        }
        // To the cookie and back, to the answer and back.
        assert_eq!(datagrams, 4);
        world.advance(Duration::from_secs(240));
    }
    assert!(matches!(
        world.outcomes[..],
        [
            UdpOutcome::Ended(_, CloseReason::Completed),
            UdpOutcome::Ended(_, CloseReason::Completed)
        ]
    ));
}

#[test]
fn one_cookie_serves_all_sessions() {
    let mut world = World::new(3);
    for number in 1..=3 {
        world.start(number, number);
    }
    // In order, and no time passes.
    while !world.in_transit.is_empty() {
        let datagram = world.in_transit.remove(0);
        world.deliver(&datagram);
    }
    assert_eq!(world.outcomes.len(), 3);
}

#[test]
fn forged_and_duplicate_datagrams_are_ignored() {
    let mut world = World::new(1);
    world.start(1, 1);
    let first = world.in_transit.pop().expect("a request");
    world.deliver(&first);
    let cookie = world.in_transit.pop().expect("a cookie");
    world.deliver(&cookie);
    let request = world.in_transit.pop().expect("a request");
    world.deliver(&request);
    let answer = world.in_transit.pop().expect("an answer");
    let text = String::from_utf8(answer.bytes.clone()).expect("text");
    let (tag, _) = text.split_once('\n').expect("a tag");
    for forged in [
        "HOLDERS 1\n192.0.2.66 1 666 -\n".to_owned(),
        "TAG 1\nHOLDERS 1\n192.0.2.66 1 666 -\n".to_owned(),
        format!("{tag}\n"),
        format!("{tag}\nHOLDERS 1\n"),
        format!("{tag}\nHOLDERS 1\n192.0.2.66 1 1"),
        format!("{tag}\nNOTFOUND\nNOTFOUND\n"),
        String::new(),
    ] {
        world.client_receives(forged.as_bytes());
    }
    let from = at("192.0.2.66:4000");
    let outcome = world.udp.on_datagram(
        &mut world.out,
        world.now,
        from,
        &answer.bytes,
        FileFinder::on_input,
    );
    assert!(outcome.is_none());
    assert!(world.outcomes.is_empty());
    // A duplicate of the cookie is ignored.
    world.deliver(&cookie);
    world.deliver(&answer);
    assert!(matches!(
        world.outcomes[..],
        [UdpOutcome::Ended(_, CloseReason::Completed)]
    ));
}
