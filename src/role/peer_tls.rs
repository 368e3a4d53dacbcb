//! Whom a connection must lead to.

use crate::tls::KeyId;

/// Whether an outgoing connection is encrypted, and whose key the other side must have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PeerTls {
    /// The connection is not encrypted.
    Plain,
    /// The settings of the loop say so for the relay of this index.
    Configured(usize),
    /// The connection is encrypted. The other side may have any key.
    AnyKey,
    /// The connection is encrypted. The other side must have this key.
    Key(KeyId),
}
