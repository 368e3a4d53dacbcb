//! The node's console: the commands of the client's prompt, typed at a running node.
//! Queries are answered one at a time. Several files are downloaded into the share
//! at once, while the node serves files and the user types the next command.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::mpsc::Sender;
use std::time::Instant;

use crate::close_reason::CloseReason;
use crate::jobs::{
    Choices, Chosen, Done, Job, JobConnection, JobRunner, Query, RunsJobs, Typed, User, UserEvent,
};
use crate::node::console_commands::ConsoleCommand;
use crate::protocol::{ContentHash, FileName, NodeAddress};
use crate::role::{Context, Input, ReadNext, UdpPeer};
use crate::session::udp_requests::UdpRequests;

/// The most queued downloads. When the queue is full, the prompt waits.
const MAX_QUEUED: usize = 1000;

/// The reply to `help` at the console.
pub const HELP: &str = "\
NAME        fetch the file of that name into the share
get NAME    the same; needed for names that start with a command
get --hash HASH NAME
            the same, for one of several files with that name
share PATH  share a file or a folder in place
unshare NAME
            stop sharing a file or a folder; nothing is deleted
ls          list all files that the nodes have announced
search TEXT list the files whose names contain the text
find NAME   list the nodes that have the file
nodes       list the nodes that are registered with the relay
send IP PORT TEXT
            send a message to that address
reply TEXT  send a message to the sender of the last one
help        show this list
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
        jobs.may_ask(may_choose);
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
        let kind = self.choices.wanted();
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
        self.jobs.is_us(address);
    }

    /// Handles a line that the user typed. Returns the command if it concerns the
    /// node itself.
    pub(super) fn on_line<'a>(
        &mut self,
        context: &mut Context<'_, impl RunsJobs>,
        line: &'a str,
    ) -> Option<ConsoleCommand<'a>> {
        match self.choices.typed(line, self.jobs.user()) {
            Some(Chosen::Content(name, hash)) => self.download(context, name, Some(hash)),
            Some(Chosen::Nothing | Chosen::NotYet) => self.prompt(),
            None => match Typed::parse(line) {
                Typed::Get(name, hash) => return Some(ConsoleCommand::Get(name, hash)),
                Typed::Share(path) => return Some(ConsoleCommand::Share(path)),
                Typed::Unshare(name) => return Some(ConsoleCommand::Unshare(name)),
                Typed::Quit => return Some(ConsoleCommand::Stop),
                Typed::Ask(Query::Message(to, text)) => {
                    return Some(ConsoleCommand::Send(to, text));
                }
                Typed::Reply(text) => return Some(ConsoleCommand::Reply(text)),
                Typed::Ask(query) => self.query(context, query),
                Typed::Chat(_) => self.answer(UserEvent::Wrong(
                    "use: send IP PORT TEXT; replies are shown, and reply TEXT answers them",
                )),
                other => {
                    other.explain(line, HELP, self.jobs.user());
                    self.prompt();
                }
            },
        }
        None
    }

    /// The user cancels the choice between several files. Returns whether there was
    /// one.
    pub(super) fn cancel_choice(&mut self) -> bool {
        let had_choice = self.choices.give_up(self.jobs.user());
        if had_choice {
            self.prompt();
        }
        had_choice
    }

    /// Sends a query to the relay. The prompt waits for the reply.
    pub(super) fn query(&mut self, context: &mut Context<'_, impl RunsJobs>, query: Query) {
        self.start_job(context, Job::Ask(query));
    }

    /// Whether this file is being downloaded or queued.
    pub(super) fn is_downloading(&self, name: &FileName<'_>) -> bool {
        self.jobs.is_fetching(name) || self.queued.iter().any(|(queued, _)| queued == name)
    }

    /// Queues a download.
    pub(super) fn download(
        &mut self,
        context: &mut Context<'_, impl RunsJobs>,
        name: FileName<'static>,
        hash: Option<ContentHash>,
    ) {
        self.queued.push_back((name, hash));
        self.is_prompt_due = true;
        self.start_downloads(context);
    }

    /// Collects the file names that start with `prefix`.
    pub(super) fn complete(
        &mut self,
        context: &mut Context<'_, impl RunsJobs>,
        prefix: String,
        answer: Sender<Vec<String>>,
    ) {
        self.jobs.complete(context, prefix, answer);
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
        context: &mut Context<'_, impl RunsJobs>,
        session: JobConnection,
        reason: &CloseReason,
    ) {
        if let Some(done) = self.jobs.on_close(context, session, reason) {
            self.on_job_done(context, done);
        }
    }

    /// Sends queries over UDP first, and over TCP where UDP fails.
    #[must_use]
    pub fn with_udp(mut self, udp: UdpRequests<JobConnection>) -> Self {
        self.jobs.by_datagrams(udp);
        self
    }

    /// Handles a datagram, which may be a reply to a query.
    pub(super) fn on_datagram(
        &mut self,
        context: &mut Context<'_, impl RunsJobs>,
        from: UdpPeer,
        bytes: &[u8],
    ) {
        let done = self.jobs.datagram(context, from, bytes);
        self.on_jobs_done(context, done);
    }

    /// The system reports that no program receives datagrams at the other end of a
    /// socket.
    pub(super) fn on_udp_unreachable(
        &mut self,
        context: &mut Context<'_, impl RunsJobs>,
        socket: u32,
    ) {
        let done = self.jobs.on_udp_unreachable(context, socket);
        self.on_jobs_done(context, done);
    }

    /// Whether requests over UDP are outstanding.
    pub(super) fn has_open_requests(&self) -> bool {
        self.jobs.has_open_requests()
    }

    /// When to call [`Console::on_timer`].
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.jobs.next_deadline()
    }

    /// Retransmits the datagrams that are due.
    pub(super) fn on_timer(&mut self, context: &mut Context<'_, impl RunsJobs>) {
        let done = self.jobs.on_timer(context);
        self.on_jobs_done(context, done);
    }

    fn on_jobs_done(&mut self, context: &mut Context<'_, impl RunsJobs>, done: Vec<Done>) {
        for done in done {
            self.on_job_done(context, done);
        }
    }

    /// The node stops: downloads in progress may finish, and no download starts.
    pub(super) fn stop(&mut self) {
        let queued = self.queued.len();
        self.queued.clear();
        self.report_files(queued, "will not be fetched: the node stops");
        let in_progress = self.jobs.fetching();
        self.report_files(in_progress, "may still arrive; ctrl-C ends that");
    }

    /// Reports a text about a number of files, if there are any.
    fn report_files(&mut self, files: usize, text: &str) {
        let plural = match files {
            0 => return,
            1 => "",
            _ => "s",
        };
        let text = format!("{files} file{plural} {text}");
        self.jobs.user().on_event(UserEvent::Note(&text));
    }

    fn start_job(&mut self, context: &mut Context<'_, impl RunsJobs>, job: Job) {
        if let Some(done) = self.jobs.begin(context, job) {
            self.on_job_done(context, done);
        }
    }

    fn on_job_done(&mut self, context: &mut Context<'_, impl RunsJobs>, done: Done) {
        if let Some(choice) = done.choice {
            // The user may be typing already: the next line is the choice.
            self.choices.add(choice, self.jobs.user());
        }
        if done.fetched {
            self.start_downloads(context);
        } else {
            self.prompt();
        }
    }

    /// Starts as many queued downloads as may run.
    fn start_downloads(&mut self, context: &mut Context<'_, impl RunsJobs>) {
        while self.jobs.fetching() < self.max_downloads
            && let Some((name, hash)) = self.queued.pop_front()
        {
            self.start_job(context, Job::Get(name, hash));
        }
        if self.is_prompt_due && self.queued.len() < MAX_QUEUED {
            self.is_prompt_due = false;
            self.prompt();
        }
    }
}
