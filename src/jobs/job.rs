//! Jobs: the tasks that a user can start, and the state machines that perform them.
//! A job gets the result of its last step, and returns the next step.

use std::time::Instant;

use crate::close_reason::CloseReason;
use crate::jobs::expand::Expand;
use crate::jobs::failure::Failure;
use crate::jobs::fetch::Fetch;
use crate::jobs::file_pattern::FilePattern;
use crate::jobs::file_search::FileSearch;
use crate::jobs::ids::{JobId, RequestId};
use crate::jobs::job_context::JobContext;
use crate::jobs::job_step::{FinishedJob, JobResult, JobStep};
use crate::jobs::name_search::NameSearch;
use crate::jobs::relay_query::{Query, RelayAnswer};
use crate::jobs::show::Show;
use crate::jobs::task_result::TaskResult;
use crate::jobs::user::NamesCallback;
use crate::jobs::user_event::UserEvent;
use crate::jobs::wanted_file::WantedFile;
use crate::protocol::{FileItem, FileName, HashPrefix, NodeAddress};
use crate::session::requests::ResponsePart;

/// A job to start.
pub enum Job {
    /// Check that the relay is there, and list its nodes.
    CheckRelay,
    /// Show the relay's answer to a query.
    Show(Query),
    /// Show the files that a search finds.
    Search(FileSearch),
    /// Find the relay at which messages to this address arrive, or any that answers.
    FindRelay(NodeAddress),
    /// Fetch a file.
    Get(WantedFile),
    /// Likewise, from the nodes that were listed last, without another `LIST`.
    GetFromKnownNodes(WantedFile),
    /// Find the files that a pattern stands for.
    Expand(FilePattern),
    /// Collect file names that begin with a prefix. The user gets no report.
    FindNames(String, NamesCallback),
}

/// A job that is running. Each kind has a file of its own.
pub(super) enum ActiveJob {
    CheckRelay,
    FindRelay,
    Show(Show),
    Fetch(Box<Fetch>),
    Expand(Box<Expand>),
    FindNames(NameSearch),
}

impl ActiveJob {
    /// Starts a job: its state, and its first step.
    pub(super) fn start(
        context: &mut JobContext,
        id: JobId,
        job: Job,
        now: Instant,
    ) -> (Self, JobStep) {
        match job {
            Job::CheckRelay => (Self::CheckRelay, JobStep::Query(Query::Nodes)),
            Job::FindRelay(to) => (Self::FindRelay, JobStep::Query(Query::RelayOf(to))),
            Job::Search(search) => {
                let step = JobStep::Query(search.query());
                (Self::Show(Show::files(&search)), step)
            }
            Job::Show(query) => (Self::Show(Show::of(&query)), JobStep::Query(query)),
            Job::Get(file) if !context.is_direct => {
                let fetch = Fetch::new(id, file);
                (Self::Fetch(fetch.into()), JobStep::Query(Query::Nodes))
            }
            Job::Get(file) | Job::GetFromKnownNodes(file) => {
                let mut fetch = Fetch::new(id, file);
                let step = fetch.find_holders(context, now);
                (Self::Fetch(fetch.into()), step)
            }
            Job::Expand(pattern) => {
                let expand = Expand::new(pattern);
                let step = expand.start(context);
                (Self::Expand(expand.into()), step)
            }
            Job::FindNames(prefix, callback) => {
                // No name begins with a prefix that is no text.
                let query = Query::files(&prefix);
                let step = query.map_or(JobStep::FinishSilently, JobStep::Query);
                (Self::FindNames(NameSearch::new(prefix, callback)), step)
            }
        }
    }

    fn fetch(&self) -> Option<&Fetch> {
        match self {
            Self::Fetch(fetch) => Some(fetch),
            _ => None,
        }
    }

    /// The name of the file that it fetches.
    pub(super) fn fetched_name(&self) -> Option<&FileName<'static>> {
        self.fetch().map(|fetch| &fetch.name)
    }

    /// Whether it finds files or their holders. A message has a relay of its own.
    pub(super) fn finds_files(&self) -> bool {
        match self {
            Self::Show(show) => !show.is_message,
            Self::Fetch(_) | Self::Expand(_) => true,
            Self::CheckRelay | Self::FindRelay | Self::FindNames(_) => false,
        }
    }

    /// Whether it finds all files of a folder or a glob.
    pub(super) fn stands_for_several_files(&self) -> bool {
        match self {
            Self::Expand(expand) => match expand.pattern() {
                FilePattern::Name(_) | FilePattern::Announced(_) | FilePattern::Path(_) => false,
                FilePattern::Folder(_) | FilePattern::Glob(_) => true,
                FilePattern::All | FilePattern::WithHidden(_) => true,
            },
            _ => false,
        }
    }

    /// Describes the job, which has ended with this result.
    pub(super) fn finished(self, context: &mut JobContext, result: JobResult) -> FinishedJob {
        if let (Self::Fetch(fetch), JobResult::Task(TaskResult::Success)) = (&self, &result)
            && let Some(digits) = fetch.wanted.and_then(HashPrefix::few_digits)
        {
            let name = &fetch.name;
            context.user.on_event(UserEvent::FewDigits { name, digits });
        }
        FinishedJob {
            is_expansion: matches!(self, Self::Expand(_)),
            may_be_incomplete: false,
            name: match self {
                Self::Fetch(fetch) => Some(fetch.name),
                _ => None,
            },
            result,
        }
    }

    /// The relay lists a file. Returns whether more files are wanted.
    pub(super) fn on_file(&mut self, context: &mut JobContext, file: &FileItem<'_>) -> bool {
        match self {
            Self::Show(show) => show.on_file(context, file),
            Self::FindNames(search) => search.on_name(file.name.as_str()),
            Self::Fetch(fetch) => fetch.on_name(file.name.as_str()),
            Self::Expand(expand) => {
                expand.on_file(file);
                true
            }
            Self::CheckRelay | Self::FindRelay => true,
        }
    }

    /// A part of the response to a request has arrived.
    ///
    /// # Errors
    /// The response is none to this request: the connection is of no use any longer.
    pub(super) fn on_response(
        &mut self,
        context: &mut JobContext,
        id: RequestId,
        part: &ResponsePart<'_>,
        is_last: bool,
        now: Instant,
    ) -> Result<JobStep, CloseReason> {
        match self {
            Self::Fetch(fetch) => fetch.on_response(context, id, part, is_last, now),
            _ => Ok(JobStep::Wait),
        }
    }

    /// Whether the job still waits for the response to a request.
    pub(super) fn awaits(&self, id: RequestId) -> bool {
        self.fetch().is_some_and(|fetch| fetch.awaits(id))
    }

    /// The connection with a request has ended before the response was complete.
    pub(super) fn on_lost_request(
        &mut self,
        context: &mut JobContext,
        id: RequestId,
        reason: &CloseReason,
        now: Instant,
    ) -> JobStep {
        match self {
            Self::Fetch(fetch) => fetch.on_lost_request(context, id, reason, now),
            Self::CheckRelay
            | Self::FindRelay
            | Self::Show(_)
            | Self::Expand(_)
            | Self::FindNames(_) => JobStep::Wait,
        }
    }

    /// Goes on at its deadline.
    pub(super) fn on_timer(&mut self, context: &mut JobContext, now: Instant) -> JobStep {
        match self {
            Self::Fetch(fetch) => fetch.on_timer(context, now),
            Self::Expand(expand) => expand.on_timer(context, now),
            _ => JobStep::Wait,
        }
    }

    /// When [`ActiveJob::on_timer`] is due.
    pub(super) fn next_deadline(&self, context: &JobContext) -> Option<Instant> {
        match self {
            Self::Fetch(fetch) => fetch.next_deadline(context),
            Self::Expand(expand) => expand.next_deadline(),
            _ => None,
        }
    }

    /// The relay has answered a query of the job, or has failed to.
    pub(super) fn on_answer(
        &mut self,
        context: &mut JobContext,
        query: &Query,
        answer: Result<RelayAnswer, Failure<'_>>,
        now: Instant,
    ) -> JobStep {
        match (self, answer) {
            (Self::CheckRelay, Ok(RelayAnswer::Nodes(nodes))) => {
                context.set_nodes(nodes);
                TaskResult::Success.into()
            }
            (Self::FindRelay, Ok(RelayAnswer::Relay(relay))) => {
                JobStep::Finish(JobResult::Relay(relay))
            }
            (Self::FindRelay, answer) => {
                let failure = answer.err();
                let event = failure.as_ref().map(UserEvent::NotListening);
                event
                    .into_iter()
                    .for_each(|event| context.user.on_event(event));
                TaskResult::Relay.into()
            }
            (Self::CheckRelay, answer) => Show::default().on_answer(context, query, answer),
            (Self::Show(show), answer) => show.on_answer(context, query, answer),
            (Self::Fetch(fetch), answer) => fetch.on_answer(context, query, answer, now),
            (Self::Expand(expand), answer) => expand.on_answer(context, query, answer, now),
            (Self::FindNames(search), answer) => search.finish(answer.is_ok()),
        }
    }
}
