//! Rate limits of content, in all and for each peer.

use std::time::Duration;

use peerline::limits::RateLimits;

use crate::fake_stream::{InjectedFault, SharedWire, Tail};
use crate::world::{World, answer};
use crate::{REQUESTS, input, output};

const RATE: u64 = 100_000;
const TICK: Duration = Duration::from_millis(1);
const MAX_QUEUE: usize = 1 << 20;

fn total(rate: u64) -> World {
    world(Some(rate), None)
}

fn world(limit_rate: Option<u64>, limit_rate_per_peer: Option<u64>) -> World {
    let rates = RateLimits {
        limit_rate,
        limit_rate_per_peer,
    };
    World::with_rates(MAX_QUEUE, rates)
}

/// A peer connects and requests files of 800 kB in all.
fn request_files(world: &mut World, ip: [u8; 4], port: u16) -> SharedWire {
    let wire = world.accept_from(ip, port);
    let line = format!("f{}\n", "x".repeat(3_997));
    wire.borrow_mut()
        .deliver(line.repeat(200).as_bytes(), Tail::Open);
    wire
}

/// The bytes that each of `wires` was sent in this many seconds.
fn sent_in(world: &mut World, wires: &[SharedWire], seconds: usize) -> Vec<u64> {
    let sent = |wire: &SharedWire| wire.borrow().sent.len() as u64;
    let before: Vec<u64> = wires.iter().map(sent).collect();
    for _ in 0..seconds * 1000 {
        world.advance(TICK);
    }
    let after = wires.iter().map(sent);
    after
        .zip(before)
        .map(|(after, before)| after - before)
        .collect()
}

#[track_caller]
fn assert_near(value: u64, expected: u64) {
    let range = expected * 95 / 100..=expected * 105 / 100;
    assert!(range.contains(&value), "{value} instead of {expected}");
}

#[test]
fn files_are_sent_at_the_limit_within_5_percent_of_each_second() {
    let mut world = total(RATE);
    let wire = request_files(&mut world, [127, 0, 0, 1], 1);
    for _ in 0..4 {
        let sent = sent_in(&mut world, std::slice::from_ref(&wire), 1);
        assert_near(sent[0], RATE);
    }
}

#[test]
fn connections_share_the_limit_fairly() {
    let mut world = total(RATE);
    let mut wires = vec![request_files(&mut world, [127, 0, 0, 1], 1)];
    sent_in(&mut world, &wires, 1);
    for port in 2..=4 {
        wires.push(request_files(&mut world, [127, 0, 0, port as u8], port));
    }
    for _ in 0..3 {
        for sent in sent_in(&mut world, &wires, 1) {
            // One quantum is more than 5 % of a fourth.
            let range = RATE / 4 - RATE / 64..=RATE / 4 + RATE / 64;
            assert!(range.contains(&sent), "{sent}");
        }
    }
}

#[test]
fn each_peer_has_a_limit_whatever_the_number_of_its_connections() {
    let mut world = world(None, Some(RATE));
    let one = request_files(&mut world, [127, 0, 0, 1], 1);
    let two = [2, 3].map(|port| request_files(&mut world, [127, 0, 0, 2], port));
    let [first, second] = two;
    let sent = sent_in(&mut world, &[one, first, second], 2);
    assert_near(sent[0], 2 * RATE);
    assert_near(sent[1] + sent[2], 2 * RATE);
    assert_near(sent[1], RATE);
}

#[test]
fn the_limits_of_all_and_of_each_peer_hold_together() {
    let mut world = world(Some(RATE), Some(RATE * 3 / 4));
    let mut wires = vec![request_files(&mut world, [127, 0, 0, 1], 1)];
    assert_near(sent_in(&mut world, &wires, 1)[0], RATE * 3 / 4);
    wires.push(request_files(&mut world, [127, 0, 0, 2], 2));
    for sent in sent_in(&mut world, &wires, 2) {
        assert_near(sent, RATE);
    }
}

#[test]
fn a_peer_that_reads_nothing_leaves_its_part_to_others() {
    let mut world = total(RATE);
    let stuck = request_files(&mut world, [127, 0, 0, 1], 1);
    stuck.borrow_mut().room = Some(5000);
    let other = request_files(&mut world, [127, 0, 0, 2], 2);
    sent_in(&mut world, &[], 1);
    assert_near(sent_in(&mut world, &[other], 2)[0], 2 * RATE);
    assert_eq!(stuck.borrow().sent.len(), 5000);
}

#[test]
fn a_lost_connection_leaves_its_part_to_others() {
    let mut world = total(RATE);
    let lost = request_files(&mut world, [127, 0, 0, 1], 1);
    let other = request_files(&mut world, [127, 0, 0, 2], 2);
    sent_in(&mut world, &[], 1);
    lost.borrow_mut().deliver(b"", Tail::Reset);
    sent_in(&mut world, &[], 1);
    assert!(world.events(1).contains(&"closed: ConnectionLost".into()));
    assert_near(sent_in(&mut world, &[other], 2)[0], 2 * RATE);
}

#[test]
fn short_requests_do_not_wait_for_content() {
    let mut world = total(RATE);
    request_files(&mut world, [127, 0, 0, 1], 1);
    sent_in(&mut world, &[], 1);
    let wire = world.accept(2);
    wire.borrow_mut().deliver(b"text\n", Tail::Open);
    world.run();
    assert_eq!(wire.borrow().sent, answer("text").as_bytes());
}

#[test]
fn who_waits_for_the_limit_is_not_slow() {
    let mut world = total(4096);
    // Each of them gets less than the least rate of a reader.
    let wires: Vec<_> = (1..=20)
        .map(|port| request_files(&mut world, [127, 0, 0, 1], port))
        .collect();
    for sent in sent_in(&mut world, &wires, 150) {
        assert_near(sent, 150 * 4096 / 20);
    }
    for port in 1..=20 {
        let events = world.events(port);
        assert!(!events.iter().any(|event| event.starts_with("closed")));
    }
}

#[test]
fn content_is_received_at_the_limit_and_the_sender_is_not_slow() {
    const NODES: u16 = 8;
    for rate in [4096, RATE] {
        let mut world = total(rate);
        let wires: Vec<_> = (1..=NODES)
            .map(|port| {
                let wire = world.connect(port);
                wire.borrow_mut().establish(Ok(()));
                wire.borrow_mut().deliver(b"b1000000\n", Tail::Open);
                world.run();
                wire.borrow_mut().deliver(&[b'x'; 1_000_000], Tail::Open);
                wire
            })
            .collect();
        let unread = |wire: &SharedWire| wire.borrow().unread() as u64;
        let before: Vec<u64> = wires.iter().map(unread).collect();
        const SECONDS: u64 = 30;
        sent_in(&mut world, &[], SECONDS as usize);
        for (port, (wire, before)) in (1..).zip(wires.iter().zip(before)) {
            assert_eq!(world.events(port), ["b1000000"], "it is not closed");
            assert_near(before - unread(wire), SECONDS * rate / u64::from(NODES));
        }
    }
}

#[test]
fn replies_of_connections_that_carry_content_count_as_well() {
    let mut world = total(RATE);
    let wire = world.accept(1);
    let line = format!("t{}\n", "x".repeat(3_997));
    let lines = format!("f\n{}", line.repeat(100));
    wire.borrow_mut().deliver(lines.as_bytes(), Tail::Open);
    assert_near(sent_in(&mut world, &[wire], 2)[0], 2 * RATE);
}

#[test]
fn faults_at_every_call_lose_nothing_and_leave_no_connection() {
    let faults = [
        InjectedFault::WouldBlock,
        InjectedFault::Interrupted,
        InjectedFault::Short(1),
        InjectedFault::Reset,
    ];
    for (fault, call) in faults
        .into_iter()
        .flat_map(|fault| (0..30).map(move |call| (fault, call)))
    {
        // One byte each 15 ms.
        let mut world = total(64);
        let wire = world.accept(1);
        wire.borrow_mut().faults = [(call, fault)].into();
        let requests = [&["file"], &REQUESTS[..]].concat();
        wire.borrow_mut().deliver(&input(&requests), Tail::Open);
        for _ in 0..100 {
            world.advance(TICK * 20);
            world.resume_all();
            world.run();
        }
        if world.is_lingering() {
            wire.borrow_mut().deliver(b"", Tail::Eof);
            world.run();
        }
        let (expected, wire) = (output(&requests), wire.borrow());
        assert!(wire.is_dropped, "{fault:?} at call {call}");
        match fault {
            InjectedFault::Reset => assert!(expected.starts_with(&wire.sent)),
            _ => assert_eq!(wire.sent, expected, "{fault:?} at call {call}"),
        }
    }
}
