//! The messages that wait for the command of `--on-message`.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::logging::OPERATOR;
use crate::protocol::{Delivery, NodeAddress, Text, address_group};

/// The shortest time between two lines in the log about messages that were dropped.
const REPORT_INTERVAL: Duration = Duration::from_secs(10);

/// A queue of at most `max` messages: its two ends.
pub(super) fn message_queue(max: usize) -> (MessageQueue, QueuedMessages) {
    // `WaitingCounts` limit it: a channel with a limit would take memory for all of it at once.
    let (sender, receiver) = channel();
    let waiting = WaitingCounts::default();
    let queue = MessageQueue {
        sender,
        max,
        waiting: waiting.clone(),
        dropped: 0,
        reported: None,
    };
    (queue, QueuedMessages { receiver, waiting })
}

/// The end to which messages are appended.
pub(super) struct MessageQueue {
    sender: Sender<QueuedMessage>,
    max: usize,
    waiting: WaitingCounts,
    /// Messages that found no room since this was last logged.
    dropped: u64,
    reported: Option<Instant>,
}

/// The end from which they are taken.
pub(super) struct QueuedMessages {
    receiver: Receiver<QueuedMessage>,
    waiting: WaitingCounts,
}

/// A message that waits.
pub(super) struct QueuedMessage {
    /// The index of the relay that has brought it.
    pub(super) relay: usize,
    pub(super) from: NodeAddress,
    pub(super) text: Text<'static>,
}

/// How many messages wait, by the address of their senders.
#[derive(Clone, Default)]
struct WaitingCounts(Arc<Mutex<HashMap<IpAddr, usize>>>);

impl MessageQueue {
    /// Appends a message that the relay of this index has brought, or drops it if there is no room
    /// for it: no address may have more messages in the queue than are left for others.
    pub(super) fn push(&mut self, relay: usize, message: &Delivery<'_>) {
        if !self.waiting.add(message.from, self.max) {
            self.dropped += 1;
            return;
        }
        let message = QueuedMessage {
            relay,
            from: message.from,
            text: message.text.clone().into_owned(),
        };
        // If the thread at the other end has failed, it has said so.
        let _ = self.sender.send(message);
        self.report_dropped(Instant::now());
    }

    /// Logs how many messages were dropped: now and then only, because strangers cause it.
    fn report_dropped(&mut self, now: Instant) {
        let is_due = |last: Instant| now.saturating_duration_since(last) >= REPORT_INTERVAL;
        if self.dropped > 0 && self.reported.is_none_or(is_due) {
            log::warn!(
                target: OPERATOR,
                "--on-message: messages dropped while too many were waiting: {}",
                self.dropped
            );
            (self.dropped, self.reported) = (0, Some(now));
        }
    }
}

impl QueuedMessages {
    /// Waits for the next message. None if there will be no more.
    pub(super) fn next(&self) -> Option<QueuedMessage> {
        let message = self.receiver.recv().ok()?;
        self.waiting.remove(message.from);
        Some(message)
    }
}

impl WaitingCounts {
    /// Counts a message, of at most `max`. Returns false if there is no room for it.
    fn add(&self, from: NodeAddress, max: usize) -> bool {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = max.saturating_sub(counts.values().sum());
        let group = address_group(from.ip());
        let has_room = counts.get(&group).copied().unwrap_or(0) < left;
        if has_room {
            *counts.entry(group).or_default() += 1;
        }
        has_room
    }

    fn remove(&self, from: NodeAddress) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let group = address_group(from.ip());
        if let Some(count) = counts.get_mut(&group) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&group);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_leaves_room_for_others() {
        let (mut queue, messages) = message_queue(16);
        let mut push = |address: &str, times: usize| {
            let from = NodeAddress::parse(address).expect("an address");
            let text = Text::parse("text").expect("a text");
            (0..times).for_each(|_| {
                queue.push(
                    0,
                    &Delivery {
                        from,
                        text: text.clone(),
                    },
                );
            });
            queue.dropped
        };
        assert_eq!(push("192.0.2.1 1", 8), 0);
        assert_eq!(push("192.0.2.1 2", 1), 1, "another port is the same sender");
        assert_eq!(push("192.0.2.2 1", 4), 0);
        // The drop before was logged; these two wait.
        assert_eq!(push("192.0.2.2 1", 2), 2);
        let first = messages.next().expect("a message");
        assert_eq!(first.from.ip(), IpAddr::from([192, 0, 2, 1]));
        assert_eq!(push("192.0.2.3 1", 1), 2);
    }
}
