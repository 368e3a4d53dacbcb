//! The client: asks the relay, closes, then asks one node at a time, and stops
//! at the first that has the file. It runs one errand at a time, or leads one
//! conversation.

mod chat;

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::client::chat::Chat;
use crate::close_reason::{End, Full};
use crate::exit::Exit;
use crate::jobs::{
    Choices, Chosen, Done, Errand, Errands, HELP, Message, Question, Session, Typed, User, Wanted,
};
use crate::protocol::{ContentHash, FileName, NodeAddress, Text};
use crate::role::{ConnId, Correspondent, Heard, Next, Role, Turn};
use crate::session::udp_requests::Exchanges;

/// The client's part.
pub struct Client {
    errands: Errands,
    choices: Choices,
    /// The conversation that is led.
    chat: Option<Chat>,
    task: Task,
    /// The relay was there at the start: commands come one by one from the user.
    prompting: bool,
    /// The user was asked for a line, and meant it to be this.
    asked: Option<Wanted>,
    exit: Exit,
}

/// What the client is asked to do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Task {
    /// See whether the relay is there, then wait for commands.
    Prompt,
    /// Show the answer.
    Ask(Question),
    /// Fetch these files; with a hash, only the content that has it.
    Get(VecDeque<FileName<'static>>, Option<ContentHash>),
    /// Send a message, and show what arrives for so long.
    SendAndWait(NodeAddress, Text<'static>, Duration),
    /// Lead a conversation with this one, or with whoever speaks last, and listen
    /// on for so long after the end of input.
    Chat(Option<NodeAddress>, Duration),
}

/// One connection of a client.
pub enum Connection {
    /// An errand's.
    Errand(Box<Session>),
    /// Where messages arrive.
    Mailbox,
}

impl From<Session> for Connection {
    fn from(session: Session) -> Self {
        Self::Errand(session.into())
    }
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Errand(session) => session.fmt(f),
            Self::Mailbox => f.write_str("our mailbox"),
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
            errands: Errands::new(user, relay, max_nodes),
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
        self.errands.may_ask(may);
        self
    }

    /// Asks the relay in datagrams where it can.
    #[must_use]
    pub fn by_datagrams(mut self, exchanges: Exchanges<Session>) -> Self {
        self.errands.by_datagrams(exchanges);
        self
    }

    /// How it went.
    #[must_use]
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// Begins an errand, and deals with it if it is done at once.
    fn begin(&mut self, turn: &mut Turn<'_, Self>, errand: Errand) {
        let mut next = Some(errand);
        while let Some(errand) = next.take() {
            if let Some(done) = self.errands.begin(turn, errand) {
                next = self.after(turn, done);
            }
        }
    }

    /// Errands are done: begins what comes next.
    fn go_on(&mut self, turn: &mut Turn<'_, Self>, done: impl IntoIterator<Item = Done>) {
        for done in done {
            if let Some(errand) = self.after(turn, done) {
                self.begin(turn, errand);
            }
        }
    }

    /// An errand is done: says what comes next.
    fn after(&mut self, turn: &mut Turn<'_, Self>, done: Done) -> Option<Errand> {
        if let Some(choice) = done.choice {
            self.choices.add(choice, self.errands.user());
            self.ready();
            return None;
        }
        if done.reader_gone {
            turn.out.finish();
            return None;
        }
        self.over(turn, done.exit)
    }

    /// A command, or one of the files to fetch, is over: says what comes next.
    fn over(&mut self, turn: &mut Turn<'_, Self>, exit: Exit) -> Option<Errand> {
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
                    return Some(Errand::GetAmongKnown(name, *hash));
                }
            }
            Task::Prompt | Task::Ask(_) | Task::SendAndWait(..) | Task::Chat(..) => {}
        }
        turn.out.finish();
        None
    }

    fn input_ended(&mut self, turn: &mut Turn<'_, Self>) {
        if let (Task::Chat(..), Some(chat)) = (&self.task, &mut self.chat) {
            chat.listen_on(turn.now);
        } else if let Task::Get(..) = self.task {
            // It was to be a choice. The other files are fetched without asking.
            self.errands.may_ask(false);
            self.typed(turn, "");
        } else {
            self.give_up_choice();
            turn.out.finish();
        }
    }

    /// At the prompt that is the end of a choice, and of all where there is none.
    fn interrupted(&mut self, turn: &mut Turn<'_, Self>) {
        self.asked = None;
        if self.task == Task::Prompt && self.give_up_choice() {
            self.ready();
        } else {
            turn.out.stop();
        }
    }

    /// The user does not want to choose now. Returns whether there was a choice.
    fn give_up_choice(&mut self) -> bool {
        let was_choosing = self.choices.give_up(self.errands.user());
        if was_choosing {
            self.exit = self.exit.or(Exit::WhichContent);
        }
        was_choosing
    }

    fn typed(&mut self, turn: &mut Turn<'_, Self>, line: &str) {
        if self.chat.is_some() {
            return self.chat_typed(turn, line);
        }
        let exit = match self.choices.typed(line, self.errands.user()) {
            Some(Chosen::Content(name, hash)) => {
                return self.begin(turn, Errand::GetAmongKnown(name, Some(hash)));
            }
            Some(Chosen::Nothing) => Exit::WhichContent,
            Some(Chosen::NotYet) => return self.ready(),
            None => match Typed::parse(line) {
                Typed::Get(name, hash) => {
                    return self.begin(turn, Errand::Get(name.into_owned(), hash));
                }
                Typed::Ask(question) => return self.begin(turn, Errand::Ask(question)),
                Typed::Chat(to) => {
                    let chat = Chat::typed(self.errands.relay(), to, Duration::ZERO);
                    return self.begin_chat(turn, chat);
                }
                Typed::Quit => return turn.out.finish(),
                other => other.explain(line, HELP, self.errands.user()),
            },
        };
        if let Some(errand) = self.over(turn, exit) {
            self.begin(turn, errand);
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
            self.errands.user().ready(wanted);
        }
    }
}

impl Role for Client {
    type Session = Connection;
    /// The client sends no files.
    type File = std::os::fd::OwnedFd;
    type Message = Message;

    fn start(&mut self, turn: &mut Turn<'_, Self>) {
        let errand = match &mut self.task {
            Task::Prompt => Errand::Look,
            Task::Ask(question) => Errand::Ask(question.clone()),
            Task::Get(names, hash) => match names.pop_front() {
                Some(name) => Errand::Get(name, *hash),
                None => return turn.out.finish(),
            },
            Task::SendAndWait(to, text, wait) => {
                let chat = Chat::given(self.errands.relay(), *to, text.clone(), *wait);
                return self.begin_chat(turn, chat);
            }
            Task::Chat(to, wait) => {
                let chat = Chat::typed(self.errands.relay(), *to, *wait);
                return self.begin_chat(turn, chat);
            }
        };
        self.begin(turn, errand);
    }

    fn accepted(&mut self, _: SocketAddr) -> Connection {
        unreachable!("a client listens nowhere")
    }

    fn refused(&self, _: Full, _: &mut Vec<u8>) {}

    fn heard(
        &mut self,
        turn: &mut Turn<'_, Self>,
        conn: ConnId,
        _: SocketAddr,
        connection: &mut Connection,
        heard: Heard<'_>,
    ) -> Next {
        match connection {
            Connection::Errand(session) => self.errands.heard(session, heard, turn.out.text(conn)),
            Connection::Mailbox => self.chat_heard(turn, conn, heard),
        }
    }

    fn ended(&mut self, turn: &mut Turn<'_, Self>, connection: Connection, end: &End) {
        let session = match connection {
            Connection::Errand(session) => *session,
            Connection::Mailbox => return self.chat_ended(turn, end),
        };
        let done = self.errands.ended(turn, session, end);
        self.go_on(turn, done);
    }

    fn datagram(&mut self, turn: &mut Turn<'_, Self>, from: Correspondent, bytes: &[u8]) {
        let done = self.errands.datagram(turn, from, bytes);
        self.go_on(turn, done);
    }

    fn unreachable(&mut self, turn: &mut Turn<'_, Self>, socket: u32) {
        let done = self.errands.unreachable(turn, socket);
        self.go_on(turn, done);
    }

    fn told(&mut self, turn: &mut Turn<'_, Self>, message: Message) {
        match message {
            Message::Typed(line) => {
                let meant = self.asked.take();
                if matches!(meant, Some(Wanted::Words(_))) && self.chat.is_none() {
                    return self.said_too_late(&line);
                }
                self.typed(turn, &line);
            }
            // What is said is no file name.
            Message::Complete { .. } if self.chat.is_some() => {}
            Message::Complete { prefix, answer } => self.errands.complete(turn, prefix, answer),
            Message::EndOfInput => self.input_ended(turn),
            Message::Interrupt => self.interrupted(turn),
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        let chat = self.chat.as_ref().and_then(Chat::next_deadline);
        [chat, self.errands.next_deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    fn tick(&mut self, turn: &mut Turn<'_, Self>) {
        self.chat_due(turn);
        let done = self.errands.tick(turn);
        self.go_on(turn, done);
    }

    fn drain(&mut self, turn: &mut Turn<'_, Self>) {
        self.errands.abandon();
        self.exit = Exit::Interrupted;
        turn.out.finish();
    }
}
