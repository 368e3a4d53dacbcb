//! Pieces that an earlier download has left in the output. Those that may be damaged are
//! checked beside the loop, while the nodes send the others.

use std::time::{Duration, Instant};

use crate::jobs::content::{PieceSet, StoreError};
use crate::jobs::job_context::JobContext;
use crate::jobs::piece_download::PieceDownload;
use crate::jobs::user_event::UserEvent;

/// How often the results of a check are taken.
const CHECK_INTERVAL: Duration = Duration::from_millis(10);

impl PieceDownload {
    /// Whether bytes of an incomplete piece have arrived, for an output that could keep it.
    pub(in crate::jobs) fn has_part_of_piece(&self) -> bool {
        let mut transfers = self.transfers.iter();
        self.in_order.is_none() && transfers.any(|transfer| transfer.received > 0)
    }

    /// The output holds `pieces`, and `unchecked` ones, which may be wrong.
    pub(super) fn resume(
        &mut self,
        context: &mut JobContext,
        pieces: &PieceSet,
        unchecked: &PieceSet,
        now: Instant,
    ) -> Result<(), StoreError> {
        for index in pieces.iter() {
            self.pieces.complete(index);
        }
        self.stored = pieces.bytes(&self.layout);
        self.resumed = self.stored;
        let (name, size) = (&self.name, self.layout.size());
        if unchecked.is_empty() {
            let stored = self.stored;
            let event = UserEvent::Resuming { name, stored, size };
            context.user.on_event(event);
            return Ok(());
        }
        let unknown = unchecked.bytes(&self.layout);
        let event = UserEvent::Checking {
            name,
            unknown,
            size,
        };
        context.user.on_event(event);
        for index in unchecked.iter() {
            self.pieces.reserve(index);
        }
        (self.unchecked, self.was_checked) = (unchecked.clone(), true);
        self.next_check = Some(now + CHECK_INTERVAL);
        context.user.start_check(self.job, unchecked, &self.values)
    }

    /// Takes results of the check. Wrong pieces are fetched again.
    pub(super) fn take_checked(
        &mut self,
        context: &mut JobContext,
        now: Instant,
    ) -> Result<(), StoreError> {
        if self.next_check.is_none_or(|due| due > now) {
            return Ok(());
        }
        for (index, is_right) in context.user.checked_pieces(self.job)? {
            if !self.unchecked.remove(index) {
                continue;
            }
            if is_right {
                context.user.record_piece(self.job, index)?;
                self.pieces.complete(index);
                let range = self.layout.range(index as usize);
                self.stored += range.end - range.start;
                self.resumed += range.end - range.start;
            } else {
                self.pieces.give_back(index);
                self.wrong_stored += 1;
            }
        }
        self.next_check = Some(now + CHECK_INTERVAL);
        if self.unchecked.is_empty() {
            self.next_check = None;
            let (name, stored, size) = (&self.name, self.resumed, self.layout.size());
            // Not what the nodes have sent meanwhile.
            if stored < size {
                let event = match context.user.repairs_file() {
                    true => UserEvent::Repairing {
                        name,
                        wrong: self.wrong_stored,
                        pieces: self.layout.count(),
                    },
                    false => UserEvent::Resuming { name, stored, size },
                };
                context.user.on_event(event);
            }
        }
        Ok(())
    }
}
