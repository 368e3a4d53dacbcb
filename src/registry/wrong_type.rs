//! Keys that hold a value of the wrong type (`WRONGTYPE`), which no relay wrote.

use std::collections::BTreeSet;

use log::warn;

use crate::escaped::Escaped;
use crate::logging::OPERATOR;
use crate::protocol::NodeAddress;
use crate::registry::connection::{EngineConnection, EngineError};
use crate::registry::resp::{Commands, RespValue};
use crate::registry::{STREAM_KEY, node_key};
use crate::relay::shared_directory::{KeyWrite, RegistryBatch, key_writes};

/// Deletes the key of the stream of changes: as long as it is there, no relay can publish or read
/// changes. Not one that another relay has made a stream meanwhile.
pub(super) fn delete_stream_of_wrong_type(
    connection: &mut EngineConnection,
) -> Result<(), EngineError> {
    let mut commands = Commands::default();
    commands.push_words(["WATCH", STREAM_KEY]);
    commands.push_words(["TYPE", STREAM_KEY]);
    let kind = connection.exchange(&commands)?.pop();
    let kind = kind.and_then(RespValue::text).unwrap_or_default();
    let mut commands = Commands::default();
    if kind == b"stream" || kind == b"none" {
        commands.push_words(["UNWATCH"]);
    } else {
        let kind = Escaped(&kind);
        warn!(target: OPERATOR, "registry: the key {STREAM_KEY} has a value of the type {kind}, not the stream of changes: deleted");
        commands.push_words(["MULTI"]);
        commands.push_words(["DEL", STREAM_KEY]);
        commands.push_words(["EXEC"]);
    }
    connection.exchange(&commands)?;
    Ok(())
}

/// Deletes those keys of the records that a batch changes: as long as they are there, no record can
/// be written. Returns the nodes, whose records are missing now.
pub(super) fn delete_keys_of_wrong_type(
    connection: &mut EngineConnection,
    batch: &RegistryBatch,
) -> Result<Vec<NodeAddress>, EngineError> {
    let writes = key_writes(&batch.text).into_iter();
    let nodes = writes.filter_map(|write| match write {
        KeyWrite::Delete(node)
        | KeyWrite::Check(node)
        | KeyWrite::Put(node, _)
        | KeyWrite::Remove(node, _)
        | KeyWrite::Expire(node, _) => Some(node),
        KeyWrite::Listen(_) | KeyWrite::Unlisten(_) => None,
    });
    let nodes: BTreeSet<NodeAddress> = nodes.collect();
    let mut commands = Commands::default();
    for node in &nodes {
        commands.push_words(["TYPE", &node_key(*node)]);
    }
    let types = connection.exchange(&commands)?;
    let is_wrong = |kind: &[u8]| kind != b"hash" && kind != b"none";
    let wrong = nodes.into_iter().zip(types).filter_map(|(node, kind)| {
        let kind = kind.text()?;
        is_wrong(&kind).then_some(node)
    });
    let wrong: Vec<NodeAddress> = wrong.collect();
    let mut commands = Commands::default();
    for node in &wrong {
        commands.push_words(["DEL", &node_key(*node)]);
    }
    connection.exchange(&commands)?;
    Ok(wrong)
}
