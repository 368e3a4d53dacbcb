//! How jobs are broken off.

use std::time::Instant;

use crate::jobs::content::PartialContent;
use crate::jobs::download_status::DownloadStatus;
use crate::jobs::ids::JobId;
use crate::jobs::job::ActiveJob;
use crate::jobs::job_step::JobResult;
use crate::jobs::piece_download::PieceDownload;
use crate::jobs::runner::JobRunner;
use crate::jobs::task_result::TaskResult;
use crate::jobs::user_event::UserEvent;
use crate::role::{Output, Role};

impl JobRunner {
    /// Breaks off all jobs: the program ends. Returns the names and patterns of which the user
    /// knows nothing, because nothing was printed or kept.
    pub fn abort(&mut self) -> Vec<String> {
        let ids = self.jobs.keys().copied().collect::<Vec<_>>();
        let unreported = ids
            .into_iter()
            .filter(|id| !self.keep(*id))
            .collect::<Vec<_>>();
        let word = |id| match self.jobs.get(&id)? {
            ActiveJob::Fetch(fetch) => Some(fetch.name.to_string()),
            ActiveJob::Expand(expand) => Some(expand.pattern().to_string()),
            _ => None,
        };
        let words = unreported.into_iter().filter_map(word).collect();
        self.jobs.clear();
        words
    }

    /// The files that are being fetched.
    pub fn downloads(&self, now: Instant) -> impl Iterator<Item = DownloadStatus> {
        self.jobs.iter().filter_map(move |(id, job)| match job {
            ActiveJob::Fetch(fetch) => Some(DownloadStatus {
                number: id.0,
                name: fetch.name.clone(),
                transfer: fetch.status(now),
            }),
            _ => None,
        })
    }

    /// Breaks off the download of this number. Returns whether there is one.
    pub fn cancel<R: Role>(&mut self, out: &mut Output<R>, number: u64) -> bool {
        let id = JobId(number);
        if !matches!(self.jobs.get(&id), Some(ActiveJob::Fetch(_))) {
            return false;
        }
        self.keep(id);
        let result = JobResult::Task(TaskResult::Interrupted);
        let job = self.jobs.remove(&id);
        self.context.partial_revision += 1;
        let finished = job.map(|job| job.finished(&mut self.context, result));
        self.finished.extend(finished);
        self.forget_queries(|job| job == id);
        self.context
            .pool
            .cancel(|request| request.job == id, None, out);
        true
    }

    /// Breaks off all jobs. They have no results.
    pub fn cancel_all<R: Role>(&mut self, out: &mut Output<R>) {
        self.abort();
        self.finished.clear();
        self.forget_queries(|_| true);
        self.context.pool.cancel(|_| true, None, out);
    }

    /// Nobody waits for the queries of these jobs any longer.
    pub(super) fn forget_queries(&mut self, is_over: impl Fn(JobId) -> bool) {
        self.open_queries.retain(|_, open| !is_over(open.job));
        self.queries.retain(|request, _| !is_over(request.job));
    }

    /// Breaks off a job. Returns whether the user is told what stays of its file.
    pub(super) fn keep(&mut self, id: JobId) -> bool {
        let Some(ActiveJob::Fetch(fetch)) = self.jobs.get(&id) else {
            return false;
        };
        let (name, user) = (&fetch.name, &mut self.context.user);
        match (&user.keep(id), fetch.size()) {
            (PartialContent::Stored(part), _) => {
                user.on_event(UserEvent::part_stored(name, part));
            }
            (PartialContent::Printed(shown), Some(size)) => {
                let shown = *shown;
                user.on_event(UserEvent::Incomplete { name, shown, size });
            }
            _ if user.stores_times() && fetch.has_source_without_hash() => {
                user.on_event(UserEvent::NoPartStored {
                    name,
                    hash_is_known: false,
                });
            }
            _ if user.stores_times()
                && fetch
                    .download()
                    .is_some_and(PieceDownload::has_part_of_piece) =>
            {
                user.on_event(UserEvent::NoPartStored {
                    name,
                    hash_is_known: true,
                });
            }
            _ => return false,
        }
        true
    }
}
