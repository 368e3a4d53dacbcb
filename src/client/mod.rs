//! The client: asks the relay, closes, then asks one node at a time, and stops
//! at the first that has the file. It runs one job at a time, or leads one
//! conversation.

mod chat;

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::client::chat::Chat;
use crate::close_reason::{CloseReason, ResourceLimit};
use crate::exit::Exit;
use crate::jobs::{
    Choices, Chosen, Done, HELP, Job, JobConnection, JobRunner, PromptKind, Query, TerminalEvent,
    Typed, User,
};
use crate::protocol::{ContentHash, FileName, NodeAddress, Text};
use crate::role::{ConnId, Context, Input, ReadNext, Role, UdpPeer};
use crate::session::udp_requests::UdpRequests;

/// The client's part.
pub struct Client {
    jobs: JobRunner,
    choices: Choices,
    /// The conversation that is led.
    chat: Option<Chat>,
    task: Task,
    /// The relay was there at the start: commands come one by one from the user.
    prompting: bool,
    /// The user was asked for a line, and meant it to be this.
    asked: Option<PromptKind>,
    exit: Exit,
}

/// What the client is asked to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Task {
    /// See whether the relay is there, then wait for commands.
    Prompt,
    /// Show the answer.
    Ask(Query),
    /// Fetch these files; with a hash, only the content that has it.
    Get(VecDeque<FileName<'static>>, Option<ContentHash>),
    /// Send a message, and show what arrives for so long.
    SendAndWait(NodeAddress, Text<'static>, Duration),
    /// Lead a conversation with this one, or with whoever speaks last, and listen
    /// on for so long after the end of input.
    Chat(Option<NodeAddress>, Duration),
}

/// One connection of a client.
pub enum ClientSession {
    /// An job's.
    Job(Box<JobConnection>),
    /// Where messages arrive.
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
            Self::MessageSubscription => f.write_str("our mailbox"),
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
            jobs: JobRunner::new(user, relay, max_nodes),
            choices: Choices::default(),
            chat: None,
            task,
            prompting: false,
            asked: None,
            exit: Exit::Success,
        }
    }

    /// If the user `may` be asked which one of several contents is meant, the next
    /// line that is typed is the answer.
    #[must_use]
    pub fn asking(mut self, may: bool) -> Self {
        self.jobs.may_ask(may);
        self
    }

    /// Asks the relay in datagrams where it can.
    #[must_use]
    pub fn by_datagrams(mut self, exchanges: UdpRequests<JobConnection>) -> Self {
        self.jobs.by_datagrams(exchanges);
        self
    }

    /// How it went.
    #[must_use]
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// Begins an job, and deals with it if it is done at once.
    fn begin(&mut self, context: &mut Context<'_, Self>, job: Job) {
        let mut next = Some(job);
        while let Some(job) = next.take() {
            if let Some(done) = self.jobs.begin(context, job) {
                next = self.after(context, done);
            }
        }
    }

    /// JobRunner are done: begins what comes next.
    fn go_on(&mut self, context: &mut Context<'_, Self>, done: impl IntoIterator<Item = Done>) {
        for done in done {
            if let Some(job) = self.after(context, done) {
                self.begin(context, job);
            }
        }
    }

    /// An job is done: says what comes next.
    fn after(&mut self, context: &mut Context<'_, Self>, done: Done) -> Option<Job> {
        if let Some(choice) = done.choice {
            self.choices.add(choice, self.jobs.user());
            self.ready();
            return None;
        }
        if done.reader_gone {
            context.out.stop_loop();
            return None;
        }
        self.over(context, done.exit)
    }

    /// A command, or one of the files to fetch, is over: says what comes next.
    fn over(&mut self, context: &mut Context<'_, Self>, exit: Exit) -> Option<Job> {
        self.exit = self.exit.or(exit);
        match &mut self.task {
            Task::Prompt if self.prompting || exit == Exit::Success => {
                self.prompting = true;
                self.ready();
                return None;
            }
            // Without a list there is nobody to ask; and what was shown in part is
            // not to be followed by more.
            Task::Get(..) if matches!(exit, Exit::Relay | Exit::Incomplete) => {}
            Task::Get(names, hash) => {
                if let Some(name) = names.pop_front() {
                    return Some(Job::GetAmongKnown(name, *hash));
                }
            }
            Task::Prompt | Task::Ask(_) | Task::SendAndWait(..) | Task::Chat(..) => {}
        }
        context.out.stop_loop();
        None
    }

    fn input_ended(&mut self, context: &mut Context<'_, Self>) {
        if let (Task::Chat(..), Some(chat)) = (&self.task, &mut self.chat) {
            chat.listen_on(context.now);
        } else if let Task::Get(..) = self.task {
            // It was to be a choice. The other files are fetched without asking.
            self.jobs.may_ask(false);
            self.typed(context, "");
        } else {
            self.give_up_choice();
            context.out.stop_loop();
        }
    }

    /// At the prompt that is the end of a choice, and of all where there is none.
    fn interrupted(&mut self, context: &mut Context<'_, Self>) {
        self.asked = None;
        if self.task == Task::Prompt && self.give_up_choice() {
            self.ready();
        } else {
            context.out.shut_down();
        }
    }

    /// The user does not want to choose now. Returns whether there was a choice.
    fn give_up_choice(&mut self) -> bool {
        let was_choosing = self.choices.give_up(self.jobs.user());
        if was_choosing {
            self.exit = self.exit.or(Exit::WhichContent);
        }
        was_choosing
    }

    fn typed(&mut self, context: &mut Context<'_, Self>, line: &str) {
        if self.chat.is_some() {
            return self.chat_typed(context, line);
        }
        let exit = match self.choices.typed(line, self.jobs.user()) {
            Some(Chosen::Content(name, hash)) => {
                return self.begin(context, Job::GetAmongKnown(name, Some(hash)));
            }
            Some(Chosen::Nothing) => Exit::WhichContent,
            Some(Chosen::NotYet) => return self.ready(),
            None => match Typed::parse(line) {
                Typed::Get(name, hash) => {
                    return self.begin(context, Job::Get(name.into_owned(), hash));
                }
                Typed::Ask(question) => return self.begin(context, Job::Ask(question)),
                Typed::Chat(to) => {
                    let chat = Chat::typed(self.jobs.relay(), to, Duration::ZERO);
                    return self.begin_chat(context, chat);
                }
                Typed::Quit => return context.out.stop_loop(),
                other => other.explain(line, HELP, self.jobs.user()),
            },
        };
        if let Some(job) = self.over(context, exit) {
            self.begin(context, job);
        }
    }

    /// Asks the user for one line.
    fn ready(&mut self) {
        if self.asked.is_none() {
            let wanted = match &self.chat {
                Some(chat) => chat.wanted(),
                None => self.choices.wanted(),
            };
            self.asked = Some(wanted);
            self.jobs.user().prompt(wanted);
        }
    }
}

impl Role for Client {
    type Session = ClientSession;
    /// The client sends no files.
    type File = std::os::fd::OwnedFd;
    type Message = TerminalEvent;

    fn start(&mut self, context: &mut Context<'_, Self>) {
        let job = match &mut self.task {
            Task::Prompt => Job::Look,
            Task::Ask(question) => Job::Ask(question.clone()),
            Task::Get(names, hash) => match names.pop_front() {
                Some(name) => Job::Get(name, *hash),
                None => return context.out.stop_loop(),
            },
            Task::SendAndWait(to, text, wait) => {
                let chat = Chat::given(self.jobs.relay(), *to, text.clone(), *wait);
                return self.begin_chat(context, chat);
            }
            Task::Chat(to, wait) => {
                let chat = Chat::typed(self.jobs.relay(), *to, *wait);
                return self.begin_chat(context, chat);
            }
        };
        self.begin(context, job);
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
        connection: &mut ClientSession,
        heard: Input<'_>,
    ) -> ReadNext {
        match connection {
            ClientSession::Job(session) => {
                self.jobs.on_input(session, heard, context.out.text(conn))
            }
            ClientSession::MessageSubscription => self.chat_heard(context, conn, heard),
        }
    }

    fn on_close(
        &mut self,
        context: &mut Context<'_, Self>,
        connection: ClientSession,
        end: &CloseReason,
    ) {
        let session = match connection {
            ClientSession::Job(session) => *session,
            ClientSession::MessageSubscription => return self.chat_ended(context, end),
        };
        let done = self.jobs.on_close(context, session, end);
        self.go_on(context, done);
    }

    fn on_datagram(&mut self, context: &mut Context<'_, Self>, from: UdpPeer, bytes: &[u8]) {
        let done = self.jobs.datagram(context, from, bytes);
        self.go_on(context, done);
    }

    fn on_udp_unreachable(&mut self, context: &mut Context<'_, Self>, socket: u32) {
        let done = self.jobs.on_udp_unreachable(context, socket);
        self.go_on(context, done);
    }

    fn on_message(&mut self, context: &mut Context<'_, Self>, message: TerminalEvent) {
        match message {
            TerminalEvent::Typed(line) => {
                let meant = self.asked.take();
                if matches!(meant, Some(PromptKind::Words(_))) && self.chat.is_none() {
                    return self.said_too_late(&line);
                }
                self.typed(context, &line);
            }
            // What is said is no file name.
            TerminalEvent::Complete { .. } if self.chat.is_some() => {}
            TerminalEvent::Complete { prefix, answer } => {
                self.jobs.complete(context, prefix, answer)
            }
            TerminalEvent::EndOfInput => self.input_ended(context),
            TerminalEvent::Interrupt => self.interrupted(context),
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let chat = self.chat.as_ref().and_then(Chat::next_deadline);
        [chat, self.jobs.next_deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    fn on_timer(&mut self, context: &mut Context<'_, Self>) {
        self.chat_due(context);
        let done = self.jobs.on_timer(context);
        self.go_on(context, done);
    }

    fn drain(&mut self, context: &mut Context<'_, Self>) {
        self.jobs.abandon();
        self.exit = Exit::Interrupted;
        context.out.stop_loop();
    }
}
