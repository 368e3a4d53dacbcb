//! The client: asks the relay, closes, then asks one node at a time, and stops
//! at the first that has the file.

mod asking;
mod command;
mod fetch;
mod question;
mod session;
mod user;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

pub use asking::{Answer, Asking};
pub use command::{HELP, Typed, WORDS};
pub use question::Question;
pub use session::{Outcome, Session};
pub use user::{Listing, News, NotStored, Trouble, User};

use self::fetch::Fetch;
use super::visitor::say;
use super::{ConnId, Heard, Next, Role, Turn};
use crate::end::{End, Full};
use crate::exit::Exit;
use crate::protocol::{Code, ContentHash, FileName, NodeAddress, Request, canonical};

/// The client's part.
pub struct Client<U: User> {
    user: U,
    /// The relay's addresses, tried in turn, from the one that answered last; not
    /// empty.
    relay: Vec<SocketAddr>,
    /// The most lines of one list.
    max_nodes: u64,
    /// Whether commands come one by one from the user.
    prompting: bool,
    task: Task,
    nodes: Vec<NodeAddress>,
    fetch: Option<Fetch>,
    exit: Exit,
}

/// What the client is asked to do. Each begins with a question to the relay.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Task {
    /// See whether the relay is there, then wait for commands.
    Prompt,
    /// Show the answer.
    Ask(Question),
    /// Fetch these files; with a hash, only the content that has it.
    Get(VecDeque<FileName<'static>>, Option<ContentHash>),
}

/// What other threads tell a client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Message {
    /// The user typed a line.
    Typed(String),
    /// There will be no more lines.
    EndOfInput,
}

impl<U: User> Client<U> {
    /// A client that does `task` for `user`. `relay` is not empty.
    #[must_use]
    pub fn new(user: U, relay: Vec<SocketAddr>, max_nodes: u64, task: Task) -> Self {
        Self {
            user,
            relay,
            max_nodes,
            prompting: task == Task::Prompt,
            task,
            nodes: Vec::new(),
            fetch: None,
            exit: Exit::Success,
        }
    }

    /// How it went.
    #[must_use]
    pub fn exit(&self) -> Exit {
        self.exit
    }

    fn begin(&mut self, turn: &mut Turn<'_, Self>, task: Task) {
        self.task = task;
        let question = match &self.task {
            Task::Ask(question) => question.clone(),
            Task::Prompt | Task::Get(..) => Question::Nodes,
        };
        self.ask_relay(turn, question, 0);
    }

    fn ask_relay(&self, turn: &mut Turn<'_, Self>, question: Question, attempt: usize) {
        let session = Session::Relay(Asking::new(question, attempt));
        turn.out.dial(self.relay[attempt], session);
    }

    /// A conversation with the relay is over.
    fn relay_ended(&mut self, turn: &mut Turn<'_, Self>, asking: Asking, end: &End) {
        let attempt = asking.attempt + 1;
        let may_try_another = attempt < self.relay.len() && asking.may_be_repeated();
        let trouble = match &asking.answer {
            Answer::Complete => return self.answered(turn, asking),
            Answer::Open if may_try_another => {
                return self.ask_relay(turn, asking.question, attempt);
            }
            Answer::Open => Trouble::Ended(end),
            Answer::NotFound => Trouble::NoHolder,
            Answer::Error(code, text) => Trouble::Error(*code, text.clone()),
            Answer::TooMany(count) => Trouble::TooMany(*count),
            Answer::NotShown(why) => {
                return self.not_shown(turn, why);
            }
        };
        match (&self.task, &asking.question) {
            // Without the relay's help the nodes are asked in the order of the list.
            (Task::Get(..), Question::Holders(_)) => return self.search_among(turn, &[]),
            (Task::Ask(Question::Holders(_)), _) if matches!(asking.answer, Answer::NotFound) => {
                self.exit = self.exit.or(Exit::NotFound);
            }
            (Task::Ask(Question::Message(..)), _)
                if matches!(asking.answer, Answer::Error(Code::NoSuchNode, _)) =>
            {
                self.exit = self.exit.or(Exit::NotFound);
            }
            _ => self.exit = self.exit.or(Exit::Relay),
        }
        if let Question::Files(_) = asking.question {
            // What came is shown before the trouble is told. If it cannot be, the
            // trouble is all that is left to tell.
            let _ = self.user.show(Listing::BrokenOff);
        }
        self.user
            .tell(News::RelayFailed(&asking.question, &trouble));
        if self.task == Task::Prompt {
            turn.out.finish();
        } else {
            self.done(turn);
        }
    }

    /// The relay has answered.
    fn answered(&mut self, turn: &mut Turn<'_, Self>, mut asking: Asking) {
        if !canonical(self.relay[asking.attempt].ip()).is_loopback() {
            // Another machine's word on what listens on ours is not to be believed.
            asking.nodes.retain(|node| !node.is_loopback());
            asking.holders.retain(|holder| !holder.node.is_loopback());
        }
        // It need not be found again for the next question.
        self.relay.rotate_left(asking.attempt);
        match (&self.task, &asking.question) {
            (Task::Get(..), Question::Holders(_)) => {
                self.search_among(turn, &asking.holders);
            }
            (Task::Prompt | Task::Get(..), _) => {
                self.nodes = asking.nodes;
                self.user.tell(News::Nodes(&self.nodes));
                if self.task == Task::Prompt {
                    self.user.ready();
                } else {
                    self.next_file(turn);
                }
            }
            (Task::Ask(question), _) => {
                if let (Question::Holders(_), []) = (question, asking.holders.as_slice()) {
                    self.exit = self.exit.or(Exit::NotFound);
                    self.user
                        .tell(News::RelayFailed(question, &Trouble::NoHolder));
                    return self.done(turn);
                }
                let shown = match question {
                    Question::Nodes => self.user.show(Listing::Nodes(&asking.nodes)),
                    Question::Holders(_) => self.user.show(Listing::Holders(&asking.holders)),
                    Question::Files(_) => self.user.show(Listing::EndOfFiles(asking.shown())),
                    Question::Message(..) => {
                        self.user.tell(News::Sent);
                        Ok(())
                    }
                };
                if let Err(why) = shown {
                    return self.not_shown(turn, &why);
                }
                if matches!(question, Question::Files(text) if !text.is_empty())
                    && asking.shown() == 0
                {
                    self.exit = self.exit.or(Exit::NotFound);
                }
                self.done(turn);
            }
        }
    }

    fn not_shown(&mut self, turn: &mut Turn<'_, Self>, why: &NotStored) {
        if why.reader_gone {
            return turn.out.finish();
        }
        self.user.tell(News::NotShown(why));
        self.exit = self.exit.or(Exit::NotStored);
        self.done(turn);
    }

    fn done(&mut self, turn: &mut Turn<'_, Self>) {
        if self.prompting {
            self.user.ready();
        } else {
            turn.out.finish();
        }
    }

    fn typed(&mut self, turn: &mut Turn<'_, Self>, line: &str) {
        match Typed::parse(line) {
            Typed::Get(name, hash) => {
                let name = name.into_owned();
                return self.begin(turn, Task::Get([name].into(), hash));
            }
            Typed::Ask(question) => return self.begin(turn, Task::Ask(question)),
            Typed::Quit => return turn.out.finish(),
            Typed::Empty => {}
            Typed::Help => self.user.tell(News::Help(HELP)),
            Typed::Surplus(word) => {
                self.user.tell(News::Surplus {
                    word,
                    line: line.trim(),
                });
                self.exit = self.exit.or(Exit::Usage);
            }
            Typed::NotYet(word) => {
                self.user.tell(News::NotYet(word));
                self.exit = self.exit.or(Exit::Usage);
            }
            Typed::Wrong(why) => {
                self.user.tell(News::Wrong(&why));
                self.exit = self.exit.or(Exit::Usage);
            }
        }
        self.user.ready();
    }
}

impl<U: User> Role for Client<U> {
    type Session = Session;
    /// The client sends no files.
    type File = std::os::fd::OwnedFd;
    type Message = Message;

    fn start(&mut self, turn: &mut Turn<'_, Self>) {
        let task = self.task.clone();
        self.begin(turn, task);
    }

    fn accepted(&mut self, _: SocketAddr) -> Session {
        unreachable!("a client listens nowhere")
    }

    fn refused(&self, _: Full, _: &mut Vec<u8>) {}

    fn heard(
        &mut self,
        turn: &mut Turn<'_, Self>,
        conn: ConnId,
        session: &mut Session,
        heard: Heard<'_>,
    ) -> Next {
        let line = turn.out.text(conn);
        match (session, heard) {
            (Session::Relay(asking), Heard::Connected) => asking.ask(line),
            (Session::Relay(asking), Heard::Line(said)) => {
                asking.heard(said, self.max_nodes, &mut self.user, line)
            }
            (Session::Node { .. }, Heard::Connected) => {
                if let Some(fetch) = &self.fetch {
                    say(line, Request::Get(fetch.name.clone()));
                }
                Next::Line
            }
            (
                Session::Node {
                    node,
                    body,
                    outcome,
                    ..
                },
                Heard::Line(line),
            ) => self.node_answered(*node, line, body, outcome),
            (Session::Node { body, outcome, .. }, Heard::Body(bytes)) => {
                self.node_sent(bytes, body, outcome)
            }
            (_, Heard::Resumed) => Next::Line,
            (Session::Relay(_), Heard::Body(_)) | (_, Heard::Broken(_)) => {
                Next::Close(End::Nonsense)
            }
        }
    }

    fn ended(&mut self, turn: &mut Turn<'_, Self>, session: Session, end: &End) {
        match session {
            Session::Relay(asking) => self.relay_ended(turn, asking, end),
            Session::Node {
                node,
                asked,
                body,
                outcome,
            } => self.node_ended(turn, node, asked, body, outcome, end),
        }
    }

    fn told(&mut self, turn: &mut Turn<'_, Self>, message: Message) {
        match message {
            Message::Typed(line) => self.typed(turn, &line),
            Message::EndOfInput => turn.out.finish(),
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        None
    }

    fn tick(&mut self, _: &mut Turn<'_, Self>) {}

    fn drain(&mut self, turn: &mut Turn<'_, Self>) {
        self.user.abandon();
        self.exit = Exit::Interrupted;
        turn.out.finish();
    }
}
