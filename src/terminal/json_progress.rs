//! The progress of transfers as JSON objects, one a second at most.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::jobs::JobId;

/// The least time between two objects.
const INTERVAL: Duration = Duration::from_secs(1);

/// What has been received of all files.
pub(super) struct JsonProgress {
    active: BTreeMap<JobId, ActiveFile>,
    /// The number of complete files, and their size.
    files: u64,
    bytes: u64,
    /// When the last object was made, and what has arrived since.
    last: Instant,
    arrived: u64,
}

/// The bytes of a file in progress.
#[derive(Clone, Copy)]
pub(super) struct ActiveFile {
    pub(super) received: u64,
    /// How many of them an earlier download had stored.
    pub(super) resumed: u64,
    pub(super) size: u64,
}

impl ActiveFile {
    fn arrived(&self) -> u64 {
        self.received.saturating_sub(self.resumed)
    }
}

impl JsonProgress {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            active: BTreeMap::new(),
            files: 0,
            bytes: 0,
            last: now,
            arrived: 0,
        }
    }

    /// More of a file has arrived. Returns the next object if it is time for one.
    pub(super) fn advance(&mut self, job: JobId, file: ActiveFile, now: Instant) -> Option<Value> {
        let before = self.active.insert(job, file);
        let before = before.map_or(0, |before| before.arrived());
        self.arrived += file.arrived().saturating_sub(before);
        let time = now.saturating_duration_since(self.last);
        if time < INTERVAL {
            return None;
        }
        let active = self.active.values();
        let (received, size) = active.fold((self.bytes, self.bytes), |sums, file| {
            (sums.0 + file.received, sums.1.saturating_add(file.size))
        });
        let rate = self.arrived as f64 / time.as_secs_f64();
        (self.last, self.arrived) = (now, 0);
        let files = self.files;
        let rate = rate as u64;
        Some(json!({"progress": {
            "files": files, "received": received, "size": size, "rate": rate,
        }}))
    }

    /// A file is complete, or its transfer has ended without.
    pub(super) fn end(&mut self, job: JobId, is_complete: bool) {
        if let Some(file) = self.active.remove(&job)
            && is_complete
        {
            self.files += 1;
            self.bytes += file.size;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_a_second_has_the_sums_and_the_rate() {
        let start = Instant::now();
        let at = |tenths: u32| start + tenths * Duration::from_millis(100);
        let mut progress = JsonProgress::new(start);
        let [first, second] = [1, 2].map(JobId);
        let file = |received, resumed, size| ActiveFile {
            received,
            resumed,
            size,
        };
        // 100 bytes were there before, and a check finds 600 more of them.
        assert_eq!(progress.advance(first, file(150, 100, 1000), at(1)), None);
        assert_eq!(progress.advance(first, file(900, 700, 1000), at(9)), None);
        let object = progress.advance(second, file(50, 0, 70), at(20));
        let expected = json!({"files": 0, "received": 950, "size": 1070, "rate": 125});
        assert_eq!(object.expect("a second is over")["progress"], expected);
        progress.advance(first, file(1000, 700, 1000), at(21));
        progress.end(first, true);
        progress.end(second, false);
        let object = progress.advance(second, file(70, 0, 70), at(30));
        let expected = json!({"files": 1, "received": 1070, "size": 1070, "rate": 170});
        assert_eq!(object.expect("a second is over")["progress"], expected);
    }
}
