//! Peers that send or take a byte now and then.

use std::time::Duration;

use crate::fake_stream::Tail;
use crate::world::World;

const PORT: u16 = 1;

/// The last event after so many steps with a pause before each.
fn last_event(world: &World) -> String {
    world.events(PORT).pop().unwrap_or_default()
}

#[test]
fn a_reply_that_trickles_in_ends_with_a_timeout() {
    for (piece, is_lost) in [(1, true), (3000, false)] {
        let mut world = World::new(1000);
        let wire = world.connect(PORT);
        wire.borrow_mut().establish(Ok(()));
        wire.borrow_mut().deliver(b"text\nb100000\n", Tail::Open);
        world.run();
        for _ in 0..12 {
            world.advance(Duration::from_millis(2500));
            if last_event(&world).starts_with("closed") {
                break;
            }
            wire.borrow_mut().deliver(&vec![b'x'; piece], Tail::Open);
            world.run();
        }
        let is_closed = last_event(&world) == "closed: ReadTimeout";
        assert_eq!(is_closed, is_lost, "{:?}", world.events(PORT));
    }
}

#[test]
fn the_least_rate_holds_for_all_parts_of_an_answer() {
    // What the peer sends each 2.5 s, and whether the connection ends.
    for (part, is_lost) in [
        ("more\n".to_owned(), true),
        (format!("more{}\n", "x".repeat(3000)), false),
        // Each request for something else has its own time.
        ("text\n".to_owned(), false),
    ] {
        let mut world = World::new(1000);
        let wire = world.connect(PORT);
        wire.borrow_mut().establish(Ok(()));
        world.run();
        let mut answered = 0;
        for _ in 0..12 {
            world.advance(Duration::from_millis(2500));
            if last_event(&world).starts_with("closed") {
                break;
            }
            wire.borrow_mut().deliver(part.as_bytes(), Tail::Open);
            world.run();
            answered += 1;
        }
        let is_closed = last_event(&world) == "closed: ReadTimeout";
        assert_eq!(is_closed, is_lost, "{part:.9}");
        // An answer that ends within the timeout of 10 s may be as small as it likes.
        assert!(answered >= 3, "{part:.9}: {answered}");
    }
}

#[test]
fn a_reader_that_takes_little_is_closed() {
    for (piece, is_lost) in [(1, true), (60_000, false)] {
        let mut world = World::new(1 << 20);
        let wire = world.accept(PORT);
        wire.borrow_mut().room = Some(0);
        wire.borrow_mut()
            .deliver(&b"text\n".repeat(50_000), Tail::Open);
        world.run();
        for _ in 0..5 {
            world.advance(Duration::from_secs(50));
            if last_event(&world).starts_with("closed") {
                break;
            }
            wire.borrow_mut().read(piece);
            world.run();
        }
        let is_closed = last_event(&world) == "closed: WriteTimeout";
        assert_eq!(is_closed, is_lost, "{:?}", last_event(&world));
    }
}
