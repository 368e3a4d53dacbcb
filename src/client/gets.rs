//! The files that a client fetches: one command at a time, with several jobs.

use crate::client::Client;
use crate::jobs::{FilePattern, GetQueue, Job, PromptKind, UserEvent};
use crate::protocol::{FileName, HashPrefix};
use crate::role::Context;

/// The most names of a list that wait: the list may be endless.
const MAX_WAITING: usize = 1000;

impl Client {
    /// Files that are saved are fetched so many at once.
    pub fn set_max_downloads(&mut self, max_downloads: usize) {
        self.max_downloads = max_downloads;
    }

    /// The files of the task are saved, not printed.
    pub fn set_saves_files(&mut self) {
        self.saves_files = true;
    }

    /// Files wait for the list of nodes, and while the user has a choice to make.
    pub(super) fn next_queued_job(&mut self) -> Option<Job> {
        let has_choice = self.choices.prompt_kind() == PromptKind::Choice;
        match self.awaits_nodes || has_choice {
            true => None,
            false => self.queue.next_job(),
        }
    }

    pub(super) fn finish_batch(&mut self) {
        if std::mem::take(&mut self.is_batch) {
            let unfetched = self.queue.unfinished();
            let event = UserEvent::BatchFinished { unfetched };
            self.jobs.user().on_event(event);
        }
    }

    /// The user has interrupted the program. `unreported` are the names of jobs that have reported
    /// nothing. The summary of a batch counts them, too.
    pub(super) fn report_interrupt(&mut self, mut unreported: Vec<String>) {
        if self.is_batch {
            return;
        }
        // Nothing is fetched before the list of nodes has come.
        if self.awaits_nodes {
            unreported.extend(self.queue.next_word());
        }
        for word in &unreported {
            let event = UserEvent::Interrupted { word };
            self.jobs.user().on_event(event);
        }
    }

    /// Fetches files, after the relay has listed its nodes.
    pub(super) fn start_gets(
        &mut self,
        context: &mut Context<'_, Self>,
        patterns: Vec<FilePattern>,
        hash: Option<HashPrefix>,
        saves_files: bool,
    ) {
        let is_one_file =
            |pattern: &&FilePattern| matches!(pattern, FilePattern::Name(_) | FilePattern::Path(_));
        let files = patterns.iter().filter(is_one_file).count();
        self.is_batch = saves_files && (patterns.len() > 1 || files == 0);
        if self.is_batch {
            let event = UserEvent::BatchStarted { files };
            self.jobs.user().on_event(event);
        }
        let queue = match saves_files {
            true => GetQueue::new(self.max_downloads).without_repeats(),
            false => GetQueue::new(1),
        };
        self.replace_queue(context, queue);
        for pattern in patterns {
            self.queue.push(pattern, hash);
        }
        self.awaits_nodes = true;
        self.start_job(context, Job::CheckRelay);
    }

    /// Fetches the files of a list of names, many at once, while the list is being read.
    pub(super) fn start_list(&mut self, context: &mut Context<'_, Self>) {
        self.is_batch = true;
        let event = UserEvent::BatchStarted { files: 0 };
        self.jobs.user().on_event(event);
        let queue = GetQueue::new(self.max_downloads).without_repeats();
        self.replace_queue(context, queue);
        self.awaits_nodes = true;
        self.start_job(context, Job::CheckRelay);
        self.prompt();
    }

    /// Another queue. A queue counts its own jobs only, so those of the one before are broken
    /// off.
    fn replace_queue(&mut self, context: &mut Context<'_, Self>, queue: GetQueue) {
        self.jobs.cancel_all(context.out);
        self.queue = queue;
    }

    /// The next name of the list.
    pub(super) fn add_to_list(
        &mut self,
        context: &mut Context<'_, Self>,
        name: FileName<'static>,
        hash: Option<HashPrefix>,
    ) {
        let event = UserEvent::BatchGrown { files: 1 };
        self.jobs.user().on_event(event);
        self.queue.push(FilePattern::Name(name), hash);
        self.take_finished_jobs(context);
        self.continue_list(context);
    }

    /// The list is read to its end.
    pub(super) fn end_list(&mut self, context: &mut Context<'_, Self>) {
        self.has_whole_list = true;
        self.continue_list(context);
    }

    /// Reads the next name if there is room for it. Ends after the last file.
    pub(super) fn continue_list(&mut self, context: &mut Context<'_, Self>) {
        let is_last = self.has_whole_list || self.queue.is_disk_full();
        if is_last && self.queue.is_done() {
            self.finish_batch();
            context.out.stop_loop();
        } else if !is_last && self.queue.waiting() < MAX_WAITING {
            self.prompt();
        }
    }
}
