//! The files that `get` is to fetch: names and patterns that wait, in the order in which
//! they were typed, and how many jobs run for them at once.

use std::collections::{HashMap, VecDeque};

use crate::jobs::file_pattern::FilePattern;
use crate::jobs::job::Job;
use crate::jobs::job_step::{FinishedJob, JobResult};
use crate::jobs::task_result::TaskResult;
use crate::jobs::wanted_file::WantedFile;
use crate::protocol::{FileName, HashPrefix};

/// So many small files count as one: their nodes must not wait for requests while they are
/// saved.
const SMALL_FILES_PER_JOB: usize = 8;

/// The files that wait to be fetched, and the jobs that run.
pub struct GetQueue {
    /// Names, and patterns whose files are not known yet.
    patterns: VecDeque<(FilePattern, Option<HashPrefix>)>,
    /// The hash that belongs to the pattern whose files are being found.
    expanding: Option<Option<HashPrefix>>,
    /// The files of the patterns before.
    files: VecDeque<WantedFile>,
    /// Those that may not be started now, and how much each of them counts: those that are
    /// being fetched, because two jobs must not write one file, and those that were.
    started: HashMap<FileName<'static>, usize>,
    /// Whether a file may be fetched again.
    may_repeat: bool,
    /// Whether the disk is full, so that no further file is started.
    is_disk_full: bool,
    /// How much all of them count, and the jobs that find files.
    load: usize,
    /// The most that they may count.
    max_load: usize,
    /// How much a file counts that is not small.
    job_load: usize,
}

impl GetQueue {
    /// An empty queue that runs so many jobs at once; if several, more for small files.
    #[must_use]
    pub fn new(max_jobs: usize) -> Self {
        let job_load = match max_jobs {
            1 => 1,
            _ => SMALL_FILES_PER_JOB,
        };
        Self {
            patterns: VecDeque::new(),
            expanding: None,
            files: VecDeque::new(),
            started: HashMap::new(),
            may_repeat: true,
            is_disk_full: false,
            load: 0,
            max_load: max_jobs.saturating_mul(job_load),
            job_load,
        }
    }

    /// The same, but each file is fetched once only: words may overlap.
    #[must_use]
    pub fn without_repeats(self) -> Self {
        Self {
            may_repeat: false,
            ..self
        }
    }

    /// Appends a pattern; with a hash, only the content that has it is fetched.
    pub fn push(&mut self, pattern: FilePattern, hash: Option<HashPrefix>) {
        self.patterns.push_back((pattern, hash));
    }

    /// A file that is the next one to fetch. A full disk is tried again.
    pub fn push_front(&mut self, name: FileName<'static>, hash: Option<HashPrefix>) {
        self.is_disk_full = false;
        if self.started.get(&name) == Some(&0) {
            self.started.remove(&name);
        }
        self.files.push_front(WantedFile::new(name, hash));
    }

    /// Removes the files that wait.
    pub fn clear(&mut self) {
        self.patterns.clear();
        self.files.clear();
        self.is_disk_full = false;
    }

    /// How many names and patterns wait.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.patterns.len() + self.files.len()
    }

    /// The next name or pattern that waits, as the user has typed it.
    #[must_use]
    pub fn next_word(&self) -> Option<String> {
        let file = self.files.front().map(|file| file.name.to_string());
        file.or_else(|| {
            self.patterns
                .front()
                .map(|(pattern, _)| pattern.to_string())
        })
    }

    /// How many names and patterns wait or are being fetched.
    #[must_use]
    pub fn unfinished(&self) -> usize {
        let running = self.started.values().filter(|load| **load > 0).count();
        self.waiting() + running + usize::from(self.expanding.is_some())
    }

    /// Whether this file waits.
    #[must_use]
    pub fn contains(&self, name: &FileName<'_>) -> bool {
        let is_name = |pattern: &FilePattern| match pattern {
            FilePattern::Name(waiting) => waiting == name,
            _ => false,
        };
        self.patterns.iter().any(|(pattern, _)| is_name(pattern))
            || self.files.iter().any(|file| file.name == *name)
    }

    /// Whether the disk is full: what waits is not started until the queue is cleared.
    #[must_use]
    pub fn is_disk_full(&self) -> bool {
        self.is_disk_full
    }

    /// Whether no job runs, and none follows.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.load == 0 && (self.is_disk_full || self.waiting() == 0)
    }

    /// The next job to start, if one may run.
    pub fn next_job(&mut self) -> Option<Job> {
        if self.load >= self.max_load || self.is_disk_full {
            return None;
        }
        self.skip_repeats();
        let file = match self.files.pop_front() {
            Some(file) => file,
            None if self.expanding.is_some() => return None,
            None => match self.patterns.pop_front()? {
                (FilePattern::Name(name), hash) => WantedFile::new(name, hash),
                (pattern, hash) => {
                    self.expanding = Some(hash);
                    self.load += self.job_load;
                    return Some(Job::Expand(pattern));
                }
            },
        };
        let load = match file.is_small() {
            true => 1,
            false => self.job_load,
        };
        self.load += load;
        self.started.insert(file.name.clone(), load);
        Some(Job::GetFromKnownNodes(file))
    }

    /// Removes the next files that were started already.
    fn skip_repeats(&mut self) {
        let is_repeat = |name: &FileName<'static>| self.started.contains_key(name);
        let is_repeated_file = |file: &mut WantedFile| is_repeat(&file.name);
        while self.files.pop_front_if(is_repeated_file).is_some() {}
        if !self.files.is_empty() || self.expanding.is_some() {
            return;
        }
        let is_repeated_name = |(pattern, _): &mut (FilePattern, _)| match pattern {
            FilePattern::Name(name) => is_repeat(name),
            _ => false,
        };
        while self.patterns.pop_front_if(is_repeated_name).is_some() {}
    }

    /// A job is done. Takes the files that it has found.
    pub fn on_finished(&mut self, finished: &mut FinishedJob) {
        if let Some(name) = &finished.name {
            self.load -= match self.may_repeat {
                true => self.started.remove(name).unwrap_or_default(),
                false => self.started.get_mut(name).map_or(0, std::mem::take),
            };
        }
        if finished.is_expansion {
            self.load -= self.job_load;
            let hash = self.expanding.take().flatten();
            if let JobResult::Files(files) = &mut finished.result {
                let files = std::mem::take(files).into_iter();
                self.files
                    .extend(files.map(|file| WantedFile { hash, ..file }));
            }
        }
        self.is_disk_full |= finished.result == JobResult::Task(TaskResult::DiskFull);
        self.skip_repeats();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::wanted_file::ListedContent;
    use crate::protocol::FileItem;

    /// Two patterns for one file that is still being fetched when the second is expanded.
    #[test]
    fn a_file_that_is_being_fetched_is_not_started_again() {
        let name = FileName::parse("d/a").expect("a name").into_owned();
        let mut queue = GetQueue::new(8);
        for pattern in ["d/*", "d/**"] {
            queue.push(FilePattern::parse(pattern).expect("a pattern"), None);
        }
        let mut expanded = FinishedJob {
            name: None,
            is_expansion: true,
            may_be_incomplete: false,
            result: JobResult::Files(vec![WantedFile::new(name.clone(), None)]),
        };
        let mut again = expanded.clone();
        assert!(matches!(queue.next_job(), Some(Job::Expand(_))));
        assert!(queue.next_job().is_none(), "one pattern at a time");
        queue.on_finished(&mut expanded);
        assert!(matches!(queue.next_job(), Some(Job::GetFromKnownNodes(_))));
        assert!(matches!(queue.next_job(), Some(Job::Expand(_))));
        queue.on_finished(&mut again);
        assert!(queue.next_job().is_none());
        assert!(!queue.is_done());
        queue.on_finished(&mut FinishedJob {
            name: Some(name),
            is_expansion: false,
            may_be_incomplete: false,
            result: JobResult::Task(TaskResult::Success),
        });
        assert!(queue.is_done());
    }

    #[test]
    fn eight_small_files_count_as_one() {
        let file = |number: u32, size: u64| {
            let line = format!("{size} {} 1 {number}", "1".repeat(64));
            let item = FileItem::parse(&line).expect("an item");
            WantedFile {
                name: item.name.clone().into_owned(),
                hash: None,
                listed: ListedContent::new(&item),
                glob: None,
            }
        };
        let jobs = |max_jobs: usize, size: u64| {
            let mut queue = GetQueue::new(max_jobs);
            queue
                .files
                .extend((0..100).map(|number| file(number, size)));
            std::iter::from_fn(|| queue.next_job()).count()
        };
        assert_eq!([jobs(3, 64 * 1024), jobs(3, 64 * 1024 + 1)], [24, 3]);
        assert_eq!(jobs(1, 5), 1, "contents on stdout must not mix");
    }
}
