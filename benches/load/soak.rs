//! What a soak looks at beside the demands of each line: whether the servers keep what they need
//! no longer.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use crate::report::Measured;
use crate::servers::{Servers, Target};

/// The longest time for a server to close its side of the connections of an attack.
const CLOSING_TIME: Duration = Duration::from_secs(15);
/// Descriptors that a server may have open for a moment: a node and its relay talk now and then.
const MOMENTARY: usize = 8;
/// The memory that may be added to that of the first line, in MiB, beside a quarter of it.
const MEMORY_NOISE: u64 = 16;

/// What the servers had at the beginning.
pub(crate) struct Soak {
    targets: Vec<Target>,
    descriptors: Vec<usize>,
    /// The peak of the memory of each server in the first line, in MiB.
    memory: Vec<u64>,
}

impl Soak {
    /// To be called before the first attack.
    pub(crate) fn start(servers: &Servers, targets: Vec<Target>) -> io::Result<Self> {
        let descriptors = descriptors(servers, &targets)?;
        Ok(Self {
            targets,
            descriptors,
            memory: Vec::new(),
        })
    }

    /// What grows from line to line. To be called after an attack.
    pub(crate) fn growth(
        &mut self,
        servers: &Servers,
        measured: &Measured,
    ) -> io::Result<Vec<String>> {
        let mut grown = Vec::new();
        if self.memory.is_empty() {
            self.memory.clone_from(&measured.memory);
        }
        let most = |first: &u64| first + first / 4 + MEMORY_NOISE;
        let mut peaks = measured.memory.iter().zip(self.memory.iter().map(most));
        if peaks.any(|(now, most)| *now > most) {
            grown.push("memory grows".to_owned());
        }
        let start = Instant::now();
        loop {
            let now = descriptors(servers, &self.targets)?;
            let left: usize = now
                .iter()
                .zip(&self.descriptors)
                .map(|(now, before)| now.saturating_sub(before + MOMENTARY))
                .sum();
            if left == 0 {
                return Ok(grown);
            }
            if start.elapsed() > CLOSING_TIME {
                grown.push(format!("{left} descriptors are not closed"));
                return Ok(grown);
            }
            thread::sleep(Duration::from_millis(100));
        }
    }
}

fn descriptors(servers: &Servers, targets: &[Target]) -> io::Result<Vec<usize>> {
    targets
        .iter()
        .map(|target| servers.descriptors(*target))
        .collect()
}
