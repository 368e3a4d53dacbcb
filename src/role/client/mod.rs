//! The client: asks the relay, closes, then asks one node at a time, and stops
//! at the first that has the file. It runs one errand at a time.

mod asking;
mod command;
mod completion;
mod errands;
mod fetch;
mod question;
mod session;
mod user;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::mpsc::Sender;
use std::time::Instant;

pub use command::{HELP, Typed, WORDS};
pub use errands::{Done, Errand, ErrandId, Errands, Runs};
pub use question::Question;
pub use session::Session;
pub use user::{Listing, News, NotStored, Trouble, User};

use super::{ConnId, Heard, Next, Role, Turn};
use crate::end::{End, Full};
use crate::exit::Exit;
use crate::protocol::{ContentHash, FileName};

/// The client's part.
pub struct Client<U: User> {
    errands: Errands<U>,
    task: Task,
    /// The relay was there at the start: commands come one by one from the user.
    prompting: bool,
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
}

/// What other threads tell a client, or a node with a console.
#[derive(Clone, Debug)]
pub enum Message {
    /// The user typed a line.
    Typed(String),
    /// The user types a file name that starts so: which ones are there?
    Complete {
        /// What was typed.
        prefix: String,
        /// Gets names that start with it: not all if there are many, none if the
        /// relay gives no list.
        answer: Sender<Vec<String>>,
    },
    /// There will be no more lines.
    EndOfInput,
}

impl<U: User> Client<U> {
    /// A client that does `task` for `user`. `relay` is not empty.
    #[must_use]
    pub fn new(user: U, relay: Vec<SocketAddr>, max_nodes: u64, task: Task) -> Self {
        Self {
            errands: Errands::new(user, relay, max_nodes),
            task,
            prompting: false,
            exit: Exit::Success,
        }
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

    /// An errand is done: says what comes next.
    fn after(&mut self, turn: &mut Turn<'_, Self>, done: Done) -> Option<Errand> {
        self.exit = self.exit.or(done.exit);
        match &mut self.task {
            _ if done.reader_gone => {}
            Task::Prompt if self.prompting || done.exit == Exit::Success => {
                self.prompting = true;
                self.errands.user().ready();
                return None;
            }
            // Without a list there is nobody to ask; and what was shown in part is
            // not to be followed by more.
            Task::Get(..) if matches!(done.exit, Exit::Relay | Exit::Incomplete) => {}
            Task::Get(names, hash) => {
                if let Some(name) = names.pop_front() {
                    return Some(Errand::GetAmongKnown(name, *hash));
                }
            }
            Task::Prompt | Task::Ask(_) => {}
        }
        turn.out.finish();
        None
    }

    fn typed(&mut self, turn: &mut Turn<'_, Self>, line: &str) {
        let user = self.errands.user();
        match Typed::parse(line) {
            Typed::Get(name, hash) => {
                return self.begin(turn, Errand::Get(name.into_owned(), hash));
            }
            Typed::Ask(question) => return self.begin(turn, Errand::Ask(question)),
            Typed::Quit => return turn.out.finish(),
            Typed::Empty => {}
            Typed::Help => user.tell(News::Help(HELP)),
            Typed::Surplus(word) => {
                user.tell(News::Surplus {
                    word,
                    line: line.trim(),
                });
                self.exit = self.exit.or(Exit::Usage);
            }
            Typed::NotYet(word) => {
                user.tell(News::NotYet(word));
                self.exit = self.exit.or(Exit::Usage);
            }
            Typed::Wrong(why) => {
                user.tell(News::Wrong(&why));
                self.exit = self.exit.or(Exit::Usage);
            }
        }
        self.errands.user().ready();
    }
}

impl<U: User> Role for Client<U> {
    type Session = Session;
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
        };
        self.begin(turn, errand);
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
        self.errands.heard(session, heard, turn.out.text(conn))
    }

    fn ended(&mut self, turn: &mut Turn<'_, Self>, session: Session, end: &End) {
        if let Some(done) = self.errands.ended(turn, session, end)
            && let Some(errand) = self.after(turn, done)
        {
            self.begin(turn, errand);
        }
    }

    fn told(&mut self, turn: &mut Turn<'_, Self>, message: Message) {
        match message {
            Message::Typed(line) => self.typed(turn, &line),
            Message::Complete { prefix, answer } => self.errands.complete(turn, prefix, answer),
            Message::EndOfInput => turn.out.finish(),
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        None
    }

    fn tick(&mut self, _: &mut Turn<'_, Self>) {}

    fn drain(&mut self, turn: &mut Turn<'_, Self>) {
        self.errands.abandon();
        self.exit = Exit::Interrupted;
        turn.out.finish();
    }
}
