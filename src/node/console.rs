//! The node's console: the commands of the client's prompt, typed at a running node.
//! Queries are answered one at a time. Several files are downloaded into the share
//! at once, while the node serves files and the user types the next command.

use std::collections::VecDeque;
use std::net::SocketAddr;

use crate::close_reason::CloseReason;
use crate::counted::Counted;
use crate::jobs::{
    ChoiceResult, Choices, FinishedJob, Job, JobConnection, JobResult, JobRunner, NamesCallback,
    PromptCommand, Query, RunsJobs, User, UserEvent,
};
use crate::node::console_commands::ConsoleCommand;
use crate::protocol::{ContentHash, FileName, NodeAddress};
use crate::role::{Input, ReadNext};
use crate::session::connector::Connector;

/// The most queued downloads. When the queue is full, the prompt waits.
const MAX_QUEUED: usize = 1000;

/// The reply to `help` at the console.
pub const HELP: &str = "\
NAME        fetch the file NAME into the shared folder
get NAME    the same, for a name that starts like a command
get --hash HASH NAME
            fetch the content with this hash
share PATH  share a file, or a folder with all its files, without copying it
unshare NAME
            stop sharing NAME; no file is deleted
ls          list all files that the nodes have announced
search TEXT list the files whose names contain TEXT
find NAME   list the nodes that have the file NAME
nodes       list the nodes that are registered with the relay
send IP PORT TEXT
            send a message to this address
reply TEXT  send a message to the sender of the last message
help        list the commands
quit        stop the node";

/// Executes the commands that a person or a program types at a node.
pub struct Console {
    jobs: JobRunner,
    choices: Choices,
    /// The most concurrent downloads.
    max_downloads: usize,
    /// Downloads that start when others have ended.
    queued: VecDeque<(FileName<'static>, Option<ContentHash>)>,
    /// Whether the prompt is due once the queue has room.
    is_prompt_due: bool,
}

impl Console {
    /// A console for `user`, who can choose between files if `may_choose` is set.
    /// `relay` is not empty.
    #[must_use]
    pub fn new(
        user: impl User + 'static,
        may_choose: bool,
        relay: Vec<SocketAddr>,
        max_nodes: u64,
        max_downloads: usize,
    ) -> Self {
        let mut jobs = JobRunner::new(user, relay, max_nodes);
        jobs.set_may_choose(may_choose);
        Self {
            jobs,
            choices: Choices::default(),
            max_downloads,
            queued: VecDeque::new(),
            is_prompt_due: false,
        }
    }

    /// Prompts for the next command.
    pub(super) fn prompt(&mut self) {
        let kind = self.choices.prompt_kind();
        self.jobs.user().prompt(kind);
    }

    /// Reports the result of a command.
    pub(super) fn answer(&mut self, event: UserEvent<'_>) {
        self.jobs.user().on_event(event);
        self.prompt();
    }

    /// Sets the address under which the relay lists this node. Nothing is downloaded
    /// from there.
    pub(super) fn set_own_address(&mut self, address: NodeAddress) {
        self.jobs.set_own_address(address);
    }

    /// Handles a line that the user typed. Returns the command if it concerns the
    /// node itself.
    pub(super) fn on_line<'a>(
        &mut self,
        connector: &mut Connector<'_, impl RunsJobs>,
        line: &'a str,
    ) -> Option<ConsoleCommand<'a>> {
        match self.choices.on_line(line, self.jobs.user()) {
            Some(ChoiceResult::Content(name, hash)) => self.download(connector, name, Some(hash)),
            Some(ChoiceResult::Cancelled | ChoiceResult::Invalid) => self.prompt(),
            None => match PromptCommand::parse(line) {
                PromptCommand::Get(name, hash) => return Some(ConsoleCommand::Get(name, hash)),
                PromptCommand::Share(path) => return Some(ConsoleCommand::Share(path)),
                PromptCommand::Unshare(name) => return Some(ConsoleCommand::Unshare(name)),
                PromptCommand::Quit => return Some(ConsoleCommand::Stop),
                PromptCommand::Query(Query::Message(to, text)) => {
                    return Some(ConsoleCommand::Send(to, text));
                }
                PromptCommand::Reply(text) => return Some(ConsoleCommand::Reply(text)),
                PromptCommand::Query(query) => self.query(connector, query),
                PromptCommand::Chat(_) => self.answer(UserEvent::InvalidCommand(
                    "usage: send IP PORT TEXT; replies are shown, and reply TEXT answers them",
                )),
                other => {
                    other.report(line, HELP, self.jobs.user());
                    self.prompt();
                }
            },
        }
        None
    }

    /// The user cancels the choice between several files. Returns whether there was
    /// one.
    pub(super) fn cancel_choice(&mut self) -> bool {
        let had_choice = self.choices.cancel(self.jobs.user());
        if had_choice {
            self.prompt();
        }
        had_choice
    }

    /// Sends a query to the relay. The prompt waits for the reply.
    pub(super) fn query(&mut self, connector: &mut Connector<'_, impl RunsJobs>, query: Query) {
        self.start_job(connector, Job::Query(query));
    }

    /// Whether this file is being downloaded or queued.
    pub(super) fn is_downloading(&self, name: &FileName<'_>) -> bool {
        self.jobs.fetched_names().any(|fetched| fetched == name)
            || self.queued.iter().any(|(queued, _)| queued == name)
    }

    /// Queues a download.
    pub(super) fn download(
        &mut self,
        connector: &mut Connector<'_, impl RunsJobs>,
        name: FileName<'static>,
        hash: Option<ContentHash>,
    ) {
        self.queued.push_back((name, hash));
        self.is_prompt_due = true;
        self.start_downloads(connector);
    }

    /// Collects the file names that start with `prefix`.
    pub(super) fn complete(
        &mut self,
        connector: &mut Connector<'_, impl RunsJobs>,
        prefix: String,
        callback: NamesCallback,
    ) {
        self.jobs.complete(connector, prefix, callback);
    }

    /// Handles input on a connection of the console.
    pub(super) fn on_input(
        &mut self,
        session: &mut JobConnection,
        input: Input<'_>,
        requests: &mut Vec<u8>,
    ) -> ReadNext {
        self.jobs.on_input(session, input, requests)
    }

    /// A connection of the console has ended.
    pub(super) fn on_close(
        &mut self,
        connector: &mut Connector<'_, impl RunsJobs>,
        session: JobConnection,
        reason: &CloseReason,
    ) {
        if let Some(done) = self.jobs.on_close(connector, session, reason) {
            self.on_job_done(connector, done);
        }
    }

    /// The node stops: downloads in progress may finish, and no download starts.
    pub(super) fn stop(&mut self) {
        let queued = self.queued.len();
        self.queued.clear();
        self.report_files(queued, "will not be fetched: the node stops");
        let in_progress = self.jobs.fetched_names().count();
        self.report_files(in_progress, "may still arrive; ctrl-C stops the node now");
    }

    /// Reports a text about a number of files, if there are any.
    fn report_files(&mut self, files: usize, text: &str) {
        if files > 0 {
            let text = format!("{} {text}", Counted(files as u64, "file"));
            self.jobs.user().on_event(UserEvent::Note(&text));
        }
    }

    fn start_job(&mut self, connector: &mut Connector<'_, impl RunsJobs>, job: Job) {
        if let Some(done) = self.jobs.start(connector, job) {
            self.on_job_done(connector, done);
        }
    }

    fn on_job_done(&mut self, connector: &mut Connector<'_, impl RunsJobs>, done: FinishedJob) {
        if let JobResult::Choice(choice) = done.result {
            // The user may be typing already: the next line is the choice.
            self.choices.add(choice, self.jobs.user());
        }
        if done.is_fetch {
            self.start_downloads(connector);
        } else {
            self.prompt();
        }
    }

    /// Starts as many queued downloads as may run.
    fn start_downloads(&mut self, connector: &mut Connector<'_, impl RunsJobs>) {
        while self.jobs.fetched_names().count() < self.max_downloads
            && let Some((name, hash)) = self.queued.pop_front()
        {
            self.start_job(connector, Job::Get(name, hash));
        }
        if self.is_prompt_due && self.queued.len() < MAX_QUEUED {
            self.is_prompt_due = false;
            self.prompt();
        }
    }
}
