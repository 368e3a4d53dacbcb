//! The check whether a file with the wanted content is there already. It reads the file
//! in slices, so that other jobs go on.

use std::time::Instant;

use crate::jobs::content::{ContentInfo, StoredContent};
use crate::jobs::ids::JobId;
use crate::jobs::job_context::JobContext;
use crate::jobs::job_step::JobStep;
use crate::jobs::offer::Offer;
use crate::jobs::task_result::TaskResult;
use crate::jobs::user_event::UserEvent;
use crate::protocol::{ContentHash, FileName};

/// A check that goes on.
pub(super) struct StoredCheck {
    content: ContentInfo,
    /// When the next slice is read.
    pub(super) due: Instant,
}

impl StoredCheck {
    /// A check for the wanted one of `offers`, or for the first. None if no hash is known.
    pub(super) fn new(wanted: Option<ContentHash>, offers: &[Offer], now: Instant) -> Option<Self> {
        let is_wanted = |offer: &&Offer| wanted.is_none_or(|hash| hash == offer.hash);
        let offer = offers.iter().find(is_wanted)?;
        Some(Self::of(offer.size, offer.hash, now))
    }

    /// A check for this content.
    pub(super) fn of(size: u64, hash: ContentHash, now: Instant) -> Self {
        let content = ContentInfo::new(size, Some(hash));
        Self { content, due: now }
    }

    /// Reads the next slice. Returns none if the content is to be fetched.
    pub(super) fn advance(
        &mut self,
        context: &mut JobContext,
        job: JobId,
        name: &FileName<'static>,
    ) -> Option<JobStep> {
        match context.user.compare(job, name, &self.content) {
            Ok(StoredContent::Same) => {
                let event = UserEvent::up_to_date(name, self.content.size);
                context.user.on_event(event);
                Some(TaskResult::Success.into())
            }
            Ok(StoredContent::Unfinished) => Some(JobStep::Wait),
            Ok(StoredContent::Other) => None,
            Err(error) => {
                let error = &error;
                context.user.on_event(UserEvent::StoreError { name, error });
                Some(TaskResult::StoreError.into())
            }
        }
    }
}
