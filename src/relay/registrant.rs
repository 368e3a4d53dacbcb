//! Who may act for a node: who has its key, or without a key its address.

use std::net::IpAddr;

use crate::tls::KeyId;

/// Who acts for a node.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Registrant {
    /// Its address.
    pub(super) source: IpAddr,
    /// The key that it has shown.
    pub(super) key: Option<KeyId>,
}

/// Why a node was not registered or not unregistered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum DirectoryError {
    /// The node is not registered.
    UnknownNode,
    /// Another source address registered the node.
    NotOwner,
    /// The node has a key, and this is not it.
    OtherKey,
    /// The directory has reached its limit of nodes.
    DirectoryFull,
    /// The address has reached its limit of nodes.
    AddressFull,
}
