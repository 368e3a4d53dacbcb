//! The engine of a shared directory, as a model: a stream of batches and a record of each
//! node.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use peerline::protocol::NodeAddress;
use peerline::relay::shared_directory::{
    HEADER_FIELD, InstanceId, KeyWrite, MissingRecords, NodeRecord, RecordField, RegistryBatch,
    RegistryUpdate, WHOLE_FIELD, append_field, key_writes,
};

/// Of fields without a header.
const REST_LIFETIME: Duration = Duration::from_secs(60);

#[derive(Default)]
pub struct Engine {
    pub stream: Vec<RegistryBatch>,
    records: BTreeMap<NodeAddress, Record>,
    listeners: BTreeMap<InstanceId, BTreeSet<NodeAddress>>,
    /// Changes when the database is emptied.
    pub generation: u32,
}

#[derive(Default)]
struct Record {
    fields: BTreeMap<Vec<u8>, Vec<u8>>,
    end: Option<Instant>,
}

impl Engine {
    /// Executes a batch. Returns the nodes that it changes and that have no whole record.
    pub fn publish(&mut self, batch: RegistryBatch, now: Instant) -> MissingRecords {
        self.expire(now);
        let mut missing = Vec::new();
        for write in key_writes(&batch.text) {
            match write {
                KeyWrite::Check(node) => {
                    let is_whole = |record: &Record| record.fields.contains_key(WHOLE_FIELD);
                    if !self.records.get(&node).is_some_and(is_whole) {
                        missing.push(node);
                    }
                }
                KeyWrite::Delete(node) => _ = self.records.remove(&node),
                KeyWrite::Put(node, fields) => {
                    let record = self.records.entry(node).or_default();
                    for (field, value) in fields {
                        record.fields.insert(name(field), value.to_vec());
                    }
                }
                KeyWrite::Remove(node, fields) => {
                    if let Some(record) = self.records.get_mut(&node) {
                        let fields = fields.map(name);
                        record.fields.retain(|field, _| !fields.contains(field));
                    }
                }
                KeyWrite::Expire(node, time) => {
                    if let Some(record) = self.records.get_mut(&node) {
                        record.end = Some(now + time);
                    }
                }
                KeyWrite::Listen(address) => {
                    let listeners = self.listeners.entry(batch.origin).or_default();
                    listeners.insert(address);
                }
                KeyWrite::Unlisten(address) => {
                    let listeners = self.listeners.entry(batch.origin).or_default();
                    listeners.remove(&address);
                }
            }
        }
        for node in &missing {
            if let Some(record) = self.records.get_mut(node) {
                record.end.get_or_insert(now + REST_LIFETIME);
            }
        }
        let (origin, number) = (batch.origin, batch.number);
        self.stream.push(batch);
        MissingRecords {
            origin,
            number,
            nodes: missing,
        }
    }

    fn expire(&mut self, now: Instant) {
        self.records
            .retain(|_, record| record.end.is_none_or(|end| end > now));
    }

    pub fn flush(&mut self) {
        self.records.clear();
        self.listeners.clear();
        self.generation += 1;
    }

    /// Loses the record of a node, and does not say so.
    pub fn forget_record(&mut self, node: &NodeAddress) {
        self.records.remove(node);
    }

    /// Loses the records of all nodes, and does not say so.
    pub fn forget_records(&mut self) {
        self.records.clear();
    }

    /// All nodes with a record, and something else.
    pub fn nodes(&self) -> Vec<NodeAddress> {
        self.records.keys().copied().collect()
    }

    pub fn listeners(&self) -> Vec<RegistryUpdate> {
        let listeners = self.listeners.iter();
        listeners
            .map(|(relay, addresses)| {
                RegistryUpdate::Listeners(*relay, addresses.iter().copied().collect())
            })
            .collect()
    }

    /// The record of a node, in two parts.
    pub fn record(&mut self, address: NodeAddress, now: Instant) -> Vec<RegistryUpdate> {
        self.expire(now);
        let Some(record) = self.records.get(&address) else {
            return Vec::new();
        };
        let Some(header) = record.fields.get(HEADER_FIELD) else {
            return Vec::new();
        };
        let remaining = record.end.map_or(Duration::ZERO, |end| end - now);
        let header = ["STATE ".as_bytes(), header, b"\n"].concat();
        let (mut files, mut digests) = (Vec::new(), Vec::new());
        for (field, value) in &record.fields {
            append_field(&mut files, &mut digests, field, value);
        }
        files.extend(digests);
        [(header, true), (files, false)]
            .into_iter()
            .map(|(text, is_first)| {
                RegistryUpdate::Node(NodeRecord {
                    address,
                    remaining,
                    text,
                    is_first,
                    is_last: !is_first,
                })
            })
            .collect()
    }
}

fn name(field: RecordField<'_>) -> Vec<u8> {
    [field.letter, field.file].concat()
}
