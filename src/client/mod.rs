//! The client: runs the jobs of one command at a time, or one chat, for its user.

mod chat;
mod chat_relay;
mod chats;
mod client_message;
mod gets;
mod input;

use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub use chat_relay::ChatRelayId;
pub use client_message::ClientMessage;

use crate::client::chat::Chat;
use crate::close_reason::{CloseReason, ResourceLimit};
use crate::jobs::{
    Choices, FilePattern, FileSearch, FinishedJob, GetQueue, Job, JobConnection, JobResult,
    JobRunner, PromptKind, Query, TaskResult,
};
use crate::protocol::{FileName, HashPrefix, NodeAddress, Text};
use crate::role::{ConnId, Context, Input, PeerTls, ReadNext, Role, UdpPeer};
use crate::session::connector::Connector;
use crate::session::udp_requests::{UdpOutcome, UdpRequests};

/// The task of a client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Task {
    /// See whether the relay is there, then execute the user's commands.
    Prompt,
    /// Show the answer to a query.
    Query(Query),
    /// Show the files that a search finds.
    Search(FileSearch),
    /// Fetch these files; with a hash, only the content that has it.
    Get(Vec<FilePattern>, Option<HashPrefix>),
    /// Likewise, but each line of the user is the name of a file.
    GetList(Option<HashPrefix>),
    /// Send a message, and show the messages that arrive in this time.
    SendAndWait(NodeAddress, Text<'static>, Duration),
    /// Chat with this node, or with the last sender, and show messages for this time
    /// after the end of input.
    Chat(Option<NodeAddress>, Duration),
}

/// The role of the client.
pub struct Client {
    jobs: JobRunner,
    task: Task,
    /// The files that the task fetches.
    queue: GetQueue,
    /// The most files that are saved at once.
    max_downloads: usize,
    /// Whether the files of the task are saved.
    saves_files: bool,
    /// Whether several files are being saved.
    is_batch: bool,
    /// Whether a list of names is read to its end.
    has_whole_list: bool,
    /// Whether the queue waits for the list of nodes.
    awaits_nodes: bool,
    /// The file that the user may save, because it was not printed.
    unprinted: Option<FileName<'static>>,
    /// At the prompt: whether the relay was there at the start. Of a list of names:
    /// whether the relay has listed its nodes.
    is_ready: bool,
    choices: Choices,
    /// The chat that is going on, and the one whose relay is being found.
    chat: Option<Box<Chat>>,
    next_chat: Option<Box<Chat>>,
    /// The number of chats that were started.
    chats: u64,
    /// Varies the pauses before a chat connects to its relay again.
    seed: u64,
    /// The line for which the user was prompted.
    prompted: Option<PromptKind>,
    /// Whether a person types the commands.
    is_interactive: bool,
    result: TaskResult,
    /// Queries over UDP, which go over TCP where UDP fails. Without routes all go over
    /// TCP.
    pub udp: UdpRequests<ClientSession>,
}

/// One connection of a client.
pub enum ClientSession {
    /// For a job.
    Job(Box<JobConnection>),
    /// For the messages of a chat, from this relay.
    MessageSubscription(ChatRelayId),
}

impl From<JobConnection> for ClientSession {
    fn from(session: JobConnection) -> Self {
        Self::Job(session.into())
    }
}

impl fmt::Display for ClientSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Job(session) => session.fmt(f),
            Self::MessageSubscription(_) => f.write_str("message subscription"),
        }
    }
}

impl Client {
    /// A client that does `task` for the user of `jobs`.
    #[must_use]
    pub fn new(jobs: JobRunner, task: Task) -> Self {
        Self {
            jobs,
            task,
            queue: GetQueue::new(1),
            max_downloads: 1,
            saves_files: false,
            is_batch: false,
            has_whole_list: false,
            awaits_nodes: false,
            unprinted: None,
            is_ready: false,
            choices: Choices::default(),
            chat: None,
            next_chat: None,
            chats: 0,
            seed: 0,
            prompted: None,
            is_interactive: false,
            result: TaskResult::Success,
            udp: UdpRequests::default(),
        }
    }

    /// Whether a person types the commands of the prompt, not a program.
    pub fn set_interactive(&mut self, is_interactive: bool) {
        self.is_interactive = is_interactive;
    }

    /// Clients with other seeds connect to a relay that was lost at other times.
    pub fn set_seed(&mut self, seed: u64) {
        self.seed = seed;
    }

    /// The result of the task.
    #[must_use]
    pub fn result(&self) -> TaskResult {
        self.result
    }

    /// Starts a job, and those of the queue that may run.
    fn start_job(&mut self, context: &mut Context<'_, Self>, job: Job) {
        let mut connector = Connector::new(context, &mut self.udp);
        self.jobs.start(&mut connector, job);
        self.take_finished_jobs(context);
    }

    /// Takes the results of the jobs that are done, and starts those that may follow.
    fn take_finished_jobs(&mut self, context: &mut Context<'_, Self>) {
        loop {
            while let Some(finished) = self.jobs.next_finished() {
                self.on_finished_job(context, finished);
            }
            let Some(job) = self.next_queued_job() else {
                return;
            };
            let mut connector = Connector::new(context, &mut self.udp);
            self.jobs.start(&mut connector, job);
        }
    }

    fn on_finished_job(&mut self, context: &mut Context<'_, Self>, mut finished: FinishedJob) {
        self.queue.on_finished(&mut finished);
        if finished.may_be_incomplete {
            self.result = self.result.max(TaskResult::NodesFailed);
        }
        match finished.result {
            JobResult::Task(result) => self.on_result(context, result),
            JobResult::Choice(choice) => {
                self.choices.add(choice, self.jobs.user());
                self.prompt();
            }
            // All of them were fetched already.
            JobResult::Files(_) if self.queue.is_done() => {
                self.on_result(context, TaskResult::Success);
            }
            JobResult::Files(_) => {}
            JobResult::Relay(relay) => self.start_next_chat(context, Some(relay)),
            JobResult::ReaderGone => {
                self.result = self.result.max(TaskResult::StoreError);
                self.queue.clear();
                context.out.stop_loop();
            }
        }
    }

    /// A command, or one of the files to fetch, is done.
    fn on_result(&mut self, context: &mut Context<'_, Self>, result: TaskResult) {
        self.result = self.result.max(result);
        let is_cut_off = matches!(
            result,
            TaskResult::Incomplete | TaskResult::WrongContent | TaskResult::DiskFull
        );
        // Without a list there is no node to try. After a part of a file nothing more is
        // printed.
        let awaited_nodes = std::mem::take(&mut self.awaits_nodes);
        let has_failed = awaited_nodes && result != TaskResult::Success;
        if has_failed || (is_cut_off && !self.is_batch) {
            self.finish_batch();
            self.queue.clear();
        }
        let has_choice = self.choices.prompt_kind() == PromptKind::Choice;
        let is_done = self.queue.is_done() && !has_choice;
        match &self.task {
            Task::Prompt if self.is_ready || result == TaskResult::Success => {
                self.is_ready = true;
                if is_done {
                    self.finish_batch();
                    self.confirm_or_prompt();
                }
                return;
            }
            Task::GetList(_) if self.is_batch && !has_failed => {
                return self.continue_list(context);
            }
            Task::GetList(_) if result != TaskResult::Relay && !is_cut_off => {
                return self.prompt();
            }
            _ => {}
        }
        if is_done {
            self.finish_batch();
            context.out.stop_loop();
        }
    }

    fn on_udp_outcomes(
        &mut self,
        context: &mut Context<'_, Self>,
        outcomes: impl IntoIterator<Item = UdpOutcome<ClientSession>>,
    ) {
        for outcome in outcomes {
            match outcome {
                UdpOutcome::Ended(session, reason) => self.on_close(context, session, &reason),
                UdpOutcome::FallBack(relay, session) => context.out.dial(relay, session),
            }
        }
    }
}

impl Role for Client {
    type Session = ClientSession;
    /// The client sends no files.
    type File = std::os::fd::OwnedFd;
    type Message = ClientMessage;

    fn start(&mut self, context: &mut Context<'_, Self>) {
        let job = match &self.task {
            Task::Prompt => Job::CheckRelay,
            Task::Query(query) => Job::Show(query.clone()),
            Task::Search(search) => Job::Search(search.clone()),
            Task::Get(patterns, hash) => {
                let (patterns, hash) = (patterns.clone(), *hash);
                return self.start_gets(context, patterns, hash, self.saves_files);
            }
            Task::GetList(_) if self.saves_files => return self.start_list(context),
            Task::GetList(_) => return self.prompt(),
            Task::SendAndWait(to, text, wait) => {
                let chat = Chat::with_message(*to, text.clone(), *wait);
                return self.start_chat(context, chat);
            }
            Task::Chat(to, wait) => {
                let chat = Chat::new(*to, *wait);
                return self.start_chat(context, chat);
            }
        };
        self.start_job(context, job);
    }

    fn on_accept(&mut self, _: SocketAddr) -> ClientSession {
        unreachable!("a client listens nowhere")
    }

    fn on_refuse(&self, _: ResourceLimit, _: &mut Vec<u8>) {}

    fn on_input(
        &mut self,
        context: &mut Context<'_, Self>,
        conn: ConnId,
        _: SocketAddr,
        session: &mut ClientSession,
        input: Input<'_>,
    ) -> ReadNext {
        if let ClientSession::Job(connection) = session {
            let mut connector = Connector::new(context, &mut self.udp);
            let next = self.jobs.on_input(&mut connector, conn, connection, input);
            self.take_finished_jobs(context);
            return next;
        }
        let (Some(chat), ClientSession::MessageSubscription(id)) = (&mut self.chat, session) else {
            return ReadNext::Close(CloseReason::Completed);
        };
        let next = chat.on_input(context, (*id, conn), self.jobs.user(), input);
        self.after_chat_event(context);
        next
    }

    fn carries_content(session: &ClientSession) -> bool {
        matches!(session, ClientSession::Job(connection) if connection.carries_content())
    }

    fn peer_tls(session: &ClientSession) -> PeerTls {
        match session {
            ClientSession::Job(connection) => connection.tls,
            ClientSession::MessageSubscription(id) => PeerTls::Configured(id.relay),
        }
    }

    fn on_close(
        &mut self,
        context: &mut Context<'_, Self>,
        session: ClientSession,
        reason: &CloseReason,
    ) {
        match session {
            ClientSession::Job(connection) => {
                let mut connector = Connector::new(context, &mut self.udp);
                self.jobs.on_close(&mut connector, *connection, reason);
                self.take_finished_jobs(context);
            }
            ClientSession::MessageSubscription(id) => self.on_chat_close(context, id, reason),
        }
    }

    fn on_datagram(&mut self, context: &mut Context<'_, Self>, from: UdpPeer, bytes: &[u8]) {
        let (out, now) = (&mut *context.out, context.now);
        let on_line = |session: &mut ClientSession, line: &[u8], more: &mut Vec<u8>| match session {
            ClientSession::Job(connection) => {
                self.jobs
                    .on_relay_input(connection, Input::Line(line), more)
            }
            ClientSession::MessageSubscription(_) => ReadNext::Close(CloseReason::Completed),
        };
        let outcome = self.udp.on_datagram(out, now, from, bytes, on_line);
        self.on_udp_outcomes(context, outcome);
    }

    fn on_udp_unreachable(&mut self, context: &mut Context<'_, Self>, socket: u32) {
        let outcomes = self.udp.on_unreachable(socket);
        self.on_udp_outcomes(context, outcomes);
    }

    fn on_message(&mut self, context: &mut Context<'_, Self>, message: ClientMessage) {
        match message {
            ClientMessage::Terminal(event) => self.on_terminal_event(context, event),
            ClientMessage::NodesFound(nodes) => self.jobs.add_sources(nodes),
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let chat = self.chat.as_ref().and_then(|chat| chat.next_deadline());
        let deadlines = [chat, self.udp.next_deadline(), self.jobs.next_deadline()];
        deadlines.into_iter().flatten().min()
    }

    fn on_timer(&mut self, context: &mut Context<'_, Self>) {
        if let Some(chat) = &mut self.chat {
            chat.on_timer(context, self.jobs.user());
            self.after_chat_event(context);
        }
        self.jobs
            .on_timer(&mut Connector::new(context, &mut self.udp));
        self.take_finished_jobs(context);
        let outcomes = self.udp.on_timer(context.out, context.now);
        self.on_udp_outcomes(context, outcomes);
    }

    fn drain(&mut self, context: &mut Context<'_, Self>) {
        let unreported = self.jobs.abort();
        self.report_interrupt(unreported);
        self.finish_batch();
        self.result = TaskResult::Interrupted;
        context.out.stop_loop();
    }
}
