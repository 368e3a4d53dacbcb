//! How much nodes may share, and how much they do.

/// How much nodes may share. Bytes are those of file names as the relay stores them: as
/// announced, and folded for searches; a digest counts as
/// [`BYTES_PER_DIGEST`](crate::relay::BYTES_PER_DIGEST), and the first one of a node as
/// [`BYTES_OF_FIRST_DIGEST`](crate::relay::BYTES_OF_FIRST_DIGEST).
///
/// Besides, no address may have more files or bytes than are left for all others. Who
/// shares little therefore finds room, whatever others share.
#[derive(Clone, Copy, Debug)]
pub struct Quota {
    /// Files of one node.
    pub node_files: u64,
    /// Bytes of one node.
    pub node_bytes: u64,
    /// Bytes of all nodes at one address.
    pub address_bytes: u64,
    /// Files of all nodes together.
    pub all_files: u64,
    /// Bytes of all nodes together.
    pub all_bytes: u64,
}

impl Quota {
    /// The limits for what other relays have accepted: each may go over a limit by what it
    /// did not know yet.
    pub(in crate::relay) fn with_margin(&self) -> Self {
        Self {
            node_files: with_margin(self.node_files),
            node_bytes: with_margin(self.node_bytes),
            address_bytes: with_margin(self.address_bytes),
            all_files: with_margin(self.all_files),
            all_bytes: with_margin(self.all_bytes),
        }
    }
}

/// A limit and an eighth more.
pub(in crate::relay) fn with_margin(limit: u64) -> u64 {
    limit.saturating_add(limit / 8)
}

/// The limit that a new file would exceed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::relay) enum QuotaError {
    /// Files or bytes of the node.
    Node,
    /// The share of the address.
    Address,
    /// Files or bytes of all nodes.
    All,
}

/// The files of all nodes of one address, or of all addresses.
#[derive(Clone, Copy, Default)]
pub(super) struct Usage {
    pub(super) files: u64,
    pub(super) bytes: u64,
}

impl Usage {
    pub(super) fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }

    pub(super) fn remove(&mut self, bytes: u64) {
        self.files -= 1;
        self.bytes -= bytes;
    }
}
