//! The thread that publishes the batches of the relay.

use std::io;
use std::sync::mpsc::{Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

use crate::protocol::NodeAddress;
use crate::registry::connection::{EngineConnection, EngineError};
use crate::registry::entry_id::EntryId;
use crate::registry::reader_request::ReaderRequest;
use crate::registry::record_expiry::expire_rests;
use crate::registry::resp::{Commands, RespValue};
use crate::registry::wrong_type::delete_keys_of_wrong_type;
use crate::registry::{LISTENERS_PREFIX, STREAM_KEY, machine, node_key};
use crate::relay::shared_directory::{
    InstanceId, KeyWrite, MissingRecords, RecordField, RegistryBatch, WHOLE_FIELD, key_writes,
};

/// Batches that the stream keeps, at least. A relay that falls behind further loads all
/// records again.
const STREAM_LENGTH: &str = "4096";
/// Batches that are sent together.
const MAX_BATCHES: usize = 32;
/// The listeners of a relay that published nothing for this long are forgotten.
const LISTENERS_LIFETIME: &str = "15000";
/// How often the lifetime starts anew.
const LISTENERS_INTERVAL: Duration = Duration::from_secs(3);

/// What the thread is to do.
pub(super) enum WriterRequest {
    /// Publish, if the connection is still the one of the batch.
    Publish(RegistryBatch),
    /// Use this connection from now on. The stream ended with this entry when it was opened.
    Connect(InstanceId, EngineConnection, EntryId),
}

/// The state of the thread.
pub(super) struct Writer {
    requests: Receiver<WriterRequest>,
    /// Reports failures and lost records.
    reports: Sender<ReaderRequest>,
    connection: Option<(InstanceId, EngineConnection)>,
    /// The last entry of the stream.
    last_entry: EntryId,
    listeners_renewed: Option<Instant>,
}

impl Writer {
    pub(super) fn new(requests: Receiver<WriterRequest>, reports: Sender<ReaderRequest>) -> Self {
        Self {
            requests,
            reports,
            connection: None,
            last_entry: EntryId::default(),
            listeners_renewed: None,
        }
    }

    /// Starts the thread.
    pub(super) fn start(self) -> io::Result<()> {
        let builder = thread::Builder::new().name("registry-write".into());
        builder.spawn(|| self.run()).map(drop)
    }

    /// Works until the relay has gone.
    fn run(mut self) {
        let mut batches = Vec::new();
        while let Ok(request) = self.requests.recv() {
            self.take(request, &mut batches);
            while batches.len() < MAX_BATCHES
                && let Ok(request) = self.requests.try_recv()
            {
                self.take(request, &mut batches);
            }
            self.publish(std::mem::take(&mut batches));
        }
    }

    fn take(&mut self, request: WriterRequest, batches: &mut Vec<RegistryBatch>) {
        match request {
            WriterRequest::Publish(batch) => batches.push(batch),
            WriterRequest::Connect(origin, connection, last_entry) => {
                self.connection = Some((origin, connection));
                self.last_entry = last_entry;
                self.listeners_renewed = None;
            }
        }
    }

    fn publish(&mut self, mut batches: Vec<RegistryBatch>) {
        let Some((origin, connection)) = &mut self.connection else {
            return;
        };
        let origin = *origin;
        batches.retain(|batch| batch.origin == origin);
        if batches.is_empty() {
            return;
        }
        let is_due = |at: Instant| at.elapsed() >= LISTENERS_INTERVAL;
        let renews_listeners = self.listeners_renewed.is_none_or(is_due);
        if renews_listeners {
            self.listeners_renewed = Some(Instant::now());
        }
        let last_entry = &mut self.last_entry;
        let published = EngineError::catch_panic(|| {
            publish(connection, &batches, renews_listeners, last_entry)
        });
        // Without a reader, the relay has gone.
        match published {
            Ok(missing) => missing.into_iter().for_each(|records| {
                let _ = self.reports.send(ReaderRequest::Missing(records));
            }),
            Err(error) => {
                self.connection = None;
                let report = ReaderRequest::WriterFailed(origin, error);
                let _ = self.reports.send(report);
            }
        }
    }
}

/// Publishes batches. Returns the nodes that they change and that have no whole record.
fn publish(
    connection: &mut EngineConnection,
    batches: &[RegistryBatch],
    renews_listeners: bool,
    last_entry: &mut EntryId,
) -> Result<Vec<MissingRecords>, EngineError> {
    let mut commands = Commands::default();
    // For each batch, the nodes whose record is checked by these commands of it.
    let mut checks: Vec<Vec<(usize, NodeAddress)>> = Vec::new();
    // The position of the reply to each transaction.
    let mut replies_at = Vec::new();
    for batch in batches {
        commands.push_words(["MULTI"]);
        let first = commands.count;
        let writes = key_writes(&batch.text);
        let is_new_listener = |write: &KeyWrite<'_>| matches!(write, KeyWrite::Listen(_));
        let has_listeners = writes.iter().any(is_new_listener);
        checks.push(push_writes(&mut commands, batch, writes, first));
        if renews_listeners || has_listeners {
            let key = format!("{LISTENERS_PREFIX}{}", batch.origin);
            commands.push_words(["PEXPIRE", &key, LISTENERS_LIFETIME]);
        }
        push_batch(&mut commands, batch);
        replies_at.push(commands.count);
        commands.push_words(["EXEC"]);
    }
    let replies = connection.exchange(&commands)?;
    let mut missing = Vec::new();
    for ((batch, at), checks) in batches.iter().zip(replies_at).zip(checks) {
        let results = match replies.get(at) {
            Some(RespValue::List(results)) => results,
            _ => {
                return Err(EngineError::Refused(
                    "a transaction was not executed".into(),
                ));
            }
        };
        let nodes = missing_records(connection, batch, results, checks)?;
        note_entry(results, last_entry)?;
        if !nodes.is_empty() {
            missing.push(MissingRecords {
                origin: batch.origin,
                number: batch.number,
                nodes,
            });
        }
    }
    expire_rests(connection, &missing)?;
    Ok(missing)
}

/// The nodes that have no whole record after a batch was executed with these results.
fn missing_records(
    connection: &mut EngineConnection,
    batch: &RegistryBatch,
    results: &[RespValue],
    checks: Vec<(usize, NodeAddress)>,
) -> Result<Vec<NodeAddress>, EngineError> {
    let is_missing = |at: &usize| results.get(*at) == Some(&RespValue::Integer(0));
    let nodes = checks.into_iter().filter(|(at, _)| is_missing(at));
    let mut nodes: Vec<NodeAddress> = nodes.map(|(_, node)| node).collect();
    if let Some(error) = results.iter().find_map(RespValue::error) {
        let deleted = delete_keys_of_wrong_type(connection, batch)?;
        // The last command is the one that tells the other relays.
        if deleted.is_empty() || results.last().is_some_and(|last| last.error().is_some()) {
            return Err(EngineError::Refused(error.to_owned()));
        }
        nodes.extend(deleted);
    }
    Ok(nodes)
}

/// Notes the entry of the stream that a batch has become.
fn note_entry(results: &[RespValue], last_entry: &mut EntryId) -> Result<(), EngineError> {
    if let Some(RespValue::Text(id)) = results.last()
        && let Some(entry) = EntryId::parse(id)
    {
        // Nobody would read it: all wait for entries after the last one.
        if entry <= *last_entry {
            return Err(EngineError::Reconnect("the stream of changes was emptied"));
        }
        *last_entry = entry;
    }
    Ok(())
}

/// Appends the changes of records. Returns the nodes whose record is checked, by the position
/// of the command.
fn push_writes(
    commands: &mut Commands,
    batch: &RegistryBatch,
    writes: Vec<KeyWrite<'_>>,
    first: usize,
) -> Vec<(usize, NodeAddress)> {
    let listeners = format!("{LISTENERS_PREFIX}{}", batch.origin);
    let mut checks = Vec::new();
    for write in writes {
        match write {
            KeyWrite::Delete(node) => commands.push_words(["DEL", &node_key(node)]),
            KeyWrite::Check(node) => {
                checks.push((commands.count - first, node));
                commands.push([b"HEXISTS", node_key(node).as_bytes(), WHOLE_FIELD]);
            }
            KeyWrite::Put(node, fields) => {
                start(commands, "HSET", node, 2 * fields.len());
                for (field, value) in fields {
                    push_field(commands, field);
                    commands.push_part(&[value]);
                }
            }
            KeyWrite::Remove(node, fields) => {
                start(commands, "HDEL", node, fields.len());
                fields.iter().for_each(|field| push_field(commands, *field));
            }
            KeyWrite::Expire(node, time) => {
                let time = time.as_millis().to_string();
                commands.push_words(["PEXPIRE", &node_key(node), &time]);
            }
            KeyWrite::Listen(address) => {
                commands.push_words(["SADD", &listeners, &machine::shared_text(address)]);
            }
            KeyWrite::Unlisten(address) => {
                commands.push_words(["SREM", &listeners, &machine::shared_text(address)]);
            }
        }
    }
    checks
}

/// Starts a command about the record of a node, of which so many parts follow.
fn start(commands: &mut Commands, verb: &str, node: NodeAddress, parts: usize) {
    commands.start(2 + parts);
    commands.push_part(&[verb.as_bytes()]);
    commands.push_part(&[node_key(node).as_bytes()]);
}

fn push_field(commands: &mut Commands, field: RecordField<'_>) {
    commands.push_part(&[field.letter, field.file]);
}

/// Appends the entry of the stream.
fn push_batch(commands: &mut Commands, batch: &RegistryBatch) {
    let (origin, number) = (batch.origin.to_string(), batch.number.to_string());
    let words = ["XADD", STREAM_KEY, "MAXLEN", "~", STREAM_LENGTH, "*", "o"];
    let mut parts: Vec<&[u8]> = words.map(str::as_bytes).into();
    parts.extend([
        origin.as_bytes(),
        b"n",
        number.as_bytes(),
        b"m",
        machine::id().as_bytes(),
        b"c",
        &batch.text,
    ]);
    commands.push(parts);
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::sync::mpsc;

    use super::*;
    use crate::registry::connection::REPLY_TIMEOUT;
    use crate::registry::scripted_engine::ScriptedEngine;

    /// A stream that makes its thread panic.
    struct PanickingStream;

    impl Read for PanickingStream {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Ok(0)
        }
    }

    impl Write for PanickingStream {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            panic!("a fault of the writer");
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_file_of_a_lost_record_is_reported_and_expires() {
        let published = b"+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n\
            *3\r\n:0\r\n:1\r\n$3\r\n1-0\r\n";
        let expired = b"+OK\r\n:-1\r\n+OK\r\n+QUEUED\r\n*1\r\n:1\r\n";
        let mut engine = ScriptedEngine::new(&[&published[..], expired].concat());
        let batch = RegistryBatch {
            origin: InstanceId(1),
            number: 7,
            text: b"NODE 192.0.2.1 9000\nSHARE 1 - one\n".into(),
        };
        let missing = publish(
            &mut engine.connection,
            &[batch],
            false,
            &mut EntryId::default(),
        );
        let missing = missing.expect("the engine answers");
        assert_eq!((missing.len(), missing[0].number), (1, 7));
        assert_eq!(missing[0].nodes[0].to_string(), "192.0.2.1 9000");
        let written = engine.written();
        assert_eq!(written.matches("PEXPIRE").count(), 1, "{written}");
    }

    #[test]
    fn a_panic_of_the_writer_is_reported_and_it_goes_on() {
        let (requests, receiver) = mpsc::channel();
        let (sender, reports) = mpsc::channel();
        let writer = Writer::new(receiver, sender);
        let writer = thread::spawn(move || writer.run());
        for number in 1..3 {
            let origin = InstanceId(number);
            let connection = EngineConnection::over(Box::new(PanickingStream), REPLY_TIMEOUT);
            let batch = RegistryBatch {
                origin,
                number: 1,
                text: Vec::new(),
            };
            let error = "the writer is there";
            requests
                .send(WriterRequest::Connect(
                    origin,
                    connection,
                    EntryId::default(),
                ))
                .expect(error);
            requests.send(WriterRequest::Publish(batch)).expect(error);
            match reports.recv() {
                Ok(ReaderRequest::WriterFailed(of, EngineError::Panicked)) => {
                    assert_eq!(of, origin);
                }
                _ => panic!("the panic is reported"),
            }
        }
        drop(requests);
        writer.join().expect("it ends with the relay");
    }
}
