//! What a fetch does when no node has sent the file.

use std::time::Instant;

use crate::jobs::fetch::Fetch;
use crate::jobs::job_context::JobContext;
use crate::jobs::job_step::JobStep;
use crate::jobs::left_out_files::LeftOutFiles;
use crate::jobs::relay_query::Query;
use crate::jobs::similar_names::SimilarNames;
use crate::jobs::task_result::TaskResult;
use crate::jobs::user_event::UserEvent;

impl Fetch {
    /// No node has sent the file. If it does not exist, the name may be mistyped.
    pub(super) fn give_up(&mut self, context: &mut JobContext, now: Instant) -> JobStep {
        if std::mem::take(&mut self.is_from_list) {
            // The file has changed since it was listed.
            (self.failures, self.has_wrong_content) = (0, false);
            return JobStep::Query(Query::Holders(self.name.clone()));
        }
        if self.waits(context, now) {
            return JobStep::Wait;
        }
        let may_search = context.may_choose || context.similar_searches > 0;
        match Query::files(self.name.as_str()) {
            Ok(query) if self.nodes > 0 && !self.exists && may_search && self.glob.is_none() => {
                context.similar_searches = context.similar_searches.saturating_sub(1);
                self.similar = Some(SimilarNames::new(self.name.as_str()));
                JobStep::Query(query)
            }
            _ => self.report_missing(context),
        }
    }

    pub(super) fn report_missing(&mut self, context: &mut JobContext) -> JobStep {
        if let Some((count, error)) = &self.no_space
            && *count == self.failures
        {
            let name = &self.name;
            context.user.on_event(UserEvent::StoreError { name, error });
            return TaskResult::StoreError.into();
        }
        if let Some(part) = &self.stored_part {
            let event = UserEvent::failed_with_part(&self.name, part);
            context.user.on_event(event);
            return match self.has_wrong_content {
                true => TaskResult::SeveralContents.into(),
                false => TaskResult::Incomplete.into(),
            };
        }
        if let Some(glob) = self.glob.as_deref()
            && self.failures == 0
            && self.nodes > 0
        {
            context.user.on_event(UserEvent::Expanded {
                pattern: &glob.pattern,
                files: 0,
                bytes: 0,
                left_out: LeftOutFiles::default(),
                similar: &[],
                deeper: glob.deeper.as_ref(),
            });
            return TaskResult::NotFound.into();
        }
        let similar = self.similar.as_ref();
        context.user.on_event(UserEvent::Missing {
            name: &self.name,
            nodes: self.nodes,
            failed: self.failures,
            untried: self.candidates.len(),
            similar: similar.map_or(&[], SimilarNames::names),
        });
        match self.failures {
            0 => TaskResult::NotFound.into(),
            _ if self.has_wrong_content => TaskResult::SeveralContents.into(),
            _ => TaskResult::NodesFailed.into(),
        }
    }
}
