//! The check of a size, if nodes announce several sizes for one hash: a list of pieces
//! does not say how long the last piece is, but the value of the last piece depends on it.
//! So that piece is fetched before the output is opened.

use std::time::{Duration, Instant};

use crate::jobs::failure::Failure;
use crate::jobs::job_context::JobContext;
use crate::jobs::piece_download::source::SourceState;
use crate::jobs::piece_download::{DownloadStep, PieceDownload};

/// How long the nodes with one size may take to show that it is right. Then it is the turn of
/// those with another size.
const CHECK_TIME: Duration = Duration::from_secs(10);

impl PieceDownload {
    /// Other nodes announce another size for the hash.
    pub(in crate::jobs) fn require_size_check(&mut self, now: Instant) {
        self.size_deadline = Some(now + CHECK_TIME);
    }

    /// The last piece has arrived.
    pub(super) fn check_size(
        &mut self,
        context: &mut JobContext,
        index: usize,
        now: Instant,
    ) -> DownloadStep {
        let transfer = self.transfers.swap_remove(index);
        let piece = transfer.piece;
        self.give_back(piece);
        if transfer.hasher.value().as_ref() != self.values.last() {
            let failure = Failure::WrongPiece(piece);
            self.give_up(context, transfer.source, SourceState::Liar, &failure);
            return self.advance(context, now);
        }
        self.size_deadline = None;
        self.cancel_transfers(context, piece);
        self.pieces.give_back(piece);
        self.open_output(context, transfer.source, now)
    }

    /// No node has shown that its size is right: stops all requests.
    pub(super) fn fall_back(&mut self, context: &mut JobContext) -> DownloadStep {
        self.cancel_requests(context);
        DownloadStep::FallBack
    }

    /// No content is awaited any longer.
    pub(super) fn cancel_requests(&mut self, context: &mut JobContext) {
        let transfers = self.transfers.drain(..).map(|transfer| transfer.id);
        context.cancelled.extend(transfers);
        context
            .cancelled
            .extend(self.lists.drain(..).map(|list| list.id));
    }
}
