//! The job that finds the files that a pattern stands for: it searches the relay's index
//! for a text that all of them contain, and tests each name that the relay lists.

use crate::jobs::failure::Failure;
use crate::jobs::file_pattern::{FilePattern, NameMatcher};
use crate::jobs::job::{JobContext, JobResult, JobStep, TaskResult};
use crate::jobs::relay_query::{Query, RelayAnswer};
use crate::jobs::user::UserEvent;
use crate::protocol::{FileItem, FileName};

/// Collects the files that a pattern stands for.
pub(super) struct Expand {
    pattern: FilePattern,
    matcher: NameMatcher,
    /// Each name once, although a name may have several contents.
    names: Vec<FileName<'static>>,
    bytes: u64,
    /// A file whose name is the very word that was typed.
    exact: Option<(FileName<'static>, u64)>,
}

impl Expand {
    pub(super) fn new(pattern: FilePattern) -> Self {
        Self {
            matcher: pattern.matcher(),
            pattern,
            names: Vec::new(),
            bytes: 0,
            exact: None,
        }
    }

    pub(super) fn start(&self, context: &mut JobContext) -> JobStep {
        match Query::files(&self.pattern.search_text()) {
            Ok(query) => JobStep::Query(query),
            Err(error) => {
                let text = format!("{}: {error}", self.pattern);
                context.user.on_event(UserEvent::InvalidCommand(&text));
                TaskResult::Usage.into()
            }
        }
    }

    pub(super) fn on_file(&mut self, file: &FileItem<'_>) {
        if self.names.last() == Some(&file.name) {
            return;
        }
        if file.name.as_str() == self.pattern.as_str() {
            self.exact = Some((file.name.clone().into_owned(), file.size));
        }
        if self.matcher.is_match(file.name.as_str()) {
            self.names.push(file.name.clone().into_owned());
            self.bytes += file.size;
        }
    }

    pub(super) fn on_answer(
        &mut self,
        context: &mut JobContext,
        query: &Query,
        answer: Result<RelayAnswer, Failure<'_>>,
    ) -> JobStep {
        if let Err(failure) = &answer {
            context.report_failed_query(query, failure);
            return TaskResult::Relay.into();
        }
        if let Some((name, size)) = self.exact.take() {
            (self.names, self.bytes) = (vec![name], size);
        }
        let names = match (std::mem::take(&mut self.names), &self.pattern) {
            // Nodes that announce nothing may have a file of that very name.
            (names, FilePattern::Glob(glob)) if names.is_empty() => {
                let name = FileName::parse(glob.glob());
                name.map_or(names, |name| vec![name.into_owned()])
            }
            (names, _) => names,
        };
        context.user.on_event(UserEvent::Expanded {
            pattern: &self.pattern,
            files: names.len(),
            bytes: self.bytes,
        });
        match names.is_empty() {
            true => TaskResult::NotFound.into(),
            false => JobStep::Finish(JobResult::Files(names)),
        }
    }
}
