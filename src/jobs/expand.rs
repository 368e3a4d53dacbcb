//! The job that finds the files that a pattern stands for: it searches the relay's index
//! for a text that all of them contain, and tests each name that the relay lists.

use crate::jobs::failure::Failure;
use crate::jobs::file_pattern::{FilePattern, NameMatcher};
use crate::jobs::job::{JobContext, JobResult, JobStep, TaskResult};
use crate::jobs::relay_query::{Query, RelayAnswer};
use crate::jobs::user_event::UserEvent;
use crate::jobs::wanted_file::{ListedContent, WantedFile};
use crate::protocol::{FileItem, FileName};

/// Collects the files that a pattern stands for. One of them may have the very name that
/// was typed, such as `a[1].txt`: it hides no other, because anybody can announce it.
pub(super) struct Expand {
    pattern: FilePattern,
    matcher: NameMatcher,
    /// Each name once, although a name may have several contents.
    files: Vec<WantedFile>,
    bytes: u64,
}

impl Expand {
    pub(super) fn new(pattern: FilePattern) -> Self {
        Self {
            matcher: pattern.matcher(),
            pattern,
            files: Vec::new(),
            bytes: 0,
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
        if let Some(last) = self.files.last_mut()
            && last.name == file.name
        {
            last.listed = None;
            return;
        }
        // Honest nodes share no unfinished files, and none is saved.
        if file.name.is_part_file() {
            return;
        }
        let name = file.name.as_str();
        if name == self.pattern.as_str() || self.matcher.is_match(name) {
            self.files.push(WantedFile {
                name: file.name.clone().into_owned(),
                hash: None,
                listed: ListedContent::new(file),
            });
            self.bytes = self.bytes.saturating_add(file.size);
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
        let files = match (std::mem::take(&mut self.files), &self.pattern) {
            // Nodes that announce nothing may have a file of that very name.
            (files, FilePattern::Glob(glob)) if files.is_empty() => {
                let name = FileName::parse(glob.as_str());
                name.map_or(files, |name| vec![WantedFile::new(name.into_owned(), None)])
            }
            (files, _) => files,
        };
        context.user.on_event(UserEvent::Expanded {
            pattern: &self.pattern,
            files: files.len(),
            bytes: self.bytes,
        });
        match files.is_empty() {
            true => TaskResult::NotFound.into(),
            false => JobStep::Finish(JobResult::Files(files)),
        }
    }
}
