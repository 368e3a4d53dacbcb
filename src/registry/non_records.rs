//! Keys of records that hold a value of another type, which no relay wrote.

use std::collections::BTreeSet;

use crate::protocol::NodeAddress;
use crate::registry::connection::{EngineConnection, EngineError};
use crate::registry::node_key;
use crate::registry::resp::Commands;
use crate::relay::shared_directory::{KeyWrite, RegistryBatch, key_writes};

/// Deletes the keys of the records that a batch changes and that are no records: as long as they
/// are there, none can be written. Returns the nodes, whose records are missing now.
pub(super) fn delete_non_records(
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
    let is_other = |kind: &[u8]| kind != b"hash" && kind != b"none";
    let others = nodes.into_iter().zip(types).filter_map(|(node, kind)| {
        let kind = kind.text()?;
        is_other(&kind).then_some(node)
    });
    let others: Vec<NodeAddress> = others.collect();
    let mut commands = Commands::default();
    for node in &others {
        commands.push_words(["DEL", &node_key(*node)]);
    }
    connection.exchange(&commands)?;
    Ok(others)
}
