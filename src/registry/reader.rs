//! The thread that connects to the engine, loads the records and follows the changes.

use std::collections::VecDeque;
use std::io;
use std::sync::mpsc::{self, Receiver, Sender, SyncSender, TryRecvError};
use std::thread;
use std::time::Duration;

use crate::registry::connection::{EngineConnection, EngineError, RegistryAccess, is_wrong_type};
use crate::registry::entry_id::EntryId;
use crate::registry::loader::{OnUpdate, load_listeners, load_nodes, load_records};
use crate::registry::reader_request::ReaderRequest;
use crate::registry::resp::{Commands, RespValue};
use crate::registry::writer::{Writer, WriterRequest};
use crate::registry::wrong_type::delete_stream_of_wrong_type;
use crate::registry::{MARKER_KEY, STREAM_KEY, machine};
use crate::relay::shared_directory::{
    InstanceId, RegistryBatch, RegistryCommand, RegistryUpdate, SendCommand, without_loopback,
};

/// The version of the form of keys and changes.
const VERSION: &str = "1";
/// How long one request for changes waits, in milliseconds.
const BLOCK: Duration = Duration::from_millis(500);
/// Batches that one request returns.
const BATCHES_AT_ONCE: &str = "8";
/// Updates on their way to the loop.
const MAX_UPDATES: usize = 8;
/// The first pause between two attempts to connect; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The relay's side of the engine.
pub struct RegistryClient {
    access: RegistryAccess,
    requests: Receiver<ReaderRequest>,
    writer_sender: Sender<WriterRequest>,
    writer: Option<Writer>,
    update_permits: SyncSender<()>,
    session: Option<Session>,
    /// Differs for each database; that of the last connection.
    generation: Option<u64>,
    reported: String,
}

/// A connection that follows the changes.
struct Session {
    connection: EngineConnection,
    origin: InstanceId,
    /// The last entry of the stream that was read.
    position: String,
    marker: Vec<u8>,
}

impl RegistryClient {
    /// Not connected yet. The relay sends its commands to the returned function.
    #[must_use]
    pub fn new(access: RegistryAccess) -> (Self, SendCommand) {
        // Later, the sandbox forbids to read it.
        machine::id();
        let (request_sender, requests) = mpsc::channel();
        let (writer_sender, writer_requests) = mpsc::channel();
        let (update_permits, handled) = mpsc::sync_channel(MAX_UPDATES);
        let client = Self {
            access,
            requests,
            writer_sender: writer_sender.clone(),
            writer: Some(Writer::new(writer_requests, request_sender.clone())),
            update_permits,
            session: None,
            generation: None,
            reported: String::new(),
        };
        let send = move |command| {
            // Without a receiver, the threads have ended.
            _ = match command {
                RegistryCommand::Publish(batch) => {
                    writer_sender.send(WriterRequest::Publish(batch)).is_ok()
                }
                RegistryCommand::Load(node) => {
                    request_sender.send(ReaderRequest::Load(node)).is_ok()
                }
                RegistryCommand::Reconnect(reason) => {
                    let request = ReaderRequest::Reconnect(reason);
                    request_sender.send(request).is_ok()
                }
                RegistryCommand::Handled => handled.try_recv().is_ok(),
            };
        };
        (client, Box::new(send))
    }

    /// Connects and loads all records, before the relay starts. Meanwhile `handle` handles
    /// what has arrived.
    ///
    /// # Errors
    /// The engine wants another user or password, or the system cannot create a thread. Other
    /// failures are an update, and [`RegistryClient::start`] tries again.
    pub fn load(
        &mut self,
        handle: impl FnOnce(mpsc::IntoIter<RegistryUpdate>),
    ) -> Result<(), EngineError> {
        let (sender, updates) = mpsc::sync_channel(MAX_UPDATES);
        // Without a receiver, `handle` has panicked.
        let mut on_update = move |update| _ = sender.send(update);
        let load = move || match EngineError::catch_panic(|| self.connect(&mut on_update)) {
            Err(error @ EngineError::AccessDenied(_)) => Err(error),
            Err(error) => {
                self.report(&error, &mut on_update);
                Ok(())
            }
            Ok(()) => Ok(()),
        };
        thread::scope(|scope| {
            let builder = thread::Builder::new().name("registry-load".into());
            let loader = builder.spawn_scoped(scope, load)?;
            handle(updates.into_iter());
            loader.join().unwrap_or(Err(EngineError::Panicked))
        })
    }

    /// Starts the threads. They call `on_update` for each update, and `enter_sandbox` first.
    ///
    /// # Errors
    /// The system cannot create a thread.
    pub fn start(
        mut self,
        enter_sandbox: impl FnOnce() + Send + 'static,
        on_update: impl Fn(RegistryUpdate) + Send + 'static,
    ) -> io::Result<()> {
        let (sender, started) = mpsc::sync_channel(1);
        let builder = thread::Builder::new().name("registry".into());
        builder.spawn(move || {
            // The writer's thread has the same rights.
            enter_sandbox();
            let writer = self.writer.take().map_or(Ok(()), Writer::start);
            let is_started = writer.is_ok();
            let _ = sender.send(writer);
            if is_started {
                let permits = self.update_permits.clone();
                self.run(&mut |update| {
                    // Waits until the loop has handled others.
                    if permits.send(()).is_ok() {
                        on_update(update);
                    }
                });
            }
        })?;
        let ended = || io::Error::other("the thread of the registry has ended");
        started.recv().map_err(|_| ended())?
    }

    fn run(&mut self, on_update: OnUpdate<'_>) {
        let mut pause = FIRST_PAUSE;
        loop {
            let result = EngineError::catch_panic(|| match &self.session {
                Some(_) => self.follow(on_update),
                None => self.connect(on_update),
            });
            match result {
                Ok(()) => pause = FIRST_PAUSE,
                Err(error) => {
                    self.session = None;
                    self.report(&error, on_update);
                    thread::sleep(pause);
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// Tells the relay once that it is cut off, and again when the reason is another one.
    fn report(&mut self, error: &EngineError, on_update: OnUpdate<'_>) {
        let text = error.to_string();
        if self.reported != text {
            self.reported.clone_from(&text);
            on_update(RegistryUpdate::Disconnected(text));
        }
    }

    /// Connects and loads all records.
    fn connect(&mut self, on_update: OnUpdate<'_>) -> Result<(), EngineError> {
        // Requests of an earlier connection.
        while self.requests.try_recv().is_ok() {}
        let mut connection = EngineConnection::open(&self.access, BLOCK)?;
        let (marker, generation) = read_marker(&mut connection)?;
        let writer = EngineConnection::open(&self.access, Duration::ZERO)?;
        let position = last_entry(&mut connection)?;
        let origin = InstanceId(fastrand::u64(1..));
        let is_other_database = self.generation.is_some_and(|last| last != generation);
        self.generation = Some(generation);
        let last_entry = EntryId::parse(position.as_bytes()).unwrap_or_default();
        let _ = self
            .writer_sender
            .send(WriterRequest::Connect(origin, writer, last_entry));
        self.reported.clear();
        on_update(RegistryUpdate::Connected {
            origin,
            is_other_database,
        });
        load_listeners(&mut connection, on_update)?;
        load_nodes(&mut connection, on_update)?;
        on_update(RegistryUpdate::Loaded);
        self.session = Some(Session {
            connection,
            origin,
            position,
            marker,
        });
        Ok(())
    }

    /// Waits for changes, and passes them on.
    fn follow(&mut self, on_update: OnUpdate<'_>) -> Result<(), EngineError> {
        let Some(session) = &mut self.session else {
            return Ok(());
        };
        loop {
            match self.requests.try_recv() {
                Ok(ReaderRequest::Load(node)) => {
                    load_records(&mut session.connection, &[node], on_update)?;
                }
                Ok(ReaderRequest::Missing(records)) => {
                    on_update(RegistryUpdate::Missing(records));
                }
                Ok(ReaderRequest::Reconnect(reason)) => {
                    return Err(EngineError::Reconnect(reason));
                }
                Ok(ReaderRequest::WriterFailed(origin, error)) if origin == session.origin => {
                    return Err(error);
                }
                Ok(ReaderRequest::WriterFailed(..)) => {}
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
        }
        for batch in session.read_batches()? {
            on_update(RegistryUpdate::Batch(batch));
        }
        Ok(())
    }
}

impl Session {
    /// The batches that have arrived since the last call. Waits for some, but not for long.
    fn read_batches(&mut self) -> Result<VecDeque<RegistryBatch>, EngineError> {
        let mut commands = Commands::default();
        commands.push_words(["GET", MARKER_KEY]);
        let (block, position) = (BLOCK.as_millis().to_string(), &self.position);
        commands.push_words([
            "XREAD",
            "COUNT",
            BATCHES_AT_ONCE,
            "BLOCK",
            &block,
            "STREAMS",
            STREAM_KEY,
            position,
        ]);
        let mut replies = self.connection.exchange(&commands)?.into_iter();
        if replies.next().and_then(RespValue::text).as_ref() != Some(&self.marker) {
            return Err(EngineError::Reconnect("the database was emptied"));
        }
        let mut batches = VecDeque::new();
        for (id, fields) in entries(replies.next()) {
            batches.extend(parse_batch(fields));
            self.position = id;
        }
        Ok(batches)
    }
}

/// Reads which database this is; a new one is marked. Fails if the database is full, or of
/// another version.
fn read_marker(connection: &mut EngineConnection) -> Result<(Vec<u8>, u64), EngineError> {
    let mut commands = Commands::default();
    let new = format!("{VERSION} {}", fastrand::u64(..));
    commands.push_words(["SET", MARKER_KEY, &new, "NX"]);
    commands.push_words(["GET", MARKER_KEY]);
    let marker = match connection.exchange(&commands) {
        // It may be a database of another program.
        Err(EngineError::Refused(error)) if is_wrong_type(&error) => {
            return Err(EngineError::Refused(format!(
                "{error}; the key {MARKER_KEY} has no value of a relay. DEL it if the database is \
                 for relays only"
            )));
        }
        replies => replies?.pop(),
    };
    let marker = marker.and_then(RespValue::text).unwrap_or_default();
    let text = String::from_utf8_lossy(&marker);
    let (version, generation) = text.split_once(' ').unwrap_or((&text, ""));
    match generation.parse() {
        Ok(generation) if version == VERSION => Ok((marker, generation)),
        _ => Err(EngineError::Refused(format!(
            "the database is of another version of the registry, {version:.20}, not {VERSION}"
        ))),
    }
}

/// The last entry of the stream. A value of another type is deleted: the relays that it has cut
/// off read all records now.
fn last_entry(connection: &mut EngineConnection) -> Result<String, EngineError> {
    let mut commands = Commands::default();
    commands.push_words(["XREVRANGE", STREAM_KEY, "+", "-", "COUNT", "1"]);
    let entries = match connection.exchange(&commands) {
        Err(EngineError::Refused(error)) if is_wrong_type(&error) => {
            delete_stream_of_wrong_type(connection)?;
            connection.exchange(&commands)?.pop()
        }
        replies => replies?.pop(),
    };
    let last = entries.and_then(RespValue::list).and_then(|mut e| e.pop());
    let id = last.and_then(parse_entry).map(|(id, _)| id);
    Ok(id.unwrap_or_else(|| "0-0".to_owned()))
}

/// The entries of a reply to `XREAD`.
fn entries(reply: Option<RespValue>) -> Vec<(String, Vec<RespValue>)> {
    let streams = reply.and_then(RespValue::list).unwrap_or_default();
    let entries = streams.into_iter().filter_map(|stream| {
        let mut parts = stream.list()?;
        parts.pop()?.list()
    });
    entries.flatten().filter_map(parse_entry).collect()
}

/// The id and the fields of an entry.
fn parse_entry(entry: RespValue) -> Option<(String, Vec<RespValue>)> {
    let mut parts = entry.list()?.into_iter();
    let id = String::from_utf8(parts.next()?.text()?).ok()?;
    if id.is_empty() {
        // The reply was too long: the next one begins here.
        return None;
    }
    Some((id, parts.next()?.list()?))
}

/// The batch of an entry, without what means nothing on this machine; none if the entry is
/// something else.
fn parse_batch(fields: Vec<RespValue>) -> Option<RegistryBatch> {
    let (mut origin, mut number, mut text) = (None, None, None);
    let mut is_of_this_machine = true;
    let mut fields = fields.into_iter().filter_map(RespValue::text);
    while let (Some(field), Some(value)) = (fields.next(), fields.next()) {
        let as_text = || std::str::from_utf8(&value).ok();
        match field.as_slice() {
            b"o" => origin = as_text().and_then(|text| text.parse().ok()),
            b"n" => number = as_text().and_then(|text| text.parse().ok()),
            b"m" => is_of_this_machine = value == machine::id().as_bytes(),
            b"c" => text = Some(value),
            _ => {}
        }
    }
    Some(RegistryBatch {
        origin: origin?,
        number: number?,
        text: match is_of_this_machine {
            true => text?,
            false => without_loopback(&text?),
        },
    })
}
