//! The job that finds the files that a pattern stands for: it searches the relay's index
//! for a text that all of them contain, and tests each name that the relay lists.

use std::time::Instant;

use crate::jobs::failure::Failure;
use crate::jobs::file_pattern::{FilePattern, NameMatcher, last_part};
use crate::jobs::hidden_names::HiddenNames;
use crate::jobs::job_context::JobContext;
use crate::jobs::job_step::{JobResult, JobStep};
use crate::jobs::left_out_files::LeftOutFiles;
use crate::jobs::relay_query::{Query, RelayAnswer};
use crate::jobs::task_result::TaskResult;
use crate::jobs::user_event::UserEvent;
use crate::jobs::wait::Wait;
use crate::jobs::wanted_file::{ListedContent, UnmatchedGlob, WantedFile};
use crate::protocol::{FileItem, FileName, fold};

/// The most folders of a similar name that are told.
const MAX_SIMILAR: usize = 4;

/// Collects the files that a pattern stands for. One of them may have the very name that
/// was typed, such as `a[1].txt`: it hides no other, because anybody can announce it.
pub(super) struct Expand {
    pattern: FilePattern,
    matcher: NameMatcher,
    hidden_names: HiddenNames,
    /// The files that were left out, and the last of them.
    left_out: LeftOutFiles,
    last_left_out: Option<FileName<'static>>,
    /// Each name once, although a name may have several contents.
    files: Vec<WantedFile>,
    bytes: u64,
    /// The glob that also matches in deeper folders, until it has matched.
    untested: Option<(FilePattern, NameMatcher)>,
    /// That glob, if it has matched.
    deeper: Option<FilePattern>,
    /// Announced folders whose names differ from the wanted one only in case or composition.
    similar: Vec<String>,
    wait: Wait,
}

impl Expand {
    /// What the user has typed.
    pub(super) fn pattern(&self) -> &FilePattern {
        &self.pattern
    }

    pub(super) fn new(pattern: FilePattern) -> Self {
        let hidden_names = HiddenNames::of(&pattern);
        let pattern = match pattern {
            FilePattern::WithHidden(pattern) => *pattern,
            pattern => pattern,
        };
        Self {
            matcher: pattern.matcher(),
            untested: pattern
                .with_subfolders()
                .map(|deeper| (deeper.clone(), deeper.matcher())),
            deeper: None,
            pattern,
            hidden_names,
            left_out: LeftOutFiles::default(),
            last_left_out: None,
            files: Vec::new(),
            bytes: 0,
            similar: Vec::new(),
            wait: Wait::default(),
        }
    }

    pub(super) fn start(&self, context: &mut JobContext) -> JobStep {
        match Query::files(&self.pattern.search_text()) {
            Ok(query) => JobStep::Query(query),
            Err(error) => {
                let text = format!("{}: {error}", self.pattern);
                context.user.on_event(UserEvent::InvalidName(&text));
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
        let name = file.name.as_str();
        let is_typed = name == self.pattern.as_str();
        let is_part_file = file.name.is_part_file();
        if is_typed || self.matcher.is_match(name) {
            if is_part_file || !(is_typed || self.hidden_names.include(name)) {
                return self.leave_out(&file.name);
            }
            self.files.push(WantedFile {
                name: file.name.clone().into_owned(),
                hash: None,
                listed: ListedContent::new(file),
                glob: None,
            });
            self.bytes = self.bytes.saturating_add(file.size);
        } else if self.files.is_empty() && !is_part_file {
            let deeper = self.untested.take_if(|(_, deeper)| deeper.is_match(name));
            self.deeper = self.deeper.take().or(deeper.map(|(deeper, _)| deeper));
            self.add_similar(name);
        }
    }

    fn leave_out(&mut self, name: &FileName<'_>) {
        if self.last_left_out.as_ref() != Some(name) {
            match name.is_part_file() {
                true => self.left_out.part_files += 1,
                false => self.left_out.hidden += 1,
            }
            self.last_left_out = Some(name.clone().into_owned());
        }
    }

    /// Takes the folder of a name if the wanted folder is a similar one.
    fn add_similar(&mut self, name: &str) {
        let FilePattern::Folder(wanted) = &self.pattern else {
            return;
        };
        let depth = wanted.matches('/').count();
        if let Some((end, _)) = name.match_indices('/').nth(depth - 1)
            && let folder = &name[..=end]
            && fold(folder) == fold(wanted)
            && self.similar.len() < MAX_SIMILAR
            && self.similar.last().is_none_or(|last| last != folder)
        {
            self.similar.push(folder.to_owned());
        }
    }

    fn file_named_as_glob(&self, name: FileName<'static>) -> WantedFile {
        let glob = UnmatchedGlob {
            pattern: self.pattern.clone(),
            deeper: self.deeper.clone(),
        };
        WantedFile {
            glob: Some(glob.into()),
            ..WantedFile::new(name, None)
        }
    }

    /// When to call [`Expand::on_timer`].
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.wait.due
    }

    /// Looks for files again, if its time has come.
    pub(super) fn on_timer(&mut self, context: &mut JobContext, now: Instant) -> JobStep {
        match self.wait.is_due(now) {
            true if context.is_direct => self.start(context),
            // The node that announces such a file may be a new one.
            true => JobStep::Query(Query::Nodes),
            false => JobStep::Wait,
        }
    }

    pub(super) fn on_answer(
        &mut self,
        context: &mut JobContext,
        query: &Query,
        answer: Result<RelayAnswer, Failure<'_>>,
        now: Instant,
    ) -> JobStep {
        let left_out = std::mem::take(&mut self.left_out);
        self.last_left_out = None;
        let why = || format!("{}: no node has announced such a file", self.pattern);
        if self.files.is_empty() && !matches!(answer, Ok(RelayAnswer::Nodes(_))) {
            // An announced folder of a similar name is the one that is meant.
            let may_come = self.similar.is_empty() && (answer.is_ok() || self.wait.has_started());
            if may_come && self.wait.goes_on(context, why, now) {
                return JobStep::Wait;
            }
        }
        if let Ok(RelayAnswer::Nodes(nodes)) = answer {
            if !context.nodes.is_list_of(&nodes) {
                context.set_nodes(nodes);
            }
            return self.start(context);
        }
        if let Err(failure) = &answer {
            context.report_failed_query(query, failure);
            return TaskResult::Relay.into();
        }
        let files = std::mem::take(&mut self.files);
        if let FilePattern::Path(path) = &self.pattern
            && !(files.is_empty() && self.wait.has_started())
        {
            return one_of_path(path, files);
        }
        if let FilePattern::Glob(glob) = &self.pattern
            && files.is_empty()
            && left_out.is_empty()
            && !self.wait.has_started()
            && let Ok(name) = FileName::parse(glob.as_str())
        {
            // Nodes that announce nothing may have a file of that very name.
            let file = self.file_named_as_glob(name.into_owned());
            context.user.on_event(UserEvent::BatchGrown { files: 1 });
            return JobStep::Finish(JobResult::Files(vec![file]));
        }
        context.user.on_event(UserEvent::Expanded {
            pattern: &self.pattern,
            files: files.len(),
            bytes: self.bytes,
            left_out,
            similar: &self.similar,
            deeper: self.deeper.as_ref(),
        });
        match files.is_empty() {
            true => TaskResult::NotFound.into(),
            false => JobStep::Finish(JobResult::Files(files)),
        }
    }
}

/// Of the announced files whose names are an end of the path, the one with the longest name;
/// without any, a file of its last part.
fn one_of_path(path: &str, files: Vec<WantedFile>) -> JobStep {
    let files = files.into_iter();
    let longest = files.max_by_key(|file| file.name.as_str().len());
    let name = FileName::parse(last_part(path)).map(FileName::into_owned);
    let file = longest.or_else(|| Some(WantedFile::new(name.ok()?, None)));
    match file {
        Some(file) => JobStep::Finish(JobResult::Files(vec![file])),
        None => TaskResult::NotFound.into(),
    }
}
