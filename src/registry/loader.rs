//! Loads the records of nodes and the listeners of relays.

use std::time::Duration;

use crate::protocol::NodeAddress;
use crate::registry::connection::{EngineConnection, EngineError};
use crate::registry::resp::{Commands, RespValue};
use crate::registry::{LISTENERS_PREFIX, NODE_PREFIX, machine, node_key};
use crate::relay::shared_directory::{HEADER_FIELD, NodeRecord, RegistryUpdate, append_field};

/// Keys, and fields of a record, that one command returns.
const PAGE: &str = "1000";
/// Records that are loaded together.
const RECORDS_AT_ONCE: usize = 8;

/// Receives what is loaded.
pub(super) type OnUpdate<'a> = &'a mut dyn FnMut(RegistryUpdate);

/// Loads the records of all nodes.
pub(super) fn load_nodes(
    connection: &mut EngineConnection,
    on_update: OnUpdate<'_>,
) -> Result<(), EngineError> {
    scan(connection, NODE_PREFIX, |connection, keys| {
        let addresses: Vec<NodeAddress> = keys
            .iter()
            .filter_map(|key| machine::parse_shared(key))
            .collect();
        for addresses in addresses.chunks(RECORDS_AT_ONCE) {
            load_records(connection, addresses, on_update)?;
        }
        Ok(())
    })
}

/// Loads where the relays have listeners.
pub(super) fn load_listeners(
    connection: &mut EngineConnection,
    on_update: OnUpdate<'_>,
) -> Result<(), EngineError> {
    scan(connection, LISTENERS_PREFIX, |connection, keys| {
        for key in keys {
            let Ok(origin) = key.parse() else {
                continue;
            };
            let mut commands = Commands::default();
            commands.push_words(["SMEMBERS", &format!("{LISTENERS_PREFIX}{key}")]);
            let members = connection.read_keys(&commands)?.into_iter().next();
            let addresses = texts(members).into_iter().filter_map(|text| {
                let text = String::from_utf8(text).ok()?;
                machine::parse_shared(&text)
            });
            on_update(RegistryUpdate::Listeners(origin, addresses.collect()));
        }
        Ok(())
    })
}

/// Loads the records of these nodes. Nodes without a record are skipped.
pub(super) fn load_records(
    connection: &mut EngineConnection,
    addresses: &[NodeAddress],
    on_update: OnUpdate<'_>,
) -> Result<(), EngineError> {
    let mut commands = Commands::default();
    for address in addresses {
        let key = node_key(*address);
        commands.push([b"HGET", key.as_bytes(), HEADER_FIELD]);
        commands.push_words(["PTTL", &key]);
        commands.push_words(["HSCAN", &key, "0", "COUNT", PAGE]);
    }
    let mut replies = connection.read_keys(&commands)?.into_iter();
    for address in addresses {
        let (Some(header), Some(ttl), Some(page)) =
            (replies.next(), replies.next(), replies.next())
        else {
            return Ok(());
        };
        if let (Some(header), RespValue::Integer(milliseconds)) = (header.text(), ttl)
            && let Ok(milliseconds) = u64::try_from(milliseconds)
        {
            let remaining = Duration::from_millis(milliseconds);
            let mut parts = RecordParts::new(*address, remaining, &header, on_update);
            load_files(connection, page, &mut parts)?;
            parts.finish();
        }
    }
    Ok(())
}

/// Loads the fields of a record, of which the first page has arrived.
fn load_files(
    connection: &mut EngineConnection,
    first: RespValue,
    parts: &mut RecordParts<'_>,
) -> Result<(), EngineError> {
    let mut page = first;
    loop {
        let Some((cursor, fields)) = split_page(page) else {
            return Ok(());
        };
        parts.append(&fields);
        if cursor == "0" {
            return Ok(());
        }
        parts.send(false);
        let mut commands = Commands::default();
        let key = node_key(parts.address);
        commands.push_words(["HSCAN", &key, &cursor, "COUNT", PAGE]);
        let reply = connection.read_keys(&commands)?.into_iter().next();
        page = reply.unwrap_or(RespValue::Nil);
    }
}

/// A record that is sent in parts.
struct RecordParts<'a> {
    address: NodeAddress,
    remaining: Duration,
    text: Vec<u8>,
    /// Digests come after all files.
    digests: Vec<u8>,
    is_first: bool,
    on_update: OnUpdate<'a>,
}

impl<'a> RecordParts<'a> {
    fn new(
        address: NodeAddress,
        remaining: Duration,
        header: &[u8],
        on_update: &'a mut dyn FnMut(RegistryUpdate),
    ) -> Self {
        let line = header.split(|byte| *byte == b'\n').next();
        Self {
            address,
            remaining,
            text: [b"STATE ", line.unwrap_or_default(), b"\n"].concat(),
            digests: Vec::new(),
            is_first: true,
            on_update,
        }
    }

    /// Appends fields and values, in turn.
    fn append(&mut self, fields: &[Vec<u8>]) {
        for pair in fields.chunks_exact(2) {
            append_field(&mut self.text, &mut self.digests, &pair[0], &pair[1]);
        }
    }

    fn send(&mut self, is_last: bool) {
        (self.on_update)(RegistryUpdate::Node(NodeRecord {
            address: self.address,
            remaining: self.remaining,
            text: std::mem::take(&mut self.text),
            is_first: std::mem::take(&mut self.is_first),
            is_last,
        }));
    }

    fn finish(mut self) {
        self.text.append(&mut self.digests);
        self.send(true);
    }
}

/// Calls `handle` with all keys that begin so, without their beginning, a page at a time.
fn scan(
    connection: &mut EngineConnection,
    prefix: &str,
    mut handle: impl FnMut(&mut EngineConnection, &[String]) -> Result<(), EngineError>,
) -> Result<(), EngineError> {
    let (pattern, mut cursor) = (format!("{prefix}*"), "0".to_owned());
    loop {
        let mut commands = Commands::default();
        commands.push_words(["SCAN", &cursor, "MATCH", &pattern, "COUNT", PAGE]);
        let reply = connection.exchange(&commands)?.into_iter().next();
        let Some((next, keys)) = reply.and_then(split_page) else {
            return Ok(());
        };
        let keys: Vec<String> = keys
            .iter()
            .filter_map(|key| {
                Some(
                    std::str::from_utf8(key)
                        .ok()?
                        .strip_prefix(prefix)?
                        .to_owned(),
                )
            })
            .collect();
        handle(connection, &keys)?;
        if next == "0" {
            return Ok(());
        }
        cursor = next;
    }
}

/// The cursor and the texts of a page of `SCAN` or `HSCAN`.
fn split_page(reply: RespValue) -> Option<(String, Vec<Vec<u8>>)> {
    let mut parts = reply.list()?.into_iter();
    let cursor = String::from_utf8(parts.next()?.text()?).ok()?;
    if cursor.is_empty() {
        return None;
    }
    Some((cursor, texts(parts.next())))
}

fn texts(list: Option<RespValue>) -> Vec<Vec<u8>> {
    let values = list.and_then(RespValue::list).unwrap_or_default();
    values.into_iter().filter_map(RespValue::text).collect()
}
