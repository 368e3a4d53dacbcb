//! What is known of a file when its download or its check is broken off.

use crate::jobs::PieceSet;
use crate::protocol::PieceLayout;

/// Numbers of bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct StoredBytes {
    /// Those of the pieces that are right.
    pub(super) stored: u64,
    /// Those of the pieces that are there, but were not checked.
    pub(super) unchecked: u64,
    /// The size of the content.
    pub(super) size: u64,
}

impl StoredBytes {
    pub(super) fn new(stored: &PieceSet, unchecked: &PieceSet, layout: &PieceLayout) -> Self {
        Self {
            stored: stored.bytes(layout),
            unchecked: unchecked.bytes(layout),
            size: layout.size(),
        }
    }
}
