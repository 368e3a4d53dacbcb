//! How a fetch uses a download in pieces: it comes first for a long content with a known
//! hash.

use std::time::Instant;

use crate::jobs::candidate::Candidate;
use crate::jobs::download_status::TransferStatus;
use crate::jobs::fetch::Fetch;
use crate::jobs::job_context::JobContext;
use crate::jobs::job_step::JobStep;
use crate::jobs::piece_download::{DownloadStep, PieceDownload};
use crate::jobs::stored_check::StoredCheck;
use crate::protocol::{ContentHash, PieceLayout};

/// The most sizes of one content that are tried. Only one of them can be right.
const MAX_SIZES: usize = 4;

impl Fetch {
    /// The size of the content that is on its way.
    pub(in crate::jobs) fn size(&self) -> Option<u64> {
        let mut open = self.open.iter();
        let size = |download: &PieceDownload| download.content().1;
        let download = self.download().map(size);
        download.or_else(|| Some(open.find(|attempt| attempt.was_found)?.size))
    }

    /// How much of the content is there, once a node has it.
    pub(in crate::jobs) fn status(&self, now: Instant) -> Option<TransferStatus> {
        if let Some(download) = self.download() {
            return Some(download.status(now));
        }
        let mut open = self.open.iter();
        Some(open.find(|attempt| attempt.was_found)?.status(now))
    }

    /// Starts to download the first content in pieces, if it has several, from the nodes
    /// that announce the same size for it.
    pub(super) fn start_download(
        &mut self,
        context: &mut JobContext,
        now: Instant,
    ) -> Option<JobStep> {
        let first = *self.candidates.front()?;
        self.download_content(context, first.hash?, now)
    }

    /// Starts to download a content with the next size that was announced for it.
    fn download_content(
        &mut self,
        context: &mut JobContext,
        hash: ContentHash,
        now: Instant,
    ) -> Option<JobStep> {
        let holders = self.candidates.iter();
        let is_holder =
            |candidate: &&Candidate| !candidate.has_hash_of_others && candidate.hash == Some(hash);
        let holders = holders.filter(is_holder);
        let mut sizes = holders.clone().map(|candidate| candidate.size);
        let is_new = |size: &u64| !self.failed_sizes.contains(size);
        let size = sizes.find(is_new)?;
        if size <= PieceLayout::MIN_PIECE_SIZE || self.failed_sizes.len() >= MAX_SIZES {
            return None;
        }
        let has_size = |candidate: &&Candidate| candidate.size == size;
        let nodes = holders.clone().filter(has_size);
        let nodes = nodes.map(|candidate| candidate.node).collect();
        let is_disputed = !holders.clone().all(|candidate| has_size(&candidate));
        let job = (self.id, self.name.clone());
        let mut download = PieceDownload::new(context, job, (hash, size), nodes, now);
        if is_disputed {
            download.require_size_check(now);
        }
        let step = self.download.insert(download.into()).advance(context, now);
        Some(self.on_download_step(context, step, now))
    }

    /// If no node lists the pieces, those that announce another size for the content are
    /// asked. Then the nodes that have not failed are tried one by one.
    pub(super) fn on_download_step(
        &mut self,
        context: &mut JobContext,
        step: DownloadStep,
        now: Instant,
    ) -> JobStep {
        match (step, &self.download) {
            (DownloadStep::Job(step), _) => step,
            (DownloadStep::NameTaken(error), Some(download)) => {
                let check = StoredCheck::of_taken_name(download.content(), error, now);
                (self.check, self.download) = (Some(check), None);
                JobStep::Wait
            }
            (DownloadStep::FallBack | DownloadStep::NameTaken(_), None) => JobStep::Wait,
            (DownloadStep::FallBack, Some(download)) => {
                let useless: Vec<_> = download.useless_nodes().collect();
                let (failures, has_wrong_content) = download.failures();
                self.failures += failures;
                self.has_wrong_content |= has_wrong_content;
                self.tried += useless.len();
                self.candidates
                    .retain(|candidate| !useless.contains(&candidate.node));
                let (hash, size) = download.content();
                self.download = None;
                self.failed_sizes.push(size);
                match self.download_content(context, hash, now) {
                    Some(step) => step,
                    None => self.try_next(context, now),
                }
            }
        }
    }
}
