//! Signals that stop the loop.

use signal_hook::consts::SIGUSR2;
use signal_hook::low_level;

use crate::world::World;

/// A thread that asks whether the loop is blocked relies on that. Regression: a signal that had
/// arrived in the middle of a round was handled in the next one, in which a client was blocked.
#[test]
fn a_loop_that_answers_has_handled_the_signals_of_before() {
    let mut world = World::new(1000);
    let stops = world.stop_on_signal(SIGUSR2);
    low_level::raise(SIGUSR2).expect("it is handled");
    assert!(world.answers());
    assert_eq!(stops.get(), 1);
}
