//! How far a download is.

use std::time::Instant;

use crate::jobs::TransferStatus;
use crate::jobs::piece_download::PieceDownload;
use crate::jobs::user_event::UserEvent;

impl PieceDownload {
    /// How much is there.
    pub(in crate::jobs) fn status(&self, now: Instant) -> TransferStatus {
        let on_the_way = self.transfers.iter().map(|transfer| transfer.received);
        let received = self.stored + on_the_way.sum::<u64>();
        let took = now.saturating_duration_since(self.started);
        TransferStatus::new(received, self.resumed, self.layout.size(), took)
    }

    /// The same for the user, while content arrives.
    pub(super) fn progress(&self, now: Instant) -> UserEvent<'static> {
        let status = self.status(now);
        let sources = self.sources.all.iter();
        let active = sources.filter(|source| source.was_reported && source.is_in_use());
        UserEvent::Progress {
            job: self.job,
            received: status.received,
            resumed: status.resumed,
            size: status.size,
            nodes: active.count(),
        }
    }
}
