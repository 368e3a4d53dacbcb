//! Everything that may end a connection, in every order.

use std::time::Duration;

use crate::fake_stream::{InjectedFault, SharedWire, Tail};
use crate::world::World;
use crate::{PORT, output};

/// What may happen to a connection, each once, in any order.
#[derive(Clone, Copy, Debug)]
enum Incident {
    Requests,
    HalfClose,
    Reset,
    Blocked,
    Resume,
    LineTimeout,
    Stop,
}

impl Incident {
    const ALL: [Self; 7] = [
        Self::Requests,
        Self::HalfClose,
        Self::Reset,
        Self::Blocked,
        Self::Resume,
        Self::LineTimeout,
        Self::Stop,
    ];

    fn happen(self, world: &mut World, wire: &SharedWire) {
        let tail = wire.borrow().tail();
        match self {
            Self::Requests if tail == Tail::Open => {
                wire.borrow_mut()
                    .deliver(b"text\nwait\nfile\nunfinished", Tail::Open);
            }
            Self::HalfClose if tail == Tail::Open => wire.borrow_mut().deliver(b"", Tail::Eof),
            Self::Requests | Self::HalfClose => {}
            Self::Reset => wire.borrow_mut().deliver(b"", Tail::Reset),
            Self::Blocked => {
                let mut wire = wire.borrow_mut();
                let call = wire.calls;
                wire.faults
                    .extend((call..call + 3).map(|call| (call, InjectedFault::Short(3))));
            }
            Self::Resume => world.resume_all(),
            Self::LineTimeout => world.advance(Duration::from_secs(11)),
            Self::Stop => world.stop(),
        }
    }
}

/// Calls `each` with all orders of `rest` behind `order`.
fn permute(order: &mut Vec<Incident>, rest: &[Incident], each: &mut impl FnMut(&[Incident])) {
    if rest.is_empty() {
        each(order);
    }
    for at in 0..rest.len() {
        let mut others = rest.to_vec();
        order.push(others.remove(at));
        permute(order, &others, each);
        order.pop();
    }
}

#[test]
fn whatever_the_order_a_connection_ends_once() {
    let mut orders = 0;
    permute(&mut Vec::new(), &Incident::ALL, &mut |order| {
        orders += 1;
        // With rounds between the incidents, with rounds that see no event until all have
        // happened, and all before one round.
        let waits: [fn(&mut World); 3] = [World::run, World::run_round, |_| {}];
        for wait in waits {
            let mut world = World::new(8);
            let wire = world.accept(PORT);
            for incident in order {
                incident.happen(&mut world, &wire);
                wait(&mut world);
            }
            world.run();
            world.resume_all();
            world.advance(Duration::from_secs(11));
            let mut events = world.events(PORT);
            let end = events.pop().unwrap_or_default();
            assert!(end.starts_with("closed: "), "{order:?}: {events:?} {end}");
            let is_end = |event: &String| event.starts_with("closed: ");
            assert!(!events.iter().any(is_end), "{order:?}: {events:?} {end}");
            let mut all = output(&["text", "wait", "file"]);
            events.retain(|event| !["UnexpectedEof", "LineTimeout"].contains(&event.as_str()));
            let handled: Vec<&str> = events.iter().map(String::as_str).collect();
            assert_eq!(handled, ["text", "wait", "file"][..handled.len()]);
            if handled.len() < 3 {
                all = output(&handled);
            }
            all.extend_from_slice(b"error\n");
            let mut wire = wire.borrow_mut();
            let is_error = wire.sent.ends_with(b"error\n");
            let length = wire.sent.len();
            if is_error {
                wire.sent.truncate(length - 6);
            }
            assert!(all.starts_with(&wire.sent), "{order:?}: {events:?} {end}");
            assert!(wire.is_dropped);
        }
    });
    assert_eq!(orders, 5040);
}
