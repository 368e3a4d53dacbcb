//! How the addresses of peers share the turns of the loop.

use crate::fake_stream::Tail;
use crate::world::{LONG_WORK, World, answer};

/// Lines of each connection of the stranger.
const LINES: usize = 200;

#[test]
fn an_address_with_many_connections_delays_others_for_a_part_of_a_round() {
    let mut world = World::new(1 << 20);
    let ports = 1..=50;
    for port in ports.clone() {
        let wire = world.accept_from([127, 0, 0, 2], port);
        wire.borrow_mut()
            .deliver(&b"text\n".repeat(LINES), Tail::Open);
    }
    let wire = world.accept_from([127, 0, 0, 3], 99);
    wire.borrow_mut().deliver(b"text\n", Tail::Open);
    world.step();
    assert_eq!(world.events(99), ["text"]);
    let handled: usize = ports.clone().map(|port| world.events(port).len()).sum();
    assert!((200..1024).contains(&handled), "{handled} lines before");
    world.run();
    assert!(
        ports
            .into_iter()
            .all(|port| world.events(port).len() == LINES)
    );
}

#[test]
fn work_that_no_byte_shows_counts_in_a_round() {
    let mut world = World::new(1 << 20);
    for port in 1..=5 {
        let wire = world.accept_from([127, 0, 0, 2], port);
        wire.borrow_mut().deliver(&b"l\n".repeat(LINES), Tail::Open);
    }
    let wire = world.accept_from([127, 0, 0, 3], 99);
    wire.borrow_mut().deliver(b"text\n", Tail::Open);
    let handled = |world: &World| -> usize { (1..=5).map(|port| world.events(port).len()).sum() };
    world.step();
    assert_eq!(world.events(99), ["text"]);
    let first = handled(&world);
    assert!(first * LONG_WORK < 4 * 1024, "{first} lines before");
    // What is left over is handled in the next rounds.
    world.run();
    assert_eq!(handled(&world), 5 * LINES);
}

#[test]
fn costly_requests_on_many_connections_of_an_address_share_its_part_of_a_round() {
    let mut world = World::new(1 << 20);
    for port in 1..=50 {
        let wire = world.accept_from([127, 0, 0, 2], port);
        wire.borrow_mut().deliver(b"l\n", Tail::Open);
    }
    let handled = |world: &World| -> usize { (1..=50).map(|port| world.events(port).len()).sum() };
    let mut rounds = 0;
    while handled(&world) < 50 {
        let other = world.accept_from([127, 0, 0, 3], 1000 + rounds);
        other.borrow_mut().deliver(b"text\n", Tail::Open);
        let before = handled(&world);
        world.step();
        assert_eq!(world.events(1000 + rounds), ["text"]);
        let costly = handled(&world) - before;
        assert!(costly > 0 && costly * LONG_WORK <= 1024, "{costly}");
        rounds += 1;
    }
}

#[test]
fn costly_requests_of_many_addresses_share_a_round() {
    let mut world = World::new(1 << 20);
    for host in 1..=60 {
        let wire = world.accept_from([127, 0, 1, host], host.into());
        wire.borrow_mut().deliver(&b"l\n".repeat(4), Tail::Open);
    }
    let handled = |world: &World| -> usize { (1..=60).map(|port| world.events(port).len()).sum() };
    let mut rounds = 0;
    while handled(&world) < 4 * 60 {
        let before = handled(&world);
        world.step();
        // A batch has 16 addresses.
        assert!(handled(&world) - before <= 16, "in round {rounds}");
        rounds += 1;
        assert!(rounds < 4 * 60, "it goes on");
    }
}

#[test]
fn the_role_has_half_of_the_time_of_busy_rounds_for_its_own_work() {
    const STEPS: usize = 40;
    let mut world = World::new(1 << 20);
    let wire = world.accept_from([127, 0, 0, 2], 1);
    wire.borrow_mut().deliver(&b"l\n".repeat(LINES), Tail::Open);
    world.set_own_work(STEPS);
    let mut rounds = 0;
    while world.own_work() > 0 {
        let (before, left) = (world.events(1).len(), world.own_work());
        world.step();
        // A line takes five milliseconds, a step one.
        let lines = world.events(1).len() - before;
        assert!((1..=2).contains(&lines), "{lines} lines in a round");
        let steps = left - world.own_work();
        assert!(steps <= 5 * lines, "{steps} steps beside {lines} lines");
        rounds += 1;
    }
    assert!(rounds <= STEPS / 5, "{rounds} rounds");
    world.run();
    assert_eq!(world.events(1).len(), LINES);
}

#[test]
fn a_long_answer_uses_the_share_of_its_address_in_each_round() {
    let mut world = World::new(1 << 20);
    let busy = world.accept_from([127, 0, 0, 2], 1);
    busy.borrow_mut()
        .deliver(&b"text\n".repeat(3000), Tail::Open);
    // Three bytes of an answer are sent in each turn.
    let deliver = |world: &mut World, port, length| {
        let wire = world.accept_from([127, 0, 0, 3], port);
        let line = format!("p{}", "x".repeat(length));
        wire.borrow_mut()
            .deliver(format!("{line}\n").as_bytes(), Tail::Open);
        (wire, answer(&line))
    };
    let (short, answer_of_short) = deliver(&mut world, 2, 20);
    world.step();
    assert_eq!(short.borrow().sent, answer_of_short.as_bytes());
    let (long, answer_of_long) = deliver(&mut world, 3, 2000);
    world.step();
    let sent = long.borrow().sent.len();
    assert!((20..60).contains(&sent), "{sent} bytes");
    world.run();
    assert_eq!(long.borrow().sent, answer_of_long.as_bytes());
    assert_eq!(world.events(1).len(), 3000);
}

#[test]
fn a_peer_is_not_read_beyond_the_work_of_its_address() {
    const LENGTH: usize = 60_000;
    let mut world = World::new(1 << 20);
    let accept = |host| {
        let wire = world.accept_from([127, 0, 1, host], host.into());
        let lines = b"text\n".repeat(LENGTH / 5);
        wire.borrow_mut().deliver(&lines, Tail::Open);
        wire
    };
    let wires: Vec<_> = (1..=20).map(accept).collect();
    world.step();
    for wire in &wires {
        let read = LENGTH - wire.borrow().unread();
        assert!(read <= 4096, "{read} bytes are read");
    }
    world.run();
    assert!(wires.iter().all(|wire| wire.borrow().unread() == 0));
}

#[test]
fn a_connection_without_end_does_not_starve_others_at_its_address() {
    let mut world = World::new(1 << 20);
    let busy = world.accept(1);
    let other = world.accept(2);
    for round in 1..10 {
        // More lines than one round handles.
        let lines = b"text\n".repeat(3000);
        busy.borrow_mut().deliver(&lines, Tail::Open);
        other.borrow_mut().deliver(b"text\n", Tail::Open);
        world.step();
        assert!(world.events(1).len() < 3000 * round);
        // A read that fills the buffer makes it wait for the next round.
        assert!(world.events(2).len() + 1 >= round);
    }
}

#[test]
fn an_address_with_many_full_queues_moves_a_part_of_them_in_a_round() {
    const LINE: usize = 4000;
    let mut world = World::new(1 << 20);
    let wires: Vec<_> = (1..=20)
        .map(|port| world.accept_from([127, 0, 0, 2], port))
        .collect();
    let line = format!("t{}\n", "x".repeat(LINE - 2));
    for wire in &wires {
        wire.borrow_mut().room = Some(0);
        wire.borrow_mut()
            .deliver(line.repeat(200).as_bytes(), Tail::Open);
    }
    world.run();
    for wire in &wires {
        wire.borrow_mut().read(1 << 30);
    }
    let other = world.accept_from([127, 0, 0, 3], 99);
    other.borrow_mut().deliver(b"text\n", Tail::Open);
    world.step();
    assert_eq!(world.events(99), ["text"]);
    let sent: usize = wires.iter().map(|wire| wire.borrow().sent.len()).sum();
    assert!(sent < 4 * 200 * LINE, "{sent} bytes before");
    world.run();
    assert!(
        wires
            .iter()
            .all(|wire| wire.borrow().sent.len() > 200 * LINE)
    );
}

#[test]
fn a_queue_is_no_longer_than_its_limit_and_one_answer() {
    let max_queue = 1000;
    let answer = answer("text").len();
    for room in [0, 1, 500, 999] {
        let mut world = World::new(max_queue);
        let wire = world.accept(1);
        wire.borrow_mut().room = Some(room);
        wire.borrow_mut()
            .deliver(&b"text\n".repeat(1000), Tail::Open);
        world.run();
        let queued = world.events(1).len() * answer - room;
        assert!(
            (max_queue..=max_queue + answer).contains(&queued),
            "{queued}"
        );
    }
}
