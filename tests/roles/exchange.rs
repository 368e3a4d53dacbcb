//! Conversations in datagrams with a real relay, on a virtual clock, over a
//! network that does what it likes.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use peerline::close_reason::CloseReason;
use peerline::protocol::{FileName, HolderItem, Request};
use peerline::relay::Relay;
use peerline::role::{Action, Context, Output, ReadNext, Role, Traffic, UdpPeer};
use peerline::session::udp_requests::{UdpOutcome, UdpRequests};
use proptest::prelude::*;

use crate::relay::{defaults, relay};

/// What the network does with the datagrams that are on their way.
#[derive(Clone, Debug)]
enum Fate {
    /// One of them arrives.
    Arrives(prop::sample::Index),
    /// It arrives, and will arrive once more.
    IsDoubled(prop::sample::Index),
    IsLost(prop::sample::Index),
    /// Time passes: milliseconds.
    Time(u64),
}

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let index = any::<prop::sample::Index>;
    let fate = prop_oneof![
        6 => index().prop_map(Fate::Arrives),
        2 => index().prop_map(Fate::IsDoubled),
        1 => index().prop_map(Fate::IsLost),
        2 => prop::sample::select(&[1, 400, 600, 130_000][..]).prop_map(Fate::Time),
    ];
    prop::collection::vec(fate, 0..200)
}

/// Somebody who asks for files `from` to `to`, each with its number as its size,
/// one after the other.
#[derive(Debug)]
struct PromptHandle {
    from: u64,
    to: u64,
    /// The next line is a holder.
    listed: bool,
}

impl PromptHandle {
    fn ask(&self, text: &mut Vec<u8>) {
        let name = format!("f{:05}", self.from);
        let request = Request::Find(FileName::parse(&name).expect("a name"));
        text.extend_from_slice(format!("{request}\n").as_bytes());
    }

    fn on_input(&mut self, line: &[u8], more: &mut Vec<u8>) -> ReadNext {
        let line = std::str::from_utf8(line).expect("text");
        if !std::mem::take(&mut self.listed) {
            assert_eq!(line, "HOLDERS 1");
            self.listed = true;
            return ReadNext::Line;
        }
        let holder = HolderItem::parse(line).expect("a holder");
        assert_eq!(holder.size, self.from, "an answer to something else");
        self.from += 1;
        if self.from > self.to {
            return ReadNext::Close(CloseReason::Completed);
        }
        self.ask(more);
        ReadNext::Line
    }
}

/// A datagram on its way: to the relay, or back.
#[derive(Clone)]
struct Flying {
    to_relay: bool,
    with: UdpPeer,
    bytes: Vec<u8>,
}

/// A relay, two who ask it, and the network between.
struct World {
    relay: Relay,
    now: Instant,
    out: Output<Relay>,
    flying: Vec<Flying>,
    exchanges: UdpRequests<PromptHandle>,
    over: Vec<UdpOutcome<PromptHandle>>,
}

/// As the relay is seen, and as it sees the askers.
fn relay_address() -> UdpPeer {
    at("192.0.2.1:4000")
}

fn asker_address() -> UdpPeer {
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
            flying: Vec::new(),
            exchanges: UdpRequests::new(&[relay_address()], 7),
            over: Vec::new(),
        };
        for number in 1..=files {
            // Over the same way, in good weather.
            let node = at("192.0.2.9:6000");
            world.relay_hears(node, b"PING\n");
            let cookie = world.flying.pop().expect("an answer");
            let cookie = String::from_utf8(cookie.bytes).expect("text");
            let share = format!(
                "{} REGISTER * 1\nSHARE {number} - f{number:05}\n",
                cookie.trim()
            );
            world.relay_hears(node, share.as_bytes());
            let answer = world.flying.pop().expect("an answer");
            assert!(answer.bytes.ends_with(b"\nOK\n"));
        }
        world
    }

    fn relay_hears(&mut self, from: UdpPeer, bytes: &[u8]) {
        let traffic = Traffic::default();
        let mut context = Context {
            now: self.now,
            traffic: &traffic,
            out: &mut self.out,
        };
        self.relay.on_datagram(&mut context, from, bytes);
        self.send(false);
    }

    fn asker_hears(&mut self, bytes: &[u8]) {
        let from = relay_address();
        let outcome =
            self.exchanges
                .receive(&mut self.out, self.now, from, bytes, PromptHandle::on_input);
        self.over.extend(outcome);
        self.send(true);
    }

    fn begin(&mut self, from: u64, to: u64) {
        let asker = PromptHandle {
            from,
            to,
            listed: false,
        };
        let address = relay_address().address;
        let write = |asker: &mut PromptHandle, text: &mut Vec<u8>| asker.ask(text);
        let begun = self
            .exchanges
            .begin(&mut self.out, self.now, address, asker, write);
        begun.expect("there is a route");
        self.send(true);
    }

    fn advance(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.exchanges.next_deadline().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            let late = self.exchanges.on_timer(&mut self.out, self.now);
            self.over.extend(late);
            self.send(true);
        }
        self.now = end;
    }

    /// What was written sets out.
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
                let with = if to_relay { asker_address() } else { to };
                self.flying.push(Flying {
                    to_relay,
                    with,
                    bytes,
                });
            }
        }
    }

    fn arrives(&mut self, flying: &Flying) {
        if flying.to_relay {
            self.relay_hears(flying.with, &flying.bytes);
        } else {
            self.asker_hears(&flying.bytes);
        }
    }

    fn happens(&mut self, fate: &Fate) {
        let count = self.flying.len();
        match fate {
            Fate::Time(millis) => self.advance(Duration::from_millis(*millis)),
            _ if count == 0 => {}
            Fate::IsLost(index) => drop(self.flying.swap_remove(index.index(count))),
            Fate::IsDoubled(index) => {
                let flying = self.flying[index.index(count)].clone();
                self.arrives(&flying);
            }
            Fate::Arrives(index) => {
                let flying = self.flying.swap_remove(index.index(count));
                self.arrives(&flying);
            }
        }
    }
}

proptest! {
    /// Each answer is checked by whoever hears it.
    #[test]
    fn no_answer_is_taken_for_anothers_whatever_the_network_does(fates in fates()) {
        let mut world = World::new(60);
        world.begin(1, 20);
        world.begin(21, 40);
        world.begin(41, 60);
        for fate in &fates {
            world.happens(fate);
        }
        // Then the weather is good, but what flies still flies.
        for _ in 0..10_000 {
            match world.flying.pop() {
                Some(flying) => world.arrives(&flying),
                None if world.exchanges.is_empty() => break,
                None => world.advance(Duration::from_millis(100)),
            }
        }
        prop_assert_eq!(world.over.len(), 3);
        for outcome in &world.over {
            match outcome {
                UdpOutcome::Ended(asker, CloseReason::Completed) => prop_assert_eq!(asker.from, asker.to + 1),
                UdpOutcome::FallBack(address, _) => {
                    prop_assert_eq!(*address, relay_address().address);
                }
                UdpOutcome::Ended(asker, end) => prop_assert!(false, "{:?}: {:?}", asker, end),
            }
        }
    }
}

#[test]
fn a_datagram_is_repeated_and_then_given_up() {
    let mut world = World::new(1);
    world.begin(1, 1);
    let mut sent = Vec::new();
    for tenth in 0..50 {
        sent.extend(world.flying.drain(..).map(|flying| (tenth, flying.bytes)));
        world.advance(Duration::from_millis(100));
    }
    let times: Vec<u32> = sent.iter().map(|(tenth, _)| *tenth).collect();
    assert_eq!(times, [0, 5, 10, 20]);
    assert!(sent.iter().all(|(_, bytes)| *bytes == sent[0].1));
    assert!(matches!(world.over[..], [UdpOutcome::FallBack(..)]));
    // For a while it is not tried again.
    let asker = || PromptHandle {
        from: 1,
        to: 1,
        listed: false,
    };
    let address = relay_address().address;
    let begins = |world: &mut World| {
        let write = |_: &mut PromptHandle, text: &mut Vec<u8>| text.extend_from_slice(b"PING\n");
        let begun = world
            .exchanges
            .begin(&mut world.out, world.now, address, asker(), write);
        begun.is_ok()
    };
    assert!(!begins(&mut world));
    world.advance(Duration::from_secs(300));
    assert!(begins(&mut world));
}

#[test]
fn an_expired_cookie_is_replaced() {
    let mut world = World::new(2);
    for number in [1, 2] {
        world.begin(number, number);
        let mut datagrams = 0;
        while let Some(flying) = world.flying.pop() {
            datagrams += 1;
            world.arrives(&flying);
        }
        // To the cookie and back, to the answer and back.
        assert_eq!(datagrams, 4);
        world.advance(Duration::from_secs(240));
    }
    assert!(matches!(
        world.over[..],
        [
            UdpOutcome::Ended(_, CloseReason::Completed),
            UdpOutcome::Ended(_, CloseReason::Completed)
        ]
    ));
}

#[test]
fn a_cookie_for_one_is_good_for_all_who_asked_without() {
    let mut world = World::new(3);
    for number in 1..=3 {
        world.begin(number, number);
    }
    // In the order in which they set out, and no time passes.
    while !world.flying.is_empty() {
        let flying = world.flying.remove(0);
        world.arrives(&flying);
    }
    assert_eq!(world.over.len(), 3);
}

#[test]
fn what_comes_from_elsewhere_or_unasked_is_not_heard() {
    let mut world = World::new(1);
    world.begin(1, 1);
    let first = world.flying.pop().expect("a request");
    world.arrives(&first);
    let cookie = world.flying.pop().expect("a cookie");
    world.arrives(&cookie);
    let request = world.flying.pop().expect("a request");
    world.arrives(&request);
    let answer = world.flying.pop().expect("an answer");
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
        world.asker_hears(forged.as_bytes());
    }
    let from = at("192.0.2.66:4000");
    let outcome = world.exchanges.receive(
        &mut world.out,
        world.now,
        from,
        &answer.bytes,
        PromptHandle::on_input,
    );
    assert!(outcome.is_none());
    assert!(world.over.is_empty());
    // A second one of the first answer is not for the second request.
    world.arrives(&cookie);
    world.arrives(&answer);
    assert!(matches!(
        world.over[..],
        [UdpOutcome::Ended(_, CloseReason::Completed)]
    ));
}
