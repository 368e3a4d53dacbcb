//! The node's console: the commands of the client's prompt, typed at a running node.
//! Queries are answered one at a time. Several files are downloaded at once, while the node
//! serves files and the user types the next command.

use std::collections::VecDeque;
use std::time::Instant;

use crate::close_reason::CloseReason;
use crate::counted::Counted;
use crate::jobs::{
    ChoiceResult, Choices, DownloadStatus, FinishedJob, GetCommand, GetQueue, Job, JobConnection,
    JobResult, JobRunner, Listing, NOT_UTF8, OutputSpec, PartialFile, PromptCommand, Query,
    RunsJobs, TerminalEvent, UserEvent,
};
use crate::node::Node;
use crate::node::share::Share;
use crate::role::{ConnId, ConnectionInfo, Context, Input, ReadNext, Role};
use crate::session::connector::Connector;

/// The reply to `help` at the console.
pub const HELP: &str = "\
NAME        fetch the file NAME into the shared folder
get NAME... fetch files; names as in a shell: get 'two words.txt'
            get docs/ and get '*.txt' fetch a folder, and what a glob matches
            -o FILE, -d DIR: save there, where --save-dir lets the node save;
            --force: replace existing files
            --hash HASH: fetch the content with this hash; --all: all files;
            --hidden: also those whose names start with a dot
jobs        list the files that are being fetched: numbers, progress, time left
cancel N    break off the download of this number
share PATH  share a file, or a folder with all its files, without copying it
unshare NAME
            stop sharing NAME; no file is deleted
ls          list all files that the nodes have announced; -l shows whole hashes
search TEXT list the files whose names contain TEXT, or match a glob: *.txt
find NAME   list the nodes that have the file NAME
nodes       list the nodes that are registered with the relay
status      show the state of this node at each of its relays
connections list who is connected to this node, and what is being sent
who         list the addresses at which messages are received
send IP PORT TEXT
            send a message to this address
reply TEXT  send a message to the sender of the last message
help        list the commands
quit        stop the node; exit does the same";

/// Executes the commands that a person or a program types at a node.
pub struct Console {
    pub(super) jobs: JobRunner,
    pub(super) choices: Choices,
    /// The files to download, so many at once.
    pub(super) queue: GetQueue,
    /// Where they go, unless into the share.
    pub(super) output: Option<OutputSpec>,
    /// The commands whose files go elsewhere.
    pub(super) waiting: VecDeque<GetCommand>,
    /// Whether the files of a folder or a glob are among those of the queue.
    pub(super) is_batch: bool,
    /// Whether the prompt is due once the queue has room.
    pub(super) is_prompt_due: bool,
}

impl Console {
    /// A console for the user of `jobs`.
    #[must_use]
    pub fn new(jobs: JobRunner, max_downloads: usize) -> Self {
        Self {
            jobs,
            choices: Choices::default(),
            queue: GetQueue::new(max_downloads),
            output: None,
            waiting: VecDeque::new(),
            is_batch: false,
            is_prompt_due: false,
        }
    }

    /// The files that are being fetched into the share.
    pub(super) fn partial_files(&self) -> impl Iterator<Item = PartialFile<'_>> {
        let files = self.jobs.partial_files();
        files.filter(|_| self.output.is_none())
    }

    pub(super) fn prompt(&mut self) {
        let kind = self.choices.prompt_kind();
        self.jobs.user().prompt(kind);
    }

    fn answer(&mut self, event: UserEvent<'_>) {
        self.jobs.user().on_event(event);
        self.prompt();
    }

    /// Reports the result of a command, or why the node does not execute the command.
    pub(super) fn answer_with(&mut self, result: Result<String, String>) {
        match result {
            Ok(text) => self.answer(UserEvent::Note(&text)),
            Err(text) => self.answer(UserEvent::InvalidCommand(&text)),
        }
    }

    pub(super) fn on_close(
        &mut self,
        connector: &mut Connector<'_, impl RunsJobs>,
        session: JobConnection,
        reason: &CloseReason,
    ) {
        self.jobs.on_close(connector, session, reason);
        self.take_finished_jobs(connector);
    }

    pub(super) fn on_input<R: RunsJobs>(
        &mut self,
        connector: &mut Connector<'_, R>,
        conn: ConnId,
        session: &mut JobConnection,
        input: Input<'_>,
    ) -> ReadNext {
        let next = self.jobs.on_input(connector, conn, session, input);
        self.take_finished_jobs(connector);
        next
    }

    pub(super) fn on_timer(&mut self, connector: &mut Connector<'_, impl RunsJobs>) {
        self.jobs.on_timer(connector);
        self.take_finished_jobs(connector);
    }

    /// The node stops: downloads in progress may finish, and no download starts.
    pub(super) fn stop(&mut self, context: &mut Context<'_, impl RunsJobs>) {
        self.jobs.stop_keeping_connections(context.out);
        let queued = self.waiting_files();
        self.queue.clear();
        self.waiting.clear();
        let fetched = self.jobs.fetched_names().count();
        for (files, text) in [
            (queued, "will not be fetched: the node stops"),
            (fetched, "may still arrive; ctrl-C stops the node now"),
        ] {
            if files > 0 {
                let text = format!("{} {text}", Counted(files as u64, "file"));
                self.jobs.user().on_event(UserEvent::Note(&text));
            }
        }
    }

    /// Starts a job. If it is a query, the prompt waits for the reply.
    fn start_job(&mut self, connector: &mut Connector<'_, impl RunsJobs>, job: Job) {
        self.jobs.start(connector, job);
        self.take_finished_jobs(connector);
    }

    fn take_finished_jobs(&mut self, connector: &mut Connector<'_, impl RunsJobs>) {
        while let Some(done) = self.jobs.next_finished() {
            self.on_job_done(connector, done);
        }
    }

    fn on_job_done(&mut self, connector: &mut Connector<'_, impl RunsJobs>, mut done: FinishedJob) {
        self.queue.on_finished(&mut done);
        let is_fetch = done.is_fetch();
        if let JobResult::Choice(choice) = done.result {
            // The user may be typing already: the next line is the choice.
            self.choices.add(choice, self.jobs.user());
        }
        if is_fetch {
            self.start_downloads(connector);
        } else {
            self.prompt();
        }
    }

    /// Lists the connections to the node.
    pub(super) fn list_connections(&mut self, total: u64, connections: &[ConnectionInfo]) {
        let listing = Listing::Connections { total, connections };
        // Without its output, the console reports nothing any more.
        let _ = self.jobs.user().show(listing);
        self.prompt();
    }

    /// Breaks off a download.
    fn cancel(&mut self, connector: &mut Connector<'_, impl RunsJobs>, number: Option<u64>) {
        let Some(number) = number else {
            return self.answer_with(Err("usage: cancel N; jobs lists the numbers".into()));
        };
        let was_running = self.jobs.cancel(connector.out, number);
        self.take_finished_jobs(connector);
        self.answer_with(match was_running {
            true => Ok(format!("{number}: broken off")),
            false => Err("no such download; jobs lists the numbers".into()),
        });
    }

    /// Lists the files that are being fetched.
    fn list_jobs(&mut self, now: Instant) {
        let downloads: Vec<DownloadStatus> = self.jobs.downloads(now).collect();
        for download in &downloads {
            self.jobs.user().on_event(UserEvent::Download(download));
        }
        self.answer_lines(match self.waiting_files() {
            0 if downloads.is_empty() => Some("nothing is being fetched".to_owned()),
            0 => None,
            waiting => Some(format!("{waiting} waiting")),
        });
    }

    fn answer_lines(&mut self, lines: impl IntoIterator<Item = String>) {
        for line in lines {
            self.jobs.user().on_event(UserEvent::Note(&line));
        }
        self.prompt();
    }
}

impl<S: Share> Node<S> {
    pub(super) fn on_terminal_event(
        &mut self,
        context: &mut Context<'_, Self>,
        event: TerminalEvent,
    ) {
        let Some(console) = &mut self.console else {
            return;
        };
        let is_stopping = self.is_stopping;
        match event {
            TerminalEvent::FilesCommitted => {
                let mut connector = Connector::new(context, &mut self.udp);
                console.jobs.on_files_committed(&mut connector);
                console.take_finished_jobs(&mut connector);
            }
            TerminalEvent::Interrupt
                if !is_stopping && console.choices.cancel(console.jobs.user()) =>
            {
                console.continue_downloads(&mut Connector::new(context, &mut self.udp));
            }
            TerminalEvent::EndOfInput
            | TerminalEvent::Interrupt
            | TerminalEvent::InterruptSignal => context.out.stop_gracefully(),
            // A node that stops starts nothing new.
            TerminalEvent::Typed(_)
            | TerminalEvent::Unreadable
            | TerminalEvent::Complete { .. }
                if is_stopping => {}
            TerminalEvent::Unreadable => {
                console.answer(UserEvent::InvalidCommand(NOT_UTF8));
            }
            TerminalEvent::Typed(line) => self.on_line(context, &line),
            TerminalEvent::Complete { prefix, callback } => {
                let mut connector = Connector::new(context, &mut self.udp);
                let job = Job::FindNames(prefix, callback);
                console.start_job(&mut connector, job);
            }
        }
    }

    fn on_line(&mut self, context: &mut Context<'_, Self>, line: &str) {
        let receives_messages = self.receives_messages();
        let Some(console) = &mut self.console else {
            return;
        };
        let mut connector = Connector::new(context, &mut self.udp);
        let command = match console.choices.on_line(line, console.jobs.user()) {
            Some(ChoiceResult::Content(name, hash)) => {
                return console.download(&mut connector, name, Some(hash.into()));
            }
            Some(ChoiceResult::Cancelled | ChoiceResult::Invalid) => {
                return console.continue_downloads(&mut connector);
            }
            None => PromptCommand::parse(line),
        };
        match command {
            PromptCommand::Get(command) => self.start_get(context, command),
            PromptCommand::Share(path) => {
                console.answer_with(self.share.add(path));
                self.on_external_event(context);
            }
            PromptCommand::Unshare(name) => {
                console.answer_with(self.share.remove(&name));
                self.on_external_event(context);
            }
            // The receiver can reply to a message that comes from the node's address.
            PromptCommand::Query(Query::Message(to, text)) if receives_messages => {
                self.send_message(context, to, text);
            }
            PromptCommand::Search(search) => console.start_job(&mut connector, Job::Search(search)),
            PromptCommand::Query(query) => console.start_job(&mut connector, Job::Show(query)),
            PromptCommand::Reply(text) => match self.last_sender {
                Some(sender) => self.send_answer(context, sender, text, false),
                None => console.answer(UserEvent::NoRecipient),
            },
            PromptCommand::Status => {
                let lines = self.relays.iter().map(|relay| relay.status(context.now));
                console.answer_lines(lines);
            }
            PromptCommand::Chat(_) => console.answer(UserEvent::InvalidCommand(
                "usage: send IP PORT TEXT; replies are shown, and reply TEXT answers them",
            )),
            PromptCommand::Jobs => console.list_jobs(connector.now),
            PromptCommand::Connections => context.out.report_connections(),
            PromptCommand::Cancel(number) => console.cancel(&mut connector, number),
            PromptCommand::Quit => context.out.stop_gracefully(),
            other => {
                other.report(line, HELP, console.jobs.user());
                console.prompt();
            }
        }
    }
}
