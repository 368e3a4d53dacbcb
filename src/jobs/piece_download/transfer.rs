//! A piece that is on its way from one node.

use std::time::Instant;

use crate::jobs::ids::RequestId;
use crate::protocol::PieceHasher;

/// One request for a piece.
pub(super) struct Transfer {
    pub(super) id: RequestId,
    /// The index of the node.
    pub(super) source: usize,
    pub(super) piece: u32,
    pub(super) started: Instant,
    /// When something of it arrived last.
    pub(super) last_input: Instant,
    /// The bytes so far.
    pub(super) received: u64,
    pub(super) hasher: PieceHasher,
    pub(super) place: TransferPlace,
}

/// Where the bytes of a piece go as they come.
pub(super) enum TransferPlace {
    /// To their place in an output that is of no use before it is complete. One request at most
    /// of each piece writes there.
    Output,
    /// Into memory, until the piece is checked.
    Memory(Vec<u8>),
    /// They are only checked.
    Nowhere,
}

impl Transfer {
    pub(super) fn is_in_memory(&self) -> bool {
        matches!(self.place, TransferPlace::Memory(_))
    }
}
