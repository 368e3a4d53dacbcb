//! The next batch of changes. A batch is published a few milliseconds after its first
//! change, and at once with a new node that has a key; renewals wait longer and travel together.

use std::collections::HashMap;
use std::io::Write;
use std::time::{Duration, Instant};

use crate::protocol::NodeAddress;
use crate::relay::shared_directory::change::DirectoryChange;
use crate::tls::KeyId;

/// The time from the first change of a batch to its publication.
const BATCH_DELAY: Duration = Duration::from_millis(5);
/// A longer batch is published at once, in bytes.
pub(super) const MAX_BATCH: usize = 32 * 1024;
/// The longest time between two batches of renewals. A batch without changes tells the
/// others that the relay is alive.
const MAX_RENEWAL_INTERVAL: Duration = Duration::from_secs(1);

/// The node that changes are about: a registration with another key is another node.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Subject {
    pub(super) address: NodeAddress,
    /// The key that it has shown.
    pub(super) key: Option<KeyId>,
}

pub(super) struct Outgoing {
    /// The number of the next batch.
    pub(super) number: u64,
    text: Vec<u8>,
    /// Bytes of all changes that were ever appended, but for renewals.
    pub(super) appended: u64,
    /// The node of the last lines.
    subject: Option<Subject>,
    /// Nodes whose leases were renewed, and their keys.
    renewed: HashMap<NodeAddress, Option<KeyId>>,
    lease: Duration,
    renewal_interval: Duration,
    publish_at: Option<Instant>,
    renewals_at: Instant,
}

impl Outgoing {
    /// Nothing to publish. `lease` is that of all nodes.
    pub(super) fn new(lease: Duration, now: Instant) -> Self {
        Self {
            number: 1,
            text: Vec::new(),
            appended: 0,
            subject: None,
            renewed: HashMap::new(),
            lease,
            renewal_interval: MAX_RENEWAL_INTERVAL.min(lease / 6),
            publish_at: None,
            renewals_at: now,
        }
    }

    /// A new connection: batches are numbered anew.
    pub(super) fn start(&mut self, now: Instant) {
        self.number = 1;
        // The first batch tells the others that the relay is there.
        self.renewals_at = now;
    }

    /// Appends a change of a node, or one that is of no node.
    pub(super) fn append(
        &mut self,
        subject: Option<Subject>,
        change: &DirectoryChange<'_>,
        now: Instant,
    ) {
        let before = self.text.len();
        if let Some(Subject { address, key }) = subject
            // If what is said of the node before is refused, this is not.
            && (self.subject != subject || matches!(change, DirectoryChange::Add(_)))
        {
            self.subject = subject;
            self.append_line(&DirectoryChange::Node(address));
            let says_key = matches!(
                change,
                DirectoryChange::Add(_) | DirectoryChange::State(_) | DirectoryChange::Key(_)
            );
            if !says_key {
                self.append_line(&DirectoryChange::Key(key));
            }
        }
        self.append_line(change);
        self.appended += (self.text.len() - before) as u64;
        let delay = match change {
            // Shortens the time in which another relay can accept another key.
            DirectoryChange::Add(header) if header.key.is_some() => Duration::ZERO,
            _ => BATCH_DELAY,
        };
        let at = now + delay;
        self.publish_at = Some(self.publish_at.map_or(at, |earlier| earlier.min(at)));
    }

    /// The lease of a node was renewed.
    pub(super) fn renew(&mut self, Subject { address, key }: Subject) {
        self.renewed.insert(address, key);
    }

    /// The node has left.
    pub(super) fn forget_renewal(&mut self, address: &NodeAddress) {
        self.renewed.remove(address);
    }

    /// Whether the last change was one of this node: the next batch contains the node.
    pub(super) fn is_subject(&self, subject: Subject) -> bool {
        self.subject == Some(subject)
    }

    /// Whether to publish now.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.next_deadline() <= now || self.is_full()
    }

    /// Whether the batch need not wait for more.
    pub(super) fn is_full(&self) -> bool {
        self.text.len() >= MAX_BATCH
    }

    pub(super) fn next_deadline(&self) -> Instant {
        self.publish_at
            .map_or(self.renewals_at, |at| at.min(self.renewals_at))
    }

    /// The text of the next batch and its number.
    pub(super) fn take(&mut self, now: Instant) -> (u64, Vec<u8>) {
        if self.renewals_at <= now {
            self.renewals_at = now + self.renewal_interval;
            for (address, key) in std::mem::take(&mut self.renewed) {
                if key.is_some() {
                    self.append_line(&DirectoryChange::Node(address));
                    self.append_line(&DirectoryChange::Key(key));
                }
                self.append_line(&DirectoryChange::Renew(self.lease, address));
            }
        }
        self.publish_at = None;
        self.subject = None;
        self.number += 1;
        (self.number - 1, std::mem::take(&mut self.text))
    }

    /// Forgets what is not published. Returns the nodes whose renewals are forgotten.
    pub(super) fn clear(&mut self) -> HashMap<NodeAddress, Option<KeyId>> {
        self.text.clear();
        self.subject = None;
        self.publish_at = None;
        std::mem::take(&mut self.renewed)
    }

    fn append_line(&mut self, change: &DirectoryChange<'_>) {
        // Writing to memory cannot fail.
        let _ = writeln!(self.text, "{change}");
    }
}
