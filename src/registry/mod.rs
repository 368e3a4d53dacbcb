//! The engine of a directory that several relays share: Redis or Valkey, reached from
//! threads beside the loop.
//!
//! Two threads have a connection each. The `reader` loads the records of all nodes
//! and then follows the stream of changes; the `writer` publishes the batches of the
//! relay. Each batch is one transaction: an entry of the stream, and what it does to the
//! records. A record therefore always contains exactly the changes before some position of
//! the stream. What the changes mean is in [`crate::relay::shared_directory`].
//!
//! | Key | Type | Contents |
//! |---|---|---|
//! | `peerline:registry` | string | the version of this form, and a number that differs for each database |
//! | `peerline:changes` | stream | the batches: `o` origin, `n` number, `m` machine, `c` changes |
//! | `peerline:node:IP PORT` | hash | the record of a node; it expires with the lease |
//! | `peerline:listeners:ORIGIN` | set | where a relay has listeners |
//!
//! Addresses on loopback have the id of their machine behind them, and in the stream that of the
//! batch counts: relays on other machines leave them out.
//!
//! The protocol of the engine (RESP2) needs a parser of one page here. The crate `redis`
//! would bring 48 crates, among them the tables of Unicode for host names.

mod address;
mod connection;
mod entry_id;
mod loader;
mod machine;
mod reader;
mod reader_request;
#[cfg(test)]
mod reader_tests;
mod record_expiry;
mod resp;
#[cfg(test)]
mod scripted_engine;
mod tls;
mod writer;
mod wrong_type;

pub use address::{RegistryAddress, RegistryHost};
pub use connection::{EngineError, RegistryAccess};
pub use reader::RegistryClient;
pub use tls::trust_authorities;

use crate::protocol::NodeAddress;

/// The keys of all nodes begin so.
const NODE_PREFIX: &str = "peerline:node:";
/// The keys of all listeners begin so.
const LISTENERS_PREFIX: &str = "peerline:listeners:";
const MARKER_KEY: &str = "peerline:registry";
const STREAM_KEY: &str = "peerline:changes";

/// The key of the record of a node.
fn node_key(node: NodeAddress) -> String {
    format!("{NODE_PREFIX}{}", machine::shared_text(node))
}
