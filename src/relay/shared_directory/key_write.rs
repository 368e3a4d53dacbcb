//! What a batch of changes does to the engine's records of nodes.

use std::time::Duration;

use crate::protocol::{NodeAddress, Request};
use crate::relay::shared_directory::LEASE_GRACE;
use crate::relay::shared_directory::change::{DirectoryChange, NodeHeader};

/// A change of a record. A record is a map of texts that is forgotten after some time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KeyWrite {
    /// Forget the record.
    Delete(NodeAddress),
    /// Tell whether the record is whole; see [`WHOLE_FIELD`].
    Check(NodeAddress),
    /// Put these fields and values, in turn.
    Put(NodeAddress, Vec<Vec<u8>>),
    /// Remove these fields.
    Remove(NodeAddress, Vec<Vec<u8>>),
    /// Forget the record after this time.
    Expire(NodeAddress, Duration),
    /// Add a listener of the relay.
    Listen(NodeAddress),
    /// Remove a listener of the relay.
    Unlisten(NodeAddress),
}

/// The field of a record with the [`NodeHeader`].
pub const HEADER_FIELD: &[u8] = b"h";
/// The mark of a whole record, which only `ADD` writes. What changes a part of a record asks
/// for it: the engine may have lost the record, and what is written then is only a part.
pub const WHOLE_FIELD: &[u8] = b"w";
/// The field of a file begins so; its name follows. The value is `size hash`.
const FILE_PREFIX: &str = "f";
/// The field of a digest begins so; the name of the file follows. The value is
/// `hash sha-256 digest`.
const DIGEST_PREFIX: &str = "d";

/// The changes of records that a batch causes, in order.
#[must_use]
pub fn key_writes(batch: &[u8]) -> Vec<KeyWrite> {
    let mut writes = Vec::new();
    let (mut subject, mut is_checked) = (None, false);
    for line in batch.split(|byte| *byte == b'\n') {
        match DirectoryChange::parse(line) {
            Some(DirectoryChange::Node(address)) => {
                (subject, is_checked) = (Some(address), false);
            }
            Some(DirectoryChange::Renew(lease, address)) => {
                writes.push(KeyWrite::Expire(address, lease + LEASE_GRACE));
                writes.push(KeyWrite::Check(address));
            }
            Some(DirectoryChange::Listen(address)) => writes.push(KeyWrite::Listen(address)),
            Some(DirectoryChange::Unlisten(address)) => writes.push(KeyWrite::Unlisten(address)),
            Some(DirectoryChange::Message(..)) | None => {}
            Some(change) => {
                if let Some(address) = subject {
                    let is_part =
                        matches!(change, DirectoryChange::State(_) | DirectoryChange::File(_));
                    if is_part && !is_checked {
                        writes.push(KeyWrite::Check(address));
                    }
                    is_checked = !matches!(change, DirectoryChange::Remove);
                    write_node(&mut writes, address, change);
                }
            }
        }
    }
    writes
}

fn write_node(writes: &mut Vec<KeyWrite>, node: NodeAddress, change: DirectoryChange<'_>) {
    match change {
        DirectoryChange::Add(header) => {
            writes.push(KeyWrite::Delete(node));
            let mark = [WHOLE_FIELD, b"1"].map(<[u8]>::to_vec);
            writes.push(KeyWrite::Put(node, mark.into()));
            write_header(writes, node, header);
        }
        DirectoryChange::State(header) => write_header(writes, node, header),
        DirectoryChange::Remove => writes.push(KeyWrite::Delete(node)),
        DirectoryChange::File(request) => match request {
            Request::Share(size, hash, name) => {
                let value = format!("{size} {hash}");
                put(writes, node, format!("{FILE_PREFIX}{name}"), value);
            }
            Request::ShareDigest(hash, digest, name) => {
                let value = format!("{hash} {digest}");
                put(writes, node, format!("{DIGEST_PREFIX}{name}"), value);
            }
            Request::Unshare(name) => {
                let fields = [FILE_PREFIX, DIGEST_PREFIX];
                let fields = fields.map(|prefix| format!("{prefix}{name}").into());
                writes.push(KeyWrite::Remove(node, fields.into()));
            }
            _ => {}
        },
        _ => {}
    }
}

fn write_header(writes: &mut Vec<KeyWrite>, node: NodeAddress, header: NodeHeader) {
    let value = header.to_string().into_bytes();
    writes.push(KeyWrite::Put(node, vec![HEADER_FIELD.to_vec(), value]));
    writes.push(KeyWrite::Expire(node, header.lease + LEASE_GRACE));
}

/// Puts one field. Fields of the same record in a row are put together.
fn put(writes: &mut Vec<KeyWrite>, node: NodeAddress, field: String, value: String) {
    let pair = [field.into_bytes(), value.into_bytes()];
    match writes.last_mut() {
        Some(KeyWrite::Put(last, fields)) if *last == node => fields.extend(pair),
        _ => writes.push(KeyWrite::Put(node, pair.into())),
    }
}

/// Appends a field of a record as a line of a [`NodeRecord`](super::NodeRecord). The lines
/// in `digests` belong after those of all files.
pub fn append_field(text: &mut Vec<u8>, digests: &mut Vec<u8>, field: &[u8], value: &[u8]) {
    // A line break would begin a line of its own.
    if [field, value].iter().any(|part| part.contains(&b'\n')) {
        return;
    }
    let (text, verb, name): (_, &[u8], _) = match field.split_first() {
        Some((b'f', name)) => (text, b"SHARE ", name),
        Some((b'd', name)) => (digests, b"SHAREDIGEST ", name),
        // The header, or of a later version.
        _ => return,
    };
    for part in [verb, value, b" ", name, b"\n"] {
        text.extend_from_slice(part);
    }
}
