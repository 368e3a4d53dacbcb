//! Keys of records that hold a value of the wrong type (`WRONGTYPE`), which no relay wrote.

use std::collections::BTreeSet;

use crate::protocol::NodeAddress;
use crate::registry::connection::{EngineConnection, EngineError};
use crate::registry::node_key;
use crate::registry::resp::Commands;
use crate::relay::shared_directory::{KeyWrite, RegistryBatch, key_writes};

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
