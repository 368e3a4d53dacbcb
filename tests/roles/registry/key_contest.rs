//! Clients with different keys, and one without, who contend for one address at several relays.

use std::time::Duration;

use fastrand::Rng;
use peerline::relay::shared_directory::InstanceId;
use peerline::tls::KeyId;

use super::keys::{Conflict, NODE, NODE_KEY, OTHER_KEY};
use super::site::RelaySite;

/// Who contends for the address, and what each announces.
const CONTENDERS: [(Option<&[u8]>, &str); 3] = [
    (Some(NODE_KEY), "mine"),
    (Some(OTHER_KEY), "other"),
    (None, "none"),
];

/// A run of random steps.
struct Contest {
    conflict: Conflict,
    rng: Rng,
    /// Relays are cut off, and leases end.
    has_faults: bool,
    /// The contenders change relays.
    moves: bool,
}

impl Contest {
    fn new(seed: u64) -> Self {
        Self {
            conflict: Conflict::new(),
            rng: Rng::with_seed(seed),
            has_faults: seed % 2 == 1,
            moves: seed % 4 > 1,
        }
    }

    fn step(&mut self) {
        let (conflict, rng) = (&mut self.conflict, &mut self.rng);
        let relay = &mut conflict.relays[rng.usize(0..3)];
        match rng.u8(0..20) {
            0 if self.has_faults => relay.cut(),
            0..6 => _ = relay.execute(&mut conflict.engine, conflict.now),
            6..12 => _ = relay.read(&mut conflict.engine, conflict.now),
            12..14 => conflict.now += Duration::from_millis(rng.u64(0..100)),
            14 if self.has_faults => conflict.now += Duration::from_secs(rng.u64(0..40)),
            15 if !relay.is_connected() => {
                relay.connect(InstanceId(rng.u64(..)), &conflict.engine);
            }
            _ => self.contend(),
        }
        for relay in &mut self.conflict.relays {
            relay.run(self.conflict.now);
        }
    }

    /// One of them registers, announces its file, or leaves.
    fn contend(&mut self) {
        let contender = self.rng.usize(0..3);
        let (key, file) = CONTENDERS[contender];
        let relay = match self.moves {
            true => self.rng.usize(0..3),
            false => contender,
        };
        let last = match self.rng.u8(0..4) {
            0 => "UNREGISTER * 9000\n".to_owned(),
            1 => String::new(),
            size => format!("SHARE {size} - {file}\n"),
        };
        let lines = format!("REGISTER * 9000\n{last}");
        let relay = &mut self.conflict.relays[relay];
        relay.run(self.conflict.now);
        relay.open(NODE.into(), key.map(KeyId::of), &lines);
    }

    /// Everything that is on its way arrives.
    fn settle(&mut self) {
        let conflict = &mut self.conflict;
        for relay in &mut conflict.relays {
            if !relay.is_connected() {
                relay.connect(InstanceId(self.rng.u64(..)), &conflict.engine);
            }
        }
        conflict.settle();
    }

    /// For two leases, only one of those with a key tries to renew its own.
    fn renew(&mut self) {
        let key = CONTENDERS[self.rng.usize(0..2)].0.map(KeyId::of);
        for _ in 0..14 {
            self.conflict.now += Duration::from_secs(9);
            for relay in &mut self.conflict.relays {
                relay.run(self.conflict.now);
            }
            let relay = &mut self.conflict.relays[self.rng.usize(0..3)];
            relay.open(NODE.into(), key, "REGISTER * 9000\n");
            self.settle();
        }
    }

    /// All relays, and one that starts now, list the same; without faults and moves, a node
    /// with its own file.
    fn check(&mut self, seed: u64) {
        let conflict = &mut self.conflict;
        let mut fresh = RelaySite::new(99, conflict.now);
        fresh.connect(InstanceId(99), &conflict.engine);
        while fresh.read(&mut conflict.engine, conflict.now) {}
        let expected = fresh.directory(conflict.now);
        let count = conflict.engine.stream.len();
        conflict.settle();
        // Each relay shows once a second that it is alive.
        assert!(conflict.engine.stream.len() <= count + 6, "seed {seed}");
        for relay in &mut conflict.relays {
            assert_eq!(relay.directory(conflict.now), expected, "seed {seed}");
        }
        if self.has_faults || self.moves {
            return;
        }
        for (key, file) in CONTENDERS {
            let id = key.map(|key| format!(" {}", KeyId::of(key)));
            let node = format!("192.0.2.1 9000{}", id.unwrap_or_default());
            let holder = format!("{file}: 192.0.2.1 9000");
            let is_listed = expected.iter().any(|line| line.starts_with(&holder));
            let is_own = expected.contains(&node);
            assert!(!is_listed || is_own, "seed {seed}: {expected:?}");
        }
    }
}

#[test]
fn relays_agree_who_keeps_the_address_after_any_interleaving() {
    for seed in 0..300 {
        let mut contest = Contest::new(seed);
        for _ in 0..80 {
            contest.step();
        }
        contest.settle();
        contest.renew();
        contest.check(seed);
    }
}
