//! The check whether a file with the wanted content is there already. It reads the file
//! in slices, so that other jobs go on.

use std::time::Instant;

use crate::jobs::content::{ContentInfo, StoreError, StoredContent};
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
    /// Why the content could not be stored, if it was fetched before the check.
    error: Option<StoreError>,
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
        Self {
            content,
            error: None,
            due: now,
        }
    }

    /// A check whether the file that has taken the name has this content. If it has another
    /// one, the job ends with `error`.
    pub(super) fn of_taken_name(
        (hash, size): (ContentHash, u64),
        error: StoreError,
        now: Instant,
    ) -> Self {
        Self {
            error: Some(error),
            ..Self::of(size, hash, now)
        }
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
                if self.error.is_some() {
                    context.user.discard(job);
                }
                let event = UserEvent::up_to_date(name, self.content.size);
                context.user.on_event(event);
                Some(TaskResult::Success.into())
            }
            Ok(StoredContent::Unfinished) => Some(JobStep::Wait),
            Ok(StoredContent::Other) => {
                let error = self.error.take()?;
                Some(context.end_not_stored(job, name, &error))
            }
            Err(error) => Some(context.end_not_stored(job, name, &error)),
        }
    }
}
