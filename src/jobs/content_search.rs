//! The search for the one of several contents that a file of the user has. It reads the file
//! in slices, so that other jobs go on.

use std::time::Instant;

use crate::jobs::content::{ContentInfo, StoredContent};
use crate::jobs::ids::JobId;
use crate::jobs::job_context::JobContext;
use crate::jobs::job_step::JobStep;
use crate::jobs::offer::Offer;
use crate::jobs::task_result::TaskResult;
use crate::jobs::user_event::UserEvent;
use crate::protocol::{FileName, HolderItem};

/// A search that goes on, or is over.
pub(super) struct ContentSearch {
    /// The contents that the file may have.
    offers: Vec<Offer>,
    /// The index of the one that it is compared with.
    next: usize,
    /// The nodes that have the contents.
    holders: Vec<HolderItem>,
    /// When the next slice is read, unless the search is over.
    pub(super) due: Option<Instant>,
}

impl ContentSearch {
    pub(super) fn new(offers: Vec<Offer>, holders: &[HolderItem], now: Instant) -> Self {
        Self {
            offers,
            next: 0,
            holders: holders.to_vec(),
            due: Some(now),
        }
    }

    /// Reads the next slice.
    ///
    /// # Errors
    /// The file has none of the contents. Returns the nodes that have them.
    pub(super) fn advance(
        &mut self,
        context: &mut JobContext,
        job: JobId,
        name: &FileName<'static>,
    ) -> Result<JobStep, Vec<HolderItem>> {
        while let Some(offer) = self.offers.get(self.next) {
            let content = ContentInfo::new(offer.size, Some(offer.hash));
            match context.user.has_content(job, name, &content) {
                Ok(StoredContent::Same) => {
                    context.user.on_event(UserEvent::UpToDate {
                        name,
                        size: offer.size,
                        content: Some(offer),
                    });
                    return Ok(TaskResult::Success.into());
                }
                Ok(StoredContent::Unfinished) => return Ok(JobStep::Wait),
                Ok(StoredContent::Other) => self.next += 1,
                Err(error) => return Ok(context.end_not_stored(job, name, &error)),
            }
        }
        self.due = None;
        Err(std::mem::take(&mut self.holders))
    }
}
