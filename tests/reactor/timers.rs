//! Deadlines in order.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use peerline::timers::Timers;
use proptest::prelude::*;

use crate::processor_time::processor_time;

#[test]
fn the_earliest_comes_first_whatever_its_kind() {
    let origin = Instant::now();
    let at = |seconds| origin + Duration::from_secs(seconds);
    let mut timers = Timers::new(origin, 2);
    timers.set(7, 0, at(30));
    timers.set(3, 1, at(10));
    timers.set(4, 0, at(20));
    assert_eq!(timers.next(), Some(at(10)));
    assert_eq!(timers.take_due(at(9)), None);
    assert_eq!(timers.take_due(at(25)), Some(3));
    assert_eq!(timers.take_due(at(25)), Some(4));
    assert_eq!(timers.take_due(at(25)), None);
    assert_eq!(timers.kind(7), Some(0));
    timers.clear(7);
    assert_eq!(timers.next(), None);
}

#[test]
fn deadlines_in_no_order_cost_no_walk_over_the_others() {
    const KEYS: usize = 200_000;
    let origin = Instant::now();
    let mut timers = Timers::new(origin, 1);
    let started = processor_time();
    for key in 0..KEYS {
        let due = origin + Duration::from_micros((KEYS - key) as u64);
        timers.set(key, 0, due);
    }
    let end = origin + Duration::from_secs(1);
    for key in (0..KEYS).rev() {
        assert_eq!(timers.take_due(end), Some(key));
    }
    // A walk over half of the others takes a minute.
    let took = processor_time() - started;
    assert!(took < Duration::from_secs(5), "{took:?}");
}

proptest! {
    #[test]
    fn timers_equal_a_table_of_deadlines(
        steps in prop::collection::vec(
            (0_usize..200, 0_u8..3, 0_u64..50, prop::bool::weighted(0.8)),
            0..400,
        )
    ) {
        let origin = Instant::now();
        let mut timers = Timers::new(origin, 3);
        let mut model: HashMap<usize, u64> = HashMap::new();
        for (key, kind, seconds, set) in steps {
            if set {
                timers.set(key, kind, origin + Duration::from_secs(seconds));
                model.insert(key, seconds);
            } else {
                let now = origin + Duration::from_secs(seconds / 4);
                match timers.take_due(now) {
                    Some(due) => {
                        let at = model.remove(&due).expect("it was set");
                        prop_assert!(at <= seconds / 4);
                        prop_assert!(model.values().all(|other| *other >= at));
                    }
                    None => prop_assert!(model.values().all(|at| *at > seconds / 4)),
                }
            }
            let next = model.values().min().map(|s| origin + Duration::from_secs(*s));
            prop_assert_eq!(timers.next(), next);
        }
    }
}
