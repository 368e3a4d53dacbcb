//! How a fetch uses a download in pieces: it comes first for a long content with a known
//! hash.

use std::time::Instant;

use crate::jobs::fetch::Fetch;
use crate::jobs::job::{JobContext, JobStep};
use crate::jobs::piece_download::{DownloadStep, PieceDownload};
use crate::protocol::PieceLayout;

impl Fetch {
    /// Starts to download the first content in pieces, if it has several.
    pub(super) fn start_download(
        &mut self,
        context: &mut JobContext,
        now: Instant,
    ) -> Option<JobStep> {
        let first = *self.candidates.front()?;
        let hash = first.hash?;
        if first.size <= PieceLayout::MIN_PIECE_SIZE {
            return None;
        }
        let holders = self
            .candidates
            .iter()
            .filter(|candidate| (candidate.hash, candidate.size) == (first.hash, first.size));
        let nodes = holders.map(|candidate| candidate.node).collect();
        let job = (self.id, self.name.clone());
        let download = PieceDownload::new(context, job, (hash, first.size), nodes, now);
        let step = self.download.insert(download.into()).advance(context, now);
        Some(self.on_download_step(context, step, now))
    }

    /// If no node lists the pieces, the nodes that have not failed are tried one by one.
    pub(super) fn on_download_step(
        &mut self,
        context: &mut JobContext,
        step: DownloadStep,
        now: Instant,
    ) -> JobStep {
        match (step, &self.download) {
            (DownloadStep::Job(step), _) => step,
            (DownloadStep::FallBack, None) => JobStep::Wait,
            (DownloadStep::FallBack, Some(download)) => {
                let useless: Vec<_> = download.useless_nodes().collect();
                let (failures, has_wrong_content) = download.failures();
                self.failures += failures;
                self.has_wrong_content |= has_wrong_content;
                self.tried += useless.len();
                self.candidates
                    .retain(|candidate| !useless.contains(&candidate.node));
                self.download = None;
                self.try_next(context, now)
            }
        }
    }
}
