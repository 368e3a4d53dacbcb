//! The messages that wait for the command of `--on-message`.

use std::collections::HashMap;
use std::mem;
use std::net::IpAddr;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::logging::OPERATOR;
use crate::protocol::{Delivery, NodeAddress, Text, address_group};

/// The shortest time between two lines in the log about messages that were dropped.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// A queue of at most `max` messages: its two ends.
pub(super) fn message_queue(max: usize) -> (MessageQueue, QueuedMessages) {
    // `QueueCounts` limit it: a channel with a limit would take memory for all of it at once.
    let (sender, receiver) = channel();
    let counts = QueueCounts::default();
    let queue = MessageQueue {
        sender,
        max,
        counts: counts.clone(),
    };
    let messages = QueuedMessages {
        receiver,
        counts,
        reported: None,
    };
    (queue, messages)
}

/// The end to which messages are appended.
pub(super) struct MessageQueue {
    sender: Sender<QueuedMessage>,
    max: usize,
    counts: QueueCounts,
}

/// The end from which they are taken.
pub(super) struct QueuedMessages {
    receiver: Receiver<QueuedMessage>,
    counts: QueueCounts,
    /// When dropped messages were last logged.
    reported: Option<Instant>,
}

/// A message that waits.
pub(super) struct QueuedMessage {
    /// The index of the relay that has brought it.
    pub(super) relay: usize,
    pub(super) from: NodeAddress,
    pub(super) text: Text<'static>,
}

/// What both ends count.
#[derive(Clone, Default)]
struct QueueCounts(Arc<Mutex<Counts>>);

#[derive(Default)]
struct Counts {
    /// How many messages wait, by the address of their senders.
    waiting: HashMap<IpAddr, usize>,
    /// Messages that found no room since this was last logged.
    dropped: u64,
}

impl MessageQueue {
    /// Appends a message that the relay of this index has brought, or drops it if there is no room
    /// for it: no address may have more messages in the queue than are left for others.
    pub(super) fn push(&mut self, relay: usize, message: &Delivery<'_>) {
        if !self.counts.lock().add(message.from, self.max) {
            return;
        }
        let message = QueuedMessage {
            relay,
            from: message.from,
            text: message.text.clone().into_owned(),
        };
        // If the thread at the other end has failed, it has said so.
        let _ = self.sender.send(message);
    }
}

impl QueuedMessages {
    /// Waits for the next message. None if there will be no more. Logs dropped messages: while
    /// one is dropped, others wait, so this is called after it.
    pub(super) fn next(&mut self) -> Option<QueuedMessage> {
        loop {
            let received = match self.report_dropped(Instant::now()) {
                None => self.receiver.recv().map_err(RecvTimeoutError::from),
                Some(wait) => self.receiver.recv_timeout(wait),
            };
            match received {
                Ok(message) => {
                    self.counts.lock().remove(message.from);
                    return Some(message);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
    }

    /// Logs how many messages were dropped: now and then only, because strangers cause it. Returns
    /// how long that must wait, if there are such messages.
    fn report_dropped(&mut self, now: Instant) -> Option<Duration> {
        let mut counts = self.counts.lock();
        if counts.dropped == 0 {
            return None;
        }
        let next = self.reported.map_or(now, |last| last + REPORT_INTERVAL);
        if now < next {
            return Some(next - now);
        }
        let dropped = mem::take(&mut counts.dropped);
        drop(counts);
        self.reported = Some(now);
        log::warn!(
            target: OPERATOR,
            "--on-message: messages dropped while too many were waiting: {dropped}"
        );
        None
    }
}

impl QueueCounts {
    fn lock(&self) -> MutexGuard<'_, Counts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counts {
    /// Counts a message, of at most `max` that wait. Returns false if there is no room for it.
    fn add(&mut self, from: NodeAddress, max: usize) -> bool {
        let left = max.saturating_sub(self.waiting.values().sum());
        let group = address_group(from.ip());
        let has_room = self.waiting.get(&group).copied().unwrap_or(0) < left;
        match has_room {
            true => *self.waiting.entry(group).or_default() += 1,
            false => self.dropped += 1,
        }
        has_room
    }

    fn remove(&mut self, from: NodeAddress) {
        let group = address_group(from.ip());
        if let Some(count) = self.waiting.get_mut(&group) {
            *count -= 1;
            if *count == 0 {
                self.waiting.remove(&group);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pushes messages of an address, and returns how many were dropped since this was logged.
    fn push(queue: &mut MessageQueue, address: &str, times: usize) -> u64 {
        let message = Delivery {
            from: NodeAddress::parse(address).expect("an address"),
            text: Text::parse("text").expect("a text"),
        };
        (0..times).for_each(|_| queue.push(0, &message));
        queue.counts.lock().dropped
    }

    #[test]
    fn an_address_leaves_room_for_others() {
        let (mut queue, mut messages) = message_queue(16);
        let mut push = |address, times| push(&mut queue, address, times);
        assert_eq!(push("192.0.2.1 1", 8), 0);
        assert_eq!(push("192.0.2.1 2", 1), 1, "another port is the same sender");
        assert_eq!(push("192.0.2.2 1", 4), 1);
        assert_eq!(push("192.0.2.2 1", 2), 3);
        let first = messages.next().expect("a message");
        assert_eq!(first.from.ip(), IpAddr::from([192, 0, 2, 1]));
        assert_eq!(push("192.0.2.3 1", 1), 0, "the drops were logged");
    }

    #[test]
    fn drops_are_logged_at_intervals_also_if_no_message_follows() {
        let (mut queue, mut messages) = message_queue(1);
        let now = Instant::now();
        assert_eq!(messages.report_dropped(now), None);
        assert_eq!(push(&mut queue, "192.0.2.1 1", 2), 1);
        assert_eq!(messages.report_dropped(now), None);
        assert_eq!(push(&mut queue, "192.0.2.1 1", 2), 2);
        assert_eq!(messages.report_dropped(now), Some(REPORT_INTERVAL));
        let next = now + REPORT_INTERVAL;
        assert_eq!(messages.report_dropped(next), None);
        assert_eq!(messages.counts.lock().dropped, 0);
    }
}
