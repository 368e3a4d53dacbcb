//! What a batch of changes does to the engine's records of nodes.
//!
//! The relay has written the batch itself. The lines of files, by far the most, are therefore
//! not parsed: the values of the engine are the fields of the line as they are.

use std::time::Duration;

use memchr::{memchr, memchr_iter};

use crate::protocol::NodeAddress;
use crate::relay::shared_directory::LEASE_GRACE;
use crate::relay::shared_directory::change::{DirectoryChange, NodeHeader};

/// A change of a record, with texts of the batch. A record is a map of texts that is forgotten
/// after some time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum KeyWrite<'b> {
    /// Forget the record.
    Delete(NodeAddress),
    /// Tell whether the record is whole; see [`WHOLE_FIELD`].
    Check(NodeAddress),
    /// Put these fields and values.
    Put(NodeAddress, Vec<(RecordField<'b>, &'b [u8])>),
    /// Remove these fields.
    Remove(NodeAddress, [RecordField<'b>; 2]),
    /// Forget the record after this time.
    Expire(NodeAddress, Duration),
    /// Add a listener of the relay.
    Listen(NodeAddress),
    /// Remove a listener of the relay.
    Unlisten(NodeAddress),
}

/// The name of a field: a letter, and the name of a file if it is about one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecordField<'b> {
    /// One of the `*_FIELD`, or `f` or `d`.
    pub letter: &'static [u8],
    /// The name of a file, or nothing.
    pub file: &'b [u8],
}

/// The field of a record with the [`NodeHeader`].
pub const HEADER_FIELD: &[u8] = b"h";
/// The mark of a whole record, which only `ADD` writes. What changes a part of a record asks
/// for it: the engine may have lost the record, and what is written then is only a part.
pub const WHOLE_FIELD: &[u8] = b"w";

/// The field of a file. The value is `size hash`.
fn file_field(file: &[u8]) -> RecordField<'_> {
    RecordField { letter: b"f", file }
}

/// The field of a digest. The value is `hash sha-256 digest`.
fn digest_field(file: &[u8]) -> RecordField<'_> {
    RecordField { letter: b"d", file }
}

/// A field that is not about a file.
fn node_field(letter: &'static [u8]) -> RecordField<'static> {
    RecordField { letter, file: b"" }
}

/// The changes of records that a batch causes, in order.
#[must_use]
pub fn key_writes(batch: &[u8]) -> Vec<KeyWrite<'_>> {
    let mut writes = KeyWrites::default();
    let mut rest = batch;
    while !rest.is_empty() {
        let end = memchr(b'\n', rest).unwrap_or(rest.len());
        writes.push_line(&rest[..end]);
        rest = rest.get(end + 1..).unwrap_or_default();
    }
    writes.list
}

/// The changes of records so far.
#[derive(Default)]
struct KeyWrites<'b> {
    list: Vec<KeyWrite<'b>>,
    /// The node of the lines that follow.
    subject: Option<NodeAddress>,
    /// Whether they need no [`KeyWrite::Check`].
    is_checked: bool,
}

impl<'b> KeyWrites<'b> {
    fn push_line(&mut self, line: &'b [u8]) {
        let (verb, fields) = split_fields(line, 1).unwrap_or((line, b""));
        match (verb, self.subject) {
            (b"SHARE", Some(node)) => self.put_of_file(node, split_fields(fields, 2), file_field),
            (b"SHAREDIGEST", Some(node)) => {
                self.put_of_file(node, split_fields(fields, 3), digest_field);
            }
            (b"UNSHARE", Some(node)) => {
                self.check(node);
                let removed = [file_field(fields), digest_field(fields)];
                self.list.push(KeyWrite::Remove(node, removed));
            }
            _ => self.push_change(line, fields),
        }
    }

    /// Appends a line that is not about a file.
    fn push_change(&mut self, line: &'b [u8], fields: &'b [u8]) {
        match (DirectoryChange::parse(line), self.subject) {
            (Some(DirectoryChange::Node(node)), _) => {
                (self.subject, self.is_checked) = (Some(node), false);
            }
            (Some(DirectoryChange::Renew(lease, node)), _) => {
                self.list.push(KeyWrite::Expire(node, lease + LEASE_GRACE));
                self.list.push(KeyWrite::Check(node));
            }
            (Some(DirectoryChange::Listen(address)), _) => {
                self.list.push(KeyWrite::Listen(address));
            }
            (Some(DirectoryChange::Unlisten(address)), _) => {
                self.list.push(KeyWrite::Unlisten(address));
            }
            (Some(DirectoryChange::Add(header)), Some(node)) => {
                self.list.push(KeyWrite::Delete(node));
                self.is_checked = true;
                self.put(node, node_field(WHOLE_FIELD), b"1");
                self.put_header(node, header, fields);
            }
            (Some(DirectoryChange::State(header)), Some(node)) => {
                self.check(node);
                self.put_header(node, header, fields);
            }
            (Some(DirectoryChange::Remove), Some(node)) => {
                self.list.push(KeyWrite::Delete(node));
                self.is_checked = false;
            }
            _ => {}
        }
    }

    /// Before a part of a record is changed.
    fn check(&mut self, node: NodeAddress) {
        if !self.is_checked {
            self.is_checked = true;
            self.list.push(KeyWrite::Check(node));
        }
    }

    fn put_header(&mut self, node: NodeAddress, header: NodeHeader, fields: &'b [u8]) {
        self.put(node, node_field(HEADER_FIELD), fields);
        let time = header.lease + LEASE_GRACE;
        self.list.push(KeyWrite::Expire(node, time));
    }

    /// Puts a field about a file, if the line has this value and this name.
    fn put_of_file(
        &mut self,
        node: NodeAddress,
        value_and_name: Option<(&'b [u8], &'b [u8])>,
        field: impl Fn(&'b [u8]) -> RecordField<'b>,
    ) {
        if let Some((value, name)) = value_and_name {
            self.check(node);
            self.put(node, field(name), value);
        }
    }

    /// Puts one field. Fields of the same record in a row are put together.
    fn put(&mut self, node: NodeAddress, field: RecordField<'b>, value: &'b [u8]) {
        match self.list.last_mut() {
            Some(KeyWrite::Put(last, fields)) if *last == node => fields.push((field, value)),
            _ => self.list.push(KeyWrite::Put(node, vec![(field, value)])),
        }
    }
}

/// Splits off so many fields, at least one.
fn split_fields(text: &[u8], count: usize) -> Option<(&[u8], &[u8])> {
    let end = memchr_iter(b' ', text).nth(count - 1)?;
    Some((&text[..end], &text[end + 1..]))
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
