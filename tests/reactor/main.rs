//! The loop over scripted streams: short writes, EAGAIN and resets at every
//! call, and every order in which a connection can come to its end.
//!
//! In each test, each request is answered once or the connection is closed for exactly
//! one reason, and no byte is lost or sent twice.

#![allow(missing_docs, unreachable_pub)]

mod datagrams;
mod fake_stream;
mod orders;
#[path = "../shared/processor_time.rs"]
mod processor_time;
mod rates;
mod shares;
mod signals;
mod suspend;
mod throttle;
mod timers;
mod tls;
mod tls_peer;
#[path = "../shared/tls_session.rs"]
mod tls_session;
mod tls_work;
mod world;

use std::io::ErrorKind;
use std::time::Duration;

use proptest::prelude::*;

use crate::fake_stream::{InjectedFault, SharedWire, Tail};
use crate::world::{World, answer};

/// One request for each way in which an answer is sent.
const REQUESTS: [&str; 7] = ["text", "shared", "file", "wait", "parts", "t again", "quit"];
const PORT: u16 = 1;
/// Longer than lingering takes, shorter than the other limits.
const AFTER_LINGERING: Duration = Duration::from_secs(3);

fn input(requests: &[&str]) -> Vec<u8> {
    let lines = requests.iter().map(|request| format!("{request}\n"));
    lines.collect::<String>().into_bytes()
}

fn output(requests: &[&str]) -> Vec<u8> {
    let answers = requests.iter().map(|request| answer(request));
    answers.collect::<String>().into_bytes()
}

/// Runs until the connection waits for its peer only, completing all answers.
fn finish(world: &mut World, wire: &SharedWire) {
    world.run();
    for _ in REQUESTS {
        world.resume_all();
        world.run();
    }
    if world.is_lingering() {
        let tail = wire.borrow().tail();
        if tail == Tail::Open {
            wire.borrow_mut().deliver(b"", Tail::Eof);
            world.run();
        }
    }
}

/// Sends all requests to a loop whose stream has these faults.
fn play(max_queue: usize, faults: &[(usize, InjectedFault)]) -> (World, SharedWire) {
    let mut world = World::new(max_queue);
    let wire = world.accept(PORT);
    wire.borrow_mut().faults = faults.iter().copied().collect();
    wire.borrow_mut().deliver(&input(&REQUESTS), Tail::Open);
    finish(&mut world, &wire);
    (world, wire)
}

/// Checks that the connection was closed once, for `reason`, after `requests`.
fn check_events(world: &World, port: u16, requests: &[&str], reason: &str) {
    let mut expected: Vec<String> = requests.iter().map(ToString::to_string).collect();
    expected.push(format!("closed: {reason}"));
    assert_eq!(world.events(port), expected);
}

/// Checks that the connection was closed once, that its requests were handled once and
/// in order, and that what was sent is the beginning of the answers.
fn check_prefix(world: &World, wire: &SharedWire, port: u16, requests: &[&str]) {
    let mut events = world.events(port);
    let end = events.pop().expect("the connection is closed");
    assert!(end.starts_with("closed: "), "{end}");
    assert_eq!(events, requests[..events.len()], "{end}");
    let all = output(requests);
    assert!(all.starts_with(&wire.borrow().sent), "{end}");
    assert!(wire.borrow().is_dropped);
}

fn check_complete(world: &World, wire: &SharedWire) {
    check_events(world, PORT, &REQUESTS, "Quit");
    assert_eq!(wire.borrow().sent, output(&REQUESTS));
    assert!(wire.borrow().is_shut_down);
    assert!(wire.borrow().is_dropped);
}

/// Queues from one that holds one answer to one that holds all.
const QUEUES: [usize; 4] = [1, 10, 25, 1000];

#[test]
fn a_write_may_be_cut_at_every_byte() {
    for max_queue in QUEUES {
        let (_, wire) = play(max_queue, &[]);
        let calls = wire.borrow().calls;
        for call in 0..calls {
            for length in 0..output(&REQUESTS).len() {
                let (world, wire) = play(max_queue, &[(call, InjectedFault::Short(length))]);
                check_complete(&world, &wire);
            }
        }
    }
}

#[test]
fn a_file_that_was_changed_is_not_sent_to_its_end() {
    let mut world = World::new(1000);
    let wire = world.accept(PORT);
    let line = format!("c{}", "hange ".repeat(600));
    wire.borrow_mut().deliver(&input(&[&line]), Tail::Open);
    world.run();
    check_prefix(&world, &wire, PORT, &[&line]);
    assert_eq!(wire.borrow().sent, b"");
    let line = format!("f{}", "ile ".repeat(600));
    let wire = world.accept(PORT + 1);
    wire.borrow_mut().deliver(&input(&[&line]), Tail::Open);
    world.run();
    assert_eq!(wire.borrow().sent, answer(&line).into_bytes());
}

#[test]
fn all_writes_may_be_short() {
    for max_queue in QUEUES {
        for length in 1..12 {
            let faults: Vec<_> = (0..500)
                .map(|call| (call, InjectedFault::Short(length)))
                .collect();
            let (world, wire) = play(max_queue, &faults);
            check_complete(&world, &wire);
        }
    }
}

#[test]
fn every_two_calls_may_block_or_be_interrupted() {
    let faults = [
        InjectedFault::WouldBlock,
        InjectedFault::Interrupted,
        InjectedFault::Short(1),
    ];
    for max_queue in QUEUES {
        let calls = play(max_queue, &[]).1.borrow().calls + 2;
        for first in 0..calls {
            for second in first + 1..calls {
                for fault in faults {
                    for other in faults {
                        let both = [(first, fault), (second, other)];
                        let (world, wire) = play(max_queue, &both);
                        check_complete(&world, &wire);
                    }
                }
            }
        }
    }
}

#[test]
fn every_call_may_find_the_connection_reset() {
    for max_queue in QUEUES {
        let calls = play(max_queue, &[]).1.borrow().calls;
        for call in 0..calls {
            let (world, wire) = play(max_queue, &[(call, InjectedFault::Reset)]);
            check_prefix(&world, &wire, PORT, &REQUESTS);
            let end = world.events(PORT).pop();
            // What is sent is sent: a reset after that changes nothing.
            let is_sent = wire.borrow().sent == output(&REQUESTS);
            let reason = if is_sent { "Quit" } else { "ConnectionLost" };
            assert_eq!(end, Some(format!("closed: {reason}")), "call {call}");
            // A blocked write before, so that answers are queued when the reset comes.
            for blocked in 0..call {
                let faults = [
                    (blocked, InjectedFault::Short(2)),
                    (call, InjectedFault::Reset),
                ];
                let (world, wire) = play(max_queue, &faults);
                check_prefix(&world, &wire, PORT, &REQUESTS);
            }
        }
    }
}

#[test]
fn input_beyond_the_budget_of_a_turn_is_handled_in_later_ones() {
    let requests = ["t"; 50_000];
    let mut world = World::new(1000);
    let (wire, other) = (world.accept(PORT), world.accept_from([127, 0, 0, 2], 2));
    wire.borrow_mut().deliver(&input(&requests), Tail::Eof);
    other.borrow_mut().deliver(b"text\n", Tail::Eof);
    world.run_round();
    assert_eq!(
        other.borrow().sent,
        output(&["text"]),
        "others have their turn"
    );
    assert!(wire.borrow().sent.len() < output(&requests).len());
    world.run();
    assert_eq!(world.events(PORT).len(), requests.len() + 1);
    assert!(wire.borrow().sent == output(&requests), "all is answered");
}

#[test]
fn an_answer_in_parts_takes_a_turn_for_each_part() {
    let long = format!("p{}", "x".repeat(300));
    let requests = [long.as_str(), "text"];
    let mut world = World::new(1000);
    let (wire, other) = (world.accept(PORT), world.accept_from([127, 0, 0, 2], 2));
    wire.borrow_mut().deliver(&input(&requests), Tail::Open);
    other.borrow_mut().deliver(b"text\n", Tail::Eof);
    world.run_round();
    assert_eq!(other.borrow().sent, output(&["text"]), "others have theirs");
    assert!(wire.borrow().sent.len() < long.len() / 2);
    // The connection closes after the answer, and before the next request.
    world.stop();
    finish(&mut world, &wire);
    check_events(&world, PORT, &requests[..1], "Shutdown");
    assert_eq!(wire.borrow().sent, output(&requests[..1]));
}

#[test]
fn a_half_close_may_come_with_before_and_after_the_request() {
    let requests = ["text", "file"];
    for (first, rest) in [(0, false), (1, false), (5, false), (10, false), (10, true)] {
        let mut world = World::new(10);
        let wire = world.accept(PORT);
        let all = input(&requests);
        wire.borrow_mut().deliver(&all[..first], Tail::Open);
        world.run();
        if rest {
            // All is answered before the end of input arrives.
            wire.borrow_mut().deliver(b"", Tail::Eof);
        } else {
            wire.borrow_mut().deliver(&all[first..], Tail::Eof);
        }
        world.run();
        check_events(&world, PORT, &requests, "EndOfInput");
        assert_eq!(wire.borrow().sent, output(&requests));
        assert!(wire.borrow().is_dropped);
    }
}

#[test]
fn a_half_close_within_a_line_is_an_error() {
    let mut world = World::new(1000);
    let wire = world.accept(PORT);
    wire.borrow_mut().deliver(b"text\nunfin", Tail::Eof);
    world.run();
    let events = ["text", "UnexpectedEof", "closed: UnexpectedEof"];
    assert_eq!(world.events(PORT), events);
    assert_eq!(wire.borrow().sent, b"<text>\nerror\n");
}

#[test]
fn a_half_close_while_the_role_works_waits_for_the_answer() {
    let mut world = World::new(1000);
    let wire = world.accept(PORT);
    wire.borrow_mut().deliver(b"wait\ntext\n", Tail::Eof);
    world.run();
    assert_eq!(world.events(PORT), ["wait"]);
    world.resume_all();
    world.run();
    check_events(&world, PORT, &["wait", "text"], "EndOfInput");
    assert_eq!(wire.borrow().sent, output(&["wait", "text"]));
}

/// After the end of input alone, the peer still gets the answer.
#[test]
fn an_answer_that_nobody_receives_ends_when_the_peer_has_reset_the_connection() {
    let mut world = World::new(1000);
    let wire = world.accept(PORT);
    wire.borrow_mut().deliver(b"wait\nmore\n", Tail::Open);
    world.run();
    wire.borrow_mut().deliver(b"", Tail::Reset);
    world.run();
    check_events(&world, PORT, &["wait"], "ConnectionLost");
}

#[test]
fn a_lingering_connection_ends_by_input_reset_or_time() {
    for end in 0..4 {
        let mut world = World::new(1000);
        let wire = world.accept(PORT);
        wire.borrow_mut().deliver(b"quit\nmore\n", Tail::Open);
        world.run();
        assert!(world.is_lingering());
        assert_eq!(world.events(PORT), ["quit"]);
        match end {
            0 => wire.borrow_mut().deliver(b"last", Tail::Eof),
            1 => wire.borrow_mut().deliver(b"last", Tail::Reset),
            2 => wire.borrow_mut().deliver(&[b'x'; 2 << 20], Tail::Open),
            _ => world.advance(AFTER_LINGERING),
        }
        world.run();
        check_events(&world, PORT, &["quit"], "Quit");
        assert_eq!(wire.borrow().sent, output(&["quit"]));
    }
}

#[test]
fn an_outgoing_connection_is_established_once_or_fails_once() {
    let mut world = World::new(1000);
    let wire = world.connect(PORT);
    wire.borrow_mut().establish(Ok(()));
    world.run();
    wire.borrow_mut().deliver(b"quit\n", Tail::Open);
    world.run();
    check_events(&world, PORT, &["quit"], "Quit");
    assert_eq!(wire.borrow().sent, b"hello\n<quit>\n");
    let refused = world.connect(2);
    refused
        .borrow_mut()
        .establish(Err(ErrorKind::ConnectionRefused));
    world.run();
    check_events(&world, 2, &[], "ConnectFailed");
    let silent = world.connect(3);
    world.advance(Duration::from_secs(4));
    check_events(&world, 3, &[], "ConnectTimeout");
    assert!(silent.borrow().is_dropped);
}

fn fault() -> impl Strategy<Value = InjectedFault> {
    prop_oneof![
        4 => (1_usize..9).prop_map(InjectedFault::Short),
        3 => Just(InjectedFault::WouldBlock),
        2 => Just(InjectedFault::Interrupted),
        1 => Just(InjectedFault::Reset),
    ]
}

proptest! {
    /// Three connections at once, whose input arrives in pieces.
    #[test]
    fn connections_do_not_disturb_each_other(
        max_queue in 1_usize..60,
        plans in prop::array::uniform3((
            prop::collection::vec(0_usize..6, 1..20),
            prop::collection::vec(1_usize..30, 1..6),
            prop::collection::btree_map(0_usize..60, fault(), 0..6),
        ))
    ) {
        let mut world = World::new(max_queue);
        let mut peers = Vec::new();
        for (port, (kinds, cuts, faults)) in (1..).zip(plans) {
            let requests: Vec<&str> = kinds.iter().map(|kind| REQUESTS[*kind]).collect();
            let quit = requests.iter().position(|request| *request == "quit");
            let is_reset = faults.values().any(|fault| *fault == InjectedFault::Reset);
            let wire = world.accept(port);
            wire.borrow_mut().faults = faults;
            let handled = requests[..quit.map_or(requests.len(), |at| at + 1)].to_vec();
            peers.push((port, wire, input(&requests), cuts, handled, is_reset));
        }
        for round in 0..120 {
            for (_, wire, rest, cuts, ..) in &mut peers {
                let length = cuts[round % cuts.len()].min(rest.len());
                let tail = if length == rest.len() { Tail::Eof } else { Tail::Open };
                let piece: Vec<u8> = rest.drain(..length).collect();
                let mut wire = wire.borrow_mut();
                if wire.tail() == Tail::Open {
                    wire.deliver(&piece, tail);
                }
            }
            world.run();
            world.resume_all();
            world.run();
        }
        for (port, wire, _, _, handled, is_reset) in &peers {
            check_prefix(&world, wire, *port, handled);
            let is_complete = wire.borrow().sent == output(handled);
            prop_assert!(is_complete || *is_reset, "{port}: {:?}", world.events(*port));
        }
    }
}
