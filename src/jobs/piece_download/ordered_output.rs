//! Pieces that must be written in order: they wait in memory for those before them.

use std::collections::BTreeMap;

use crate::jobs::content::StoreError;
use crate::jobs::ids::JobId;
use crate::jobs::user::User;
use crate::protocol::PieceLayout;

/// The output of a content that is written in order.
#[derive(Default)]
pub(super) struct OrderedOutput {
    /// Checked pieces that wait.
    waiting: BTreeMap<u32, Vec<u8>>,
    next: u32,
}

impl OrderedOutput {
    /// The piece that is written next.
    pub(super) fn next_piece(&self) -> u32 {
        self.next
    }

    /// The number of bytes that were written.
    pub(super) fn written(&self, layout: &PieceLayout) -> u64 {
        layout.range(self.next as usize).start
    }

    /// Takes a checked piece, and writes all whose turn it is.
    pub(super) fn write(
        &mut self,
        user: &mut dyn User,
        job: JobId,
        layout: &PieceLayout,
        piece: u32,
        bytes: Vec<u8>,
    ) -> Result<(), StoreError> {
        self.waiting.insert(piece, bytes);
        while let Some(bytes) = self.waiting.remove(&self.next) {
            let offset = layout.range(self.next as usize).start;
            user.write_at(job, offset, &bytes)?;
            self.next += 1;
        }
        Ok(())
    }
}
