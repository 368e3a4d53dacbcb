//! The changes that the relay has published and that have not returned from the engine yet.
//!
//! A change of another relay may arrive that the engine put before one of these, although
//! it is applied after it. Then the relay's own changes of that node are applied again as
//! they return, so that the order of the engine decides at this relay, too.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use crate::protocol::NodeAddress;
use crate::relay::shared_directory::outgoing::Subject;
use crate::tls::KeyId;

#[derive(Default)]
pub(super) struct Unconfirmed {
    batches: VecDeque<SentBatch>,
    /// The nodes of the batch that is not sent yet.
    next_nodes: Vec<NodeAddress>,
    nodes: HashMap<NodeAddress, UnconfirmedNode>,
    /// Nodes whose changes are applied again.
    overtaken: usize,
    /// Bytes of all batches.
    bytes: usize,
}

struct SentBatch {
    number: u64,
    bytes: usize,
    nodes: Vec<NodeAddress>,
    at: Instant,
}

struct UnconfirmedNode {
    /// The last batch with a change of the node.
    last: u64,
    /// The last batch that contains the whole node.
    added: Option<u64>,
    /// For each key with which it was registered meanwhile, the first such batch that has not
    /// returned.
    first_added: Vec<(u64, Option<KeyId>)>,
    /// The key with which the node was registered when it changed last.
    key: Option<KeyId>,
    removal: Option<Removal>,
    is_overtaken: bool,
}

/// The node has left here. Until the batch of this number returns, it is there for others.
#[derive(Clone, Copy)]
struct Removal {
    number: u64,
    key: KeyId,
    /// It keeps its address there; see `key_conflict`.
    is_held: bool,
}

impl UnconfirmedNode {
    /// The batches up to this number have returned. Returns the keys with which they contain the
    /// whole node for the first time.
    fn confirm(&mut self, number: u64) -> Vec<Option<KeyId>> {
        self.removal.take_if(|removal| removal.number <= number);
        let has_returned = |(first, _): &mut (u64, _)| *first <= number;
        let returned = self.first_added.extract_if(.., has_returned);
        let keys: Vec<Option<KeyId>> = returned.map(|(_, key)| key).collect();
        if let Some(removal) = &mut self.removal {
            removal.is_held |= keys.contains(&Some(removal.key));
        }
        keys
    }
}

/// A node of which changes may be lost.
pub(super) struct NodeInDoubt {
    pub(super) subject: Subject,
    /// Another relay has changed it meanwhile.
    pub(super) is_overtaken: bool,
}

impl Unconfirmed {
    /// The next batch, of this number, will contain a change of this node.
    pub(super) fn touch(&mut self, Subject { address, key }: Subject, number: u64) {
        let node = self.nodes.entry(address).or_insert(UnconfirmedNode {
            last: 0,
            added: None,
            first_added: Vec::new(),
            key,
            removal: None,
            is_overtaken: false,
        });
        node.key = key;
        if node.last != number {
            node.last = number;
            self.next_nodes.push(address);
        }
    }

    /// The next batch, of this number, will contain the whole node.
    pub(super) fn add(&mut self, subject: Subject, number: u64) {
        self.touch(subject, number);
        if let Some(node) = self.nodes.get_mut(&subject.address) {
            node.added = Some(number);
            let mut keys = node.first_added.iter().map(|(_, key)| key);
            if !keys.any(|key| *key == subject.key) {
                node.first_added.push((number, subject.key));
            }
        }
    }

    /// The next batch, of this number, will say that the node has left.
    pub(super) fn remove(&mut self, subject: Subject, is_held: bool, number: u64) {
        self.touch(subject, number);
        if let Some(node) = self.nodes.get_mut(&subject.address)
            && let Some(key) = subject.key
        {
            let is_held = is_held || node.removal.is_some_and(|earlier| earlier.is_held);
            node.removal = Some(Removal {
                number,
                key,
                is_held,
            });
        }
    }

    /// Whether a node with another key keeps this address elsewhere, and has left only here.
    pub(super) fn is_held_against(&self, address: &NodeAddress, key: Option<KeyId>) -> bool {
        let node = self.nodes.get(address);
        node.and_then(|node| node.removal)
            .is_some_and(|removal| removal.is_held && Some(removal.key) != key)
    }

    /// Whether a change of the node is on its way.
    pub(super) fn contains(&self, address: &NodeAddress) -> bool {
        self.nodes.contains_key(address)
    }

    /// Whether the whole node is on its way in the batch of this number, or a later one.
    pub(super) fn is_added_since(&self, address: &NodeAddress, number: u64) -> bool {
        let node = self.nodes.get(address);
        node.and_then(|node| node.added)
            .is_some_and(|added| added >= number)
    }

    /// Whether the batch of this number has returned.
    pub(super) fn is_confirmed(&self, number: u64) -> bool {
        let first = self.batches.front();
        first.is_none_or(|batch| batch.number > number)
    }

    /// The next batch is sent.
    pub(super) fn push(&mut self, number: u64, bytes: usize, now: Instant) {
        let nodes = std::mem::take(&mut self.next_nodes);
        self.batches.push_back(SentBatch {
            number,
            bytes,
            nodes,
            at: now,
        });
        self.bytes += bytes;
    }

    /// When the oldest batch was sent.
    pub(super) fn oldest(&self) -> Option<Instant> {
        self.batches.front().map(|batch| batch.at)
    }

    /// Another relay has changed this node.
    pub(super) fn overtake(&mut self, address: &NodeAddress) {
        // Most of the time, nothing is unconfirmed.
        if !self.nodes.is_empty()
            && let Some(node) = self.nodes.get_mut(address)
            && !node.is_overtaken
        {
            node.is_overtaken = true;
            self.overtaken += 1;
        }
    }

    /// Whether the relay's own changes of this node are applied again.
    pub(super) fn is_overtaken(&self, address: &NodeAddress) -> bool {
        self.overtaken > 0
            && self
                .nodes
                .get(address)
                .is_some_and(|node| node.is_overtaken)
    }

    /// Whether there are such nodes.
    pub(super) fn has_overtaken(&self) -> bool {
        self.overtaken > 0
    }

    /// The batches up to this number have returned. Returns the nodes that they contain whole.
    pub(super) fn confirm(&mut self, number: u64) -> Vec<Subject> {
        let mut added = Vec::new();
        while let Some(batch) = self.batches.pop_front_if(|batch| batch.number <= number) {
            self.bytes -= batch.bytes;
            for address in batch.nodes {
                let Entry::Occupied(mut node) = self.nodes.entry(address) else {
                    continue;
                };
                let keys = node.get_mut().confirm(number).into_iter();
                added.extend(keys.map(|key| Subject { address, key }));
                if node.get().last <= number {
                    self.overtaken -= usize::from(node.remove().is_overtaken);
                }
            }
        }
        added
    }

    /// Bytes on their way.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Counts the bytes anew.
    pub(super) fn forget_bytes(&mut self) {
        self.bytes = 0;
        for batch in &mut self.batches {
            batch.bytes = 0;
        }
    }

    /// Forgets all batches. Returns the nodes of which changes may be lost.
    pub(super) fn clear(&mut self) -> Vec<NodeInDoubt> {
        let nodes = std::mem::take(self).nodes.into_iter();
        nodes
            .map(|(address, node)| NodeInDoubt {
                subject: Subject {
                    address,
                    key: node.key,
                },
                is_overtaken: node.is_overtaken,
            })
            .collect()
    }
}
