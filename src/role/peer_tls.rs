//! TLS requirements of an outgoing connection.

use crate::tls::KeyId;

/// Whether an outgoing connection is encrypted, and whose key the other side must have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PeerTls {
    /// The connection is not encrypted.
    Plain,
    /// As configured in the reactor for the relay with this index.
    Configured(usize),
    /// The connection is encrypted. The other side may have any key, or any of those that the
    /// reactor allows.
    AnyKey,
    /// The connection is encrypted. The other side must have this key.
    Key(KeyId),
}
