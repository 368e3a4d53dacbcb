//! What the reader is to do beside following the changes.

use crate::protocol::NodeAddress;
use crate::registry::connection::EngineError;
use crate::relay::shared_directory::{InstanceId, MissingRecords};

/// A request of the relay, or of the writer.
pub(super) enum ReaderRequest {
    Load(NodeAddress),
    Reconnect(&'static str),
    Missing(MissingRecords),
    WriterFailed(InstanceId, EngineError),
}
