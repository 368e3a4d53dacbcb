//! The job that shows the user the relay's answer to a query.

use crate::jobs::content::{StoreError, StoreErrorKind};
use crate::jobs::failure::Failure;
use crate::jobs::file_pattern::NameMatcher;
use crate::jobs::file_search::FileSearch;
use crate::jobs::job_context::JobContext;
use crate::jobs::job_step::{JobResult, JobStep};
use crate::jobs::relay_query::{Query, RelayAnswer};
use crate::jobs::task_result::TaskResult;
use crate::jobs::user::Listing;
use crate::jobs::user_event::UserEvent;
use crate::protocol::{ErrorCode, FileItem};

/// Shows the files of a list as they come, and everything else at the end.
#[derive(Default)]
pub(super) struct Show {
    shown_files: u64,
    /// Tests the names of files, if not all are shown.
    matcher: Option<NameMatcher>,
    /// Whether whole hashes are shown.
    is_long: bool,
    /// Whether the query sends a message.
    pub(super) is_message: bool,
    /// Why a file could not be shown.
    error: Option<StoreError>,
}

impl Show {
    /// Shows the answer to this query.
    pub(super) fn of(query: &Query) -> Self {
        Self {
            is_message: matches!(query, Query::Message(..)),
            ..Self::default()
        }
    }

    pub(super) fn files(search: &FileSearch) -> Self {
        Self {
            matcher: search.matcher(),
            is_long: search.is_long,
            ..Self::default()
        }
    }

    pub(super) fn on_file(&mut self, context: &mut JobContext, file: &FileItem<'_>) -> bool {
        let mut matchers = self.matcher.iter();
        if !matchers.all(|matcher| matcher.is_match(file.name.as_str())) {
            return true;
        }
        self.shown_files += 1;
        let is_long = self.is_long;
        self.error = context.user.show(Listing::File { file, is_long }).err();
        self.error.is_none()
    }

    pub(super) fn on_answer(
        &mut self,
        context: &mut JobContext,
        query: &Query,
        answer: Result<RelayAnswer, Failure<'_>>,
    ) -> JobStep {
        let user = &mut context.user;
        let has_text = matches!(query, Query::Files(text) if !text.is_empty());
        let is_search = has_text || self.matcher.is_some();
        let shown = match (answer, self.error.take()) {
            (Err(failure), _) => {
                if let Query::Files(_) = query {
                    // Files that came are shown before the failure is reported. If they
                    // cannot be shown, the failure still can be reported.
                    let _ = user.show(Listing::Truncated);
                }
                context.report_failed_query(query, &failure);
                return match (query, failure) {
                    (Query::Message(..), Failure::Error(ErrorCode::NO_SUCH_NODE, _)) => {
                        TaskResult::NotFound.into()
                    }
                    _ => TaskResult::Relay.into(),
                };
            }
            (Ok(_), Some(error)) => Err(error),
            (Ok(RelayAnswer::Nodes(nodes)), _) => {
                if nodes.is_empty() {
                    user.on_event(UserEvent::NoResult(no_node(query)));
                }
                user.show(Listing::Nodes(&nodes))
            }
            (Ok(RelayAnswer::Holders(holders)), _) if holders.is_empty() => {
                user.on_event(UserEvent::RelayFailed(query, &Failure::NoHolder));
                return TaskResult::NotFound.into();
            }
            (Ok(RelayAnswer::Holders(holders)), _) => user.show(Listing::Holders(&holders)),
            (Ok(RelayAnswer::EndOfFiles), _) if is_search && self.shown_files == 0 => {
                user.on_event(UserEvent::NoResult("no file matches"));
                return TaskResult::NotFound.into();
            }
            (Ok(RelayAnswer::EndOfFiles), _) => user.show(Listing::EndOfFiles(self.shown_files)),
            (Ok(RelayAnswer::Relay(_)), _) => Ok(()),
            (Ok(RelayAnswer::Sent), _) => {
                // Who receives messages does not send them by a query.
                let can_be_answered = false;
                user.on_event(UserEvent::MessageSent { can_be_answered });
                Ok(())
            }
        };
        match shown {
            Ok(()) => TaskResult::Success.into(),
            Err(error) => {
                user.on_event(UserEvent::NotShown(&error));
                match error.kind {
                    StoreErrorKind::ReaderGone => JobStep::Finish(JobResult::ReaderGone),
                    _ => TaskResult::StoreError.into(),
                }
            }
        }
    }
}

/// Says that a list of nodes is empty.
fn no_node(query: &Query) -> &'static str {
    match query {
        Query::Listeners => "nobody listens",
        _ => "no node is registered",
    }
}
