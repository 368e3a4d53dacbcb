//! The client: runs one job at a time, or one chat, for its user.

mod chat;
mod mode;

use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

pub use mode::Task;

use crate::client::chat::Chat;
use crate::client::mode::Mode;
use crate::close_reason::{CloseReason, ResourceLimit};
use crate::jobs::{
    BLANKS, ChoiceResult, FinishedJob, HELP, Job, JobConnection, JobResult, JobRunner,
    PromptCommand, PromptKind, TaskResult, TerminalEvent, User, UserEvent,
};
use crate::role::{ConnId, Context, Input, ReadNext, Role, UdpPeer};
use crate::session::connector::Connector;
use crate::session::udp_requests::{UdpOutcome, UdpRequests};

/// The role of the client.
pub struct Client {
    jobs: JobRunner,
    mode: Mode,
    /// The line for which the user was prompted.
    prompted: Option<PromptKind>,
    result: TaskResult,
    /// Without routes if queries go over TCP only.
    udp: UdpRequests<ClientSession>,
}

/// One connection of a client.
pub enum ClientSession {
    /// For a job.
    Job(Box<JobConnection>),
    /// For messages.
    MessageSubscription,
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
            Self::MessageSubscription => f.write_str("message subscription"),
        }
    }
}

impl Client {
    /// A client that does `task` for `user`. `relay` is not empty.
    #[must_use]
    pub fn new(
        user: impl User + 'static,
        relay: Vec<SocketAddr>,
        max_nodes: u64,
        task: Task,
    ) -> Self {
        Self {
            mode: Mode::new(task, &relay),
            jobs: JobRunner::new(user, relay, max_nodes),
            prompted: None,
            result: TaskResult::Success,
            udp: UdpRequests::default(),
        }
    }

    /// If `may_choose`, the user is prompted to choose one of several contents.
    #[must_use]
    pub fn with_choices(mut self, may_choose: bool) -> Self {
        self.jobs.set_may_choose(may_choose);
        self
    }

    /// Sends queries over UDP first, and over TCP where UDP fails.
    #[must_use]
    pub fn with_udp(mut self, udp: UdpRequests<ClientSession>) -> Self {
        self.udp = udp;
        self
    }

    /// The result of the task.
    #[must_use]
    pub fn result(&self) -> TaskResult {
        self.result
    }

    /// Starts a job, and the jobs that follow if it is done at once.
    fn start_job(&mut self, context: &mut Context<'_, Self>, job: Job) {
        let mut next = Some(job);
        while let Some(job) = next.take() {
            let mut connector = Connector::new(context, &mut self.udp);
            if let Some(finished) = self.jobs.start(&mut connector, job) {
                next = self.on_finished_job(context, finished);
            }
        }
    }

    /// Returns the next job.
    fn on_finished_job(
        &mut self,
        context: &mut Context<'_, Self>,
        finished: FinishedJob,
    ) -> Option<Job> {
        match finished.result {
            JobResult::Task(result) => return self.on_result(context, result),
            JobResult::Choice(choice) => {
                if let Some(choices) = self.mode.choices_mut() {
                    choices.add(choice, self.jobs.user());
                }
                self.prompt();
            }
            JobResult::ReaderGone => context.out.stop_loop(),
        }
        None
    }

    /// A command, or one of the files to fetch, is done. Returns the next job.
    fn on_result(&mut self, context: &mut Context<'_, Self>, result: TaskResult) -> Option<Job> {
        self.result = self.result.or(result);
        match &mut self.mode {
            Mode::Prompt { is_ready, .. } if *is_ready || result == TaskResult::Success => {
                *is_ready = true;
                self.prompt();
                return None;
            }
            // Without a list there is no node to try. After a part of a file nothing more is
            // printed.
            Mode::Get { .. } if matches!(result, TaskResult::Relay | TaskResult::Incomplete) => {}
            Mode::Get { names, hash, .. } => {
                if let Some(name) = names.pop_front() {
                    return Some(Job::GetFromKnownNodes(name, *hash));
                }
            }
            Mode::Prompt { .. } | Mode::Query(_) | Mode::Chat(_) => {}
        }
        context.out.stop_loop();
        None
    }

    /// Prompts the user for one line.
    fn prompt(&mut self) {
        if self.prompted.is_none() {
            let kind = self.mode.prompt_kind();
            self.prompted = Some(kind);
            self.jobs.user().prompt(kind);
        }
    }

    fn on_line(&mut self, context: &mut Context<'_, Self>, line: &str) {
        let user = self.jobs.user();
        if let Some(chat) = self.mode.chat_mut() {
            chat.on_line(context.out, user, line);
            return self.after_chat_event();
        }
        let choices = self.mode.choices_mut();
        let result = match choices.and_then(|choices| choices.on_line(line, user)) {
            Some(ChoiceResult::Content(name, hash)) => {
                return self.start_job(context, Job::GetFromKnownNodes(name, Some(hash)));
            }
            Some(ChoiceResult::Cancelled) => TaskResult::SeveralContents,
            Some(ChoiceResult::Invalid) => return self.prompt(),
            None => match PromptCommand::parse(line) {
                PromptCommand::Get(name, hash) => {
                    return self.start_job(context, Job::Get(name.into_owned(), hash));
                }
                PromptCommand::Query(query) => return self.start_job(context, Job::Query(query)),
                PromptCommand::Chat(to) => {
                    let new_chat = Chat::new(self.jobs.relay(), to, Duration::ZERO);
                    new_chat.connect(context.out);
                    if let Mode::Prompt { chat, .. } = &mut self.mode {
                        *chat = Some(new_chat.into());
                    }
                    return;
                }
                PromptCommand::Quit => return context.out.stop_loop(),
                other => other.report(line, HELP, user),
            },
        };
        if let Some(job) = self.on_result(context, result) {
            self.start_job(context, job);
        }
    }

    /// The user has typed a message for a chat that was over by then: the line is no
    /// command.
    fn on_late_message(&mut self, line: &str) {
        if !matches!(line.trim_matches(BLANKS), "" | chat::QUIT) {
            let event = UserEvent::InvalidCommand("not sent: the conversation is over");
            self.jobs.user().on_event(event);
            self.result = self.result.or(TaskResult::Relay);
        }
        self.prompt();
    }

    fn on_end_of_input(&mut self, context: &mut Context<'_, Self>) {
        match &mut self.mode {
            Mode::Chat(chat) => chat.start_wait(context.now),
            Mode::Get { .. } => {
                // A choice was expected. The other files are fetched without choices.
                self.jobs.set_may_choose(false);
                self.on_line(context, "");
            }
            Mode::Prompt { .. } | Mode::Query(_) => {
                self.cancel_choice();
                context.out.stop_loop();
            }
        }
    }

    /// At the prompt this ends a choice, or the program if there is none.
    fn on_interrupt(&mut self, context: &mut Context<'_, Self>) {
        self.prompted = None;
        if matches!(self.mode, Mode::Prompt { .. }) && self.cancel_choice() {
            self.prompt();
        } else {
            context.out.shut_down();
        }
    }

    /// The user does not make the next choice. Returns whether there was one.
    fn cancel_choice(&mut self) -> bool {
        let choices = self.mode.choices_mut();
        let had_choice = choices.is_some_and(|choices| choices.cancel(self.jobs.user()));
        if had_choice {
            self.result = self.result.or(TaskResult::SeveralContents);
        }
        had_choice
    }

    fn on_chat_close(&mut self, context: &mut Context<'_, Self>, reason: &CloseReason) {
        let Some(chat) = self.mode.chat_mut() else {
            return;
        };
        let is_over = chat.on_close(context.out, self.jobs.user(), reason);
        self.after_chat_event();
        if is_over {
            if let Mode::Prompt { chat, .. } = &mut self.mode {
                *chat = None;
            }
            self.on_result(context, TaskResult::Success);
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

    fn after_chat_event(&mut self) {
        if let Some(chat) = self.mode.chat_mut() {
            let (result, needs_prompt) = chat.take_update();
            self.result = self.result.or(result);
            if needs_prompt {
                self.prompt();
            }
        }
    }
}

impl Role for Client {
    type Session = ClientSession;
    /// The client sends no files.
    type File = std::os::fd::OwnedFd;
    type Message = TerminalEvent;

    fn start(&mut self, context: &mut Context<'_, Self>) {
        let job = match &mut self.mode {
            Mode::Prompt { .. } => Job::CheckRelay,
            Mode::Query(query) => Job::Query(query.clone()),
            Mode::Get { names, hash, .. } => match names.pop_front() {
                Some(name) => Job::Get(name, *hash),
                None => return context.out.stop_loop(),
            },
            Mode::Chat(chat) => return chat.connect(context.out),
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
            let out = context.out.text(conn);
            return self.jobs.on_input(connection, input, out);
        }
        let Some(chat) = self.mode.chat_mut() else {
            return ReadNext::Close(CloseReason::Completed);
        };
        let next = chat.on_input(context, conn, self.jobs.user(), input);
        self.after_chat_event();
        next
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
                let finished = self.jobs.on_close(&mut connector, *connection, reason);
                let next = finished.and_then(|finished| self.on_finished_job(context, finished));
                if let Some(job) = next {
                    self.start_job(context, job);
                }
            }
            ClientSession::MessageSubscription => self.on_chat_close(context, reason),
        }
    }

    fn on_datagram(&mut self, context: &mut Context<'_, Self>, from: UdpPeer, bytes: &[u8]) {
        let (out, now) = (&mut *context.out, context.now);
        let on_line = |session: &mut ClientSession, line: &[u8], more: &mut Vec<u8>| match session {
            ClientSession::Job(connection) => {
                self.jobs.on_input(connection, Input::Line(line), more)
            }
            ClientSession::MessageSubscription => ReadNext::Close(CloseReason::Completed),
        };
        let outcome = self.udp.on_datagram(out, now, from, bytes, on_line);
        self.on_udp_outcomes(context, outcome);
    }

    fn on_udp_unreachable(&mut self, context: &mut Context<'_, Self>, socket: u32) {
        let outcomes = self.udp.on_unreachable(socket);
        self.on_udp_outcomes(context, outcomes);
    }

    fn on_message(&mut self, context: &mut Context<'_, Self>, message: TerminalEvent) {
        let is_chatting = self.mode.chat().is_some();
        match message {
            TerminalEvent::Typed(line) => match self.prompted.take() {
                Some(PromptKind::Message(_)) if !is_chatting => self.on_late_message(&line),
                _ => self.on_line(context, &line),
            },
            // A message is no file name.
            TerminalEvent::Complete { .. } if is_chatting => {}
            TerminalEvent::Complete { prefix, callback } => {
                let mut connector = Connector::new(context, &mut self.udp);
                self.jobs.complete(&mut connector, prefix, callback);
            }
            TerminalEvent::EndOfInput => self.on_end_of_input(context),
            TerminalEvent::Interrupt => self.on_interrupt(context),
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let chat = self.mode.chat().and_then(Chat::next_deadline);
        let deadlines = [chat, self.udp.next_deadline()];
        deadlines.into_iter().flatten().min()
    }

    fn on_timer(&mut self, context: &mut Context<'_, Self>) {
        if let Some(chat) = self.mode.chat_mut() {
            chat.on_timer(context, self.jobs.user());
            self.after_chat_event();
        }
        let outcomes = self.udp.on_timer(context.out, context.now);
        self.on_udp_outcomes(context, outcomes);
    }

    fn drain(&mut self, context: &mut Context<'_, Self>) {
        self.jobs.abort();
        self.result = TaskResult::Interrupted;
        context.out.stop_loop();
    }
}
