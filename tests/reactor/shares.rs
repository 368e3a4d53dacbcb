//! How the addresses of peers share the turns of the loop.

use crate::fake_stream::Tail;
use crate::world::World;

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
    assert!((1000..2000).contains(&handled), "{handled} lines before");
    world.run();
    assert!(
        ports
            .into_iter()
            .all(|port| world.events(port).len() == LINES)
    );
}
