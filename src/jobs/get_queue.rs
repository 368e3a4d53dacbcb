//! The files that `get` is to fetch: names and patterns that wait, in the order in which
//! they were typed, and how many jobs run for them at once.

use std::collections::{BTreeSet, VecDeque};

use crate::jobs::file_pattern::FilePattern;
use crate::jobs::job::{FinishedJob, Job, JobResult};
use crate::protocol::{FileName, HashPrefix};

/// The files that wait to be fetched, and the number of jobs that run.
pub struct GetQueue {
    /// Names, and patterns whose files are not known yet.
    patterns: VecDeque<(FilePattern, Option<HashPrefix>)>,
    /// The hash that belongs to the pattern whose files are being found.
    expanding: Option<Option<HashPrefix>>,
    /// The files of the patterns before.
    files: VecDeque<(FileName<'static>, Option<HashPrefix>)>,
    /// Those that were started, if none is fetched twice.
    started: Option<BTreeSet<(FileName<'static>, Option<HashPrefix>)>>,
    running: usize,
    /// The most jobs at once.
    max_jobs: usize,
}

impl GetQueue {
    /// An empty queue that runs so many jobs at once.
    #[must_use]
    pub fn new(max_jobs: usize) -> Self {
        Self {
            patterns: VecDeque::new(),
            expanding: None,
            files: VecDeque::new(),
            started: None,
            running: 0,
            max_jobs,
        }
    }

    /// The same, but each file is fetched once only: words may overlap, and two jobs would
    /// write one file.
    #[must_use]
    pub fn without_repeats(self) -> Self {
        Self {
            started: Some(BTreeSet::new()),
            ..self
        }
    }

    /// Appends a pattern; with a hash, only the content that has it is fetched.
    pub fn push(&mut self, pattern: FilePattern, hash: Option<HashPrefix>) {
        self.patterns.push_back((pattern, hash));
    }

    /// A file that is the next one to fetch.
    pub fn push_front(&mut self, name: FileName<'static>, hash: Option<HashPrefix>) {
        self.files.push_front((name, hash));
    }

    /// Removes the files that wait.
    pub fn clear(&mut self) {
        self.patterns.clear();
        self.files.clear();
    }

    /// How many names and patterns wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.patterns.len() + self.files.len()
    }

    /// Whether this file waits.
    #[must_use]
    pub fn contains(&self, name: &FileName<'_>) -> bool {
        let is_name = |pattern: &FilePattern| match pattern {
            FilePattern::Name(waiting) => waiting == name,
            _ => false,
        };
        self.patterns.iter().any(|(pattern, _)| is_name(pattern))
            || self.files.iter().any(|(waiting, _)| waiting == name)
    }

    /// Whether nothing waits and no job runs.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.running == 0 && self.waiting() == 0
    }

    /// The next job to start, if one may run.
    pub fn next_job(&mut self) -> Option<Job> {
        if self.running >= self.max_jobs {
            return None;
        }
        self.skip_repeats();
        let job = match self.files.pop_front() {
            Some((name, hash)) => Job::GetFromKnownNodes(name, hash),
            None if self.expanding.is_some() => return None,
            None => match self.patterns.pop_front()? {
                (FilePattern::Name(name), hash) => Job::GetFromKnownNodes(name, hash),
                (pattern, hash) => {
                    self.expanding = Some(hash);
                    Job::Expand(pattern)
                }
            },
        };
        if let (Some(started), Job::GetFromKnownNodes(name, hash)) = (&mut self.started, &job) {
            started.insert((name.clone(), *hash));
        }
        self.running += 1;
        Some(job)
    }

    /// Removes the next files that were started already.
    fn skip_repeats(&mut self) {
        let Some(started) = &self.started else {
            return;
        };
        while self
            .files
            .pop_front_if(|file| started.contains(file))
            .is_some()
        {}
        if !self.files.is_empty() || self.expanding.is_some() {
            return;
        }
        let is_repeat = |(pattern, hash): &mut (FilePattern, Option<HashPrefix>)| match pattern {
            FilePattern::Name(name) => started.contains(&(name.clone(), *hash)),
            _ => false,
        };
        while self.patterns.pop_front_if(is_repeat).is_some() {}
    }

    /// A job is done. Takes the files that it has found.
    pub fn on_finished(&mut self, finished: &mut FinishedJob) {
        if !finished.is_fetch {
            return;
        }
        self.running = self.running.saturating_sub(1);
        if finished.is_expansion {
            let hash = self.expanding.take().flatten();
            if let JobResult::Files(names) = &mut finished.result {
                let files = std::mem::take(names).into_iter().map(|name| (name, hash));
                self.files.extend(files);
            }
        }
        self.skip_repeats();
    }
}
