//! The order in which files are hashed: the smallest first, and a file that keeps
//! changing after longer and longer waits.

use std::cmp::Ordering;
use std::collections::{BTreeSet, BinaryHeap, HashMap};
use std::time::{Duration, Instant};

use crate::share::worker_messages::HashRequest;

/// A hash is stored on disk only if the file had not changed for this long: the clocks
/// of some file systems have ticks of two seconds, and a write within the same tick
/// leaves the identity unchanged.
pub(super) const REST_TIME: Duration = Duration::from_secs(2);

/// A file is hashed this long after its last change. A second write within the same
/// tick of the file system's clock would leave its identity unchanged.
const QUIET_TIME: Duration = Duration::from_millis(100);

/// The same for files of more than [`LARGE`] bytes. The hash of a file that has rested as
/// long as this can be stored on disk, and need not be computed again.
const LARGE_QUIET_TIME: Duration = REST_TIME;
const LARGE: u64 = 16 * 1024 * 1024;

/// The longest wait before a file that keeps changing is hashed again.
const MAX_WAIT: Duration = Duration::from_secs(300);

/// The fewest attempts of which those that no longer matter are removed.
const MIN_ATTEMPTS: usize = 1024;

/// The requests that are not yet in progress.
#[derive(Default)]
pub(super) struct HashQueue {
    ready: BinaryHeap<BySize>,
    /// By name: a later request for a file replaces the earlier one.
    delayed: HashMap<String, (Instant, HashRequest)>,
    /// When each delayed request is ready.
    due: BTreeSet<(Instant, String)>,
    /// The last attempt to hash each file that may change again soon.
    attempts: HashMap<String, HashAttempt>,
    /// The number of attempts at which the old ones are removed.
    max_attempts: usize,
}

/// An attempt to hash a file.
struct HashAttempt {
    end: Instant,
    /// The least time until the next attempt.
    wait: Duration,
}

/// The smallest file is the greatest element.
struct BySize(HashRequest);

impl HashQueue {
    /// Adds a request for a file that has not changed for `age`.
    pub(super) fn push(&mut self, request: HashRequest, age: Duration, now: Instant) {
        let last = self.attempts.get(&request.name);
        let allowed = last.map_or(now, |last| last.end + last.wait);
        let quiet_time = match request.identity.size {
            ..=LARGE => QUIET_TIME,
            _ => LARGE_QUIET_TIME,
        };
        let due = allowed.max(now + quiet_time.saturating_sub(age));
        if let Some((due, _)) = self.delayed.remove(&request.name) {
            self.due.remove(&(due, request.name.clone()));
        }
        if due <= now {
            self.ready.push(BySize(request));
        } else {
            self.due.insert((due, request.name.clone()));
            self.delayed.insert(request.name.clone(), (due, request));
        }
    }

    /// Takes the smallest file that may be hashed now, if it is smaller than `limit`.
    pub(super) fn pop(&mut self, limit: u64, now: Instant) -> Option<HashRequest> {
        while self.next_due().is_some_and(|due| due <= now)
            && let Some((_, name)) = self.due.pop_first()
        {
            let request = self.delayed.remove(&name);
            self.ready
                .extend(request.map(|(_, request)| BySize(request)));
        }
        self.ready
            .peek()
            .filter(|BySize(request)| request.identity.size < limit)?;
        self.ready.pop().map(|BySize(request)| request)
    }

    /// Whether a file may be hashed now.
    pub(super) fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// When the next delayed file may be hashed.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    /// Records an attempt to hash a file. If it follows soon after the one before, the
    /// file does not rest, and waits twice as long.
    pub(super) fn record_attempt(&mut self, name: &str, start: Instant, end: Instant) {
        let mut wait = QUIET_TIME.max(end - start);
        if let Some(last) = self.attempts.get(name)
            && last.is_recent(start)
        {
            wait = wait.max(last.wait * 2).min(MAX_WAIT);
        }
        self.attempts
            .insert(name.to_owned(), HashAttempt { end, wait });
        if self.attempts.len() > self.max_attempts {
            self.attempts.retain(|_, attempt| attempt.is_recent(end));
            self.max_attempts = MIN_ATTEMPTS.max(2 * self.attempts.len());
        }
    }
}

impl HashAttempt {
    /// Whether an attempt that starts now must wait longer.
    fn is_recent(&self, now: Instant) -> bool {
        now < self.end + 2 * self.wait
    }
}

impl Ord for BySize {
    fn cmp(&self, other: &Self) -> Ordering {
        other.0.identity.size.cmp(&self.0.identity.size)
    }
}

impl PartialOrd for BySize {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for BySize {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for BySize {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::share::file_identity::FileIdentity;
    use crate::share::worker_messages::CacheUse;
    use std::sync::Weak;

    fn request(name: &str, size: u64) -> HashRequest {
        HashRequest {
            root: Weak::new(),
            name: name.to_owned(),
            identity: FileIdentity::parse(&format!("1 2 {size} 4 5 6")).unwrap(),
            cache_use: CacheUse::Full,
        }
    }

    fn pop(queue: &mut HashQueue, limit: u64, now: Instant) -> Option<String> {
        queue.pop(limit, now).map(|request| request.name)
    }

    #[test]
    fn the_smallest_file_comes_first_and_only_below_the_limit() {
        let (mut queue, now) = (HashQueue::default(), Instant::now());
        for (name, size) in [("endless", u64::MAX), ("large", 1000), ("small", 1)] {
            queue.push(request(name, size), REST_TIME, now);
        }
        assert_eq!(pop(&mut queue, 1, now), None);
        assert_eq!(pop(&mut queue, 2, now).as_deref(), Some("small"));
        assert_eq!(pop(&mut queue, 1000, now), None);
        assert_eq!(pop(&mut queue, u64::MAX, now).as_deref(), Some("large"));
    }

    #[test]
    fn a_file_waits_until_it_is_quiet() {
        let (mut queue, now) = (HashQueue::default(), Instant::now());
        queue.push(request("a", 1), QUIET_TIME / 4, now);
        let due = now + QUIET_TIME * 3 / 4;
        assert!(!queue.is_ready());
        assert_eq!(queue.next_due(), Some(due));
        // The file has changed again.
        queue.push(request("a", 2), Duration::ZERO, now);
        assert_eq!(pop(&mut queue, 9, due), None);
        assert_eq!(pop(&mut queue, 9, now + QUIET_TIME).as_deref(), Some("a"));
        assert_eq!(queue.next_due(), None);
    }

    /// Regression: a disk image that grew all the time was read all the time.
    #[test]
    fn a_file_that_does_not_rest_waits_longer_each_time() {
        let (mut queue, mut now) = (HashQueue::default(), Instant::now());
        let mut waits = Vec::new();
        for _ in 0..30 {
            let before = now;
            queue.push(request("image", 1), Duration::ZERO, now);
            now = queue.next_due().unwrap();
            assert!(pop(&mut queue, u64::MAX, now).is_some());
            waits.push(now - before);
            queue.record_attempt("image", now, now);
        }
        let doubled = waits[2..].windows(2).all(|pair| pair[1] >= pair[0]);
        assert!(doubled, "{waits:?}");
        assert_eq!(waits.last(), Some(&MAX_WAIT));
        // After a rest, the next change is not delayed.
        now += 3 * MAX_WAIT;
        queue.push(request("image", 1), QUIET_TIME, now);
        assert!(queue.is_ready());
        queue.record_attempt("image", now, now);
        queue.push(request("image", 1), QUIET_TIME, now);
        assert_eq!(queue.next_due(), Some(now + QUIET_TIME));
    }
}
