//! The client: asks the relay for its nodes, closes, then asks one node at a
//! time, in the order of the list, and stops at the first that has the file.

mod command;
mod session;
mod user;

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

pub use command::{HELP, Typed, WORDS};
pub use session::{Outcome, Session};
pub use user::{News, NotStored, Trouble, User};

use self::session::relay_said;
use super::visitor::say;
use super::{ConnId, Heard, Next, Role, Turn};
use crate::end::{End, Full};
use crate::exit::Exit;
use crate::protocol::{FileName, NodeAddress, Reply, Request, canonical};

/// The client's part.
pub struct Client<U: User> {
    user: U,
    /// The relay's addresses, tried in turn; not empty.
    relay: Vec<SocketAddr>,
    max_nodes: u64,
    /// Whether commands come one by one from the user.
    prompting: bool,
    task: Task,
    nodes: Vec<NodeAddress>,
    fetch: Option<Fetch>,
    exit: Exit,
}

/// What the client is asked to do. Each begins with the relay's list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Task {
    /// See whether the relay is there, then wait for commands.
    Prompt,
    /// Show the nodes.
    Nodes,
    /// Fetch these files.
    Get(VecDeque<FileName<'static>>),
}

/// The search for one file.
struct Fetch {
    name: FileName<'static>,
    /// How many nodes were asked.
    asked: usize,
    /// How many of them could not answer.
    failed: usize,
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
        self.ask_relay(turn, 0);
    }

    fn ask_relay(&self, turn: &mut Turn<'_, Self>, attempt: usize) {
        let session = Session::Relay {
            attempt,
            left: None,
            nodes: Vec::new(),
            skipped: false,
            outcome: Outcome::Open,
        };
        turn.out.dial(self.relay[attempt], session);
    }

    /// The relay has given its list.
    fn listed(&mut self, turn: &mut Turn<'_, Self>, relay: IpAddr, nodes: Vec<NodeAddress>) {
        self.nodes = nodes;
        if !relay.is_loopback() {
            // Another machine's word on what listens on ours is not to be believed.
            self.nodes.retain(|node| !node.is_loopback());
        }
        match self.task {
            Task::Prompt => {
                self.user.tell(News::Nodes(&self.nodes));
                self.user.ready();
            }
            Task::Nodes => {
                if let Err(why) = self.user.show_nodes(&self.nodes) {
                    if why.reader_gone {
                        return turn.out.finish();
                    }
                    self.user.tell(News::NotShown(&why));
                    self.exit = self.exit.or(Exit::NotStored);
                }
                self.done(turn);
            }
            Task::Get(_) => {
                self.user.tell(News::Nodes(&self.nodes));
                self.next_file(turn);
            }
        }
    }

    fn relay_failed(&mut self, turn: &mut Turn<'_, Self>, trouble: &Trouble<'_>) {
        self.user.tell(News::RelayFailed(trouble));
        self.exit = self.exit.or(Exit::Relay);
        if self.task == Task::Prompt {
            turn.out.finish();
        } else {
            self.done(turn);
        }
    }

    fn next_file(&mut self, turn: &mut Turn<'_, Self>) {
        let name = match &mut self.task {
            Task::Get(names) => names.pop_front(),
            Task::Prompt | Task::Nodes => None,
        };
        let Some(name) = name else {
            return self.done(turn);
        };
        self.fetch = Some(Fetch {
            name,
            asked: 0,
            failed: 0,
        });
        self.ask_next_node(turn);
    }

    fn ask_next_node(&mut self, turn: &mut Turn<'_, Self>) {
        let Some(fetch) = &mut self.fetch else { return };
        let Some(node) = self.nodes.get(fetch.asked).copied() else {
            self.user.tell(News::Missing {
                name: &fetch.name,
                nodes: self.nodes.len(),
                failed: fetch.failed,
            });
            self.exit = self.exit.or(match fetch.failed {
                0 => Exit::NotFound,
                _ => Exit::NodesFailed,
            });
            return self.next_file(turn);
        };
        fetch.asked += 1;
        self.user.tell(News::Asking {
            name: &fetch.name,
            number: fetch.asked,
            of: self.nodes.len(),
            node,
        });
        let session = Session::Node {
            node,
            asked: turn.now,
            body: None,
            outcome: Outcome::Open,
        };
        turn.out.dial(node.into(), session);
    }

    fn node_failed(&mut self, turn: &mut Turn<'_, Self>, node: NodeAddress, trouble: &Trouble<'_>) {
        self.user.tell(News::NodeFailed(node, trouble));
        if let Some(fetch) = &mut self.fetch {
            fetch.failed += 1;
        }
        self.ask_next_node(turn);
    }

    fn done(&mut self, turn: &mut Turn<'_, Self>) {
        if self.prompting {
            self.user.ready();
        } else {
            turn.out.finish();
        }
    }

    fn node_answered(
        &mut self,
        node: NodeAddress,
        line: &[u8],
        body: &mut Option<(u64, u64)>,
        outcome: &mut Outcome,
    ) -> Next {
        let Some(fetch) = &self.fetch else {
            return Next::Close(End::Satisfied);
        };
        match Reply::parse(line) {
            Ok(Reply::Found(size)) => {
                self.user.tell(News::Found { node, size });
                *body = Some((size, 0));
                if let Err(why) = self.user.begin(&fetch.name, size) {
                    *outcome = Outcome::NotStored(why);
                } else if size == 0 {
                    *outcome = self.complete();
                } else {
                    return Next::Body(size);
                }
            }
            Ok(Reply::NotFound) => *outcome = Outcome::NotFound,
            Ok(Reply::Error(code, text)) => *outcome = Outcome::Error(code, text.into_owned()),
            Ok(_) | Err(_) => return Next::Close(End::Nonsense),
        }
        Next::Close(End::Satisfied)
    }

    fn node_sent(
        &mut self,
        bytes: &[u8],
        body: &mut Option<(u64, u64)>,
        outcome: &mut Outcome,
    ) -> Next {
        let Some((size, received)) = body else {
            return Next::Close(End::Nonsense);
        };
        if let Err(why) = self.user.take(bytes) {
            *outcome = Outcome::NotStored(why);
            return Next::Close(End::Satisfied);
        }
        *received += bytes.len() as u64;
        self.user.tell(News::Progress {
            received: *received,
            size: *size,
        });
        if received < size {
            return Next::Line;
        }
        *outcome = self.complete();
        Next::Close(End::Satisfied)
    }

    fn complete(&mut self) -> Outcome {
        match self.user.finish() {
            Ok(()) => Outcome::Complete,
            Err(why) => Outcome::NotStored(why),
        }
    }

    fn node_ended(
        &mut self,
        turn: &mut Turn<'_, Self>,
        node: NodeAddress,
        asked: Instant,
        body: Option<(u64, u64)>,
        outcome: Outcome,
        end: &End,
    ) {
        let Some(fetch) = &self.fetch else { return };
        match outcome {
            Outcome::Complete => {
                self.user.tell(News::Fetched {
                    name: &fetch.name,
                    node,
                    size: body.map_or(0, |(size, _)| size),
                    took: turn.now.saturating_duration_since(asked),
                });
                self.next_file(turn);
            }
            Outcome::NotFound => {
                self.user.tell(News::NotFound(node));
                self.ask_next_node(turn);
            }
            Outcome::Error(code, text) => {
                self.node_failed(turn, node, &Trouble::Error(code, text));
            }
            Outcome::NotStored(why) => {
                self.user.abandon();
                if why.reader_gone {
                    return turn.out.finish();
                }
                self.user.tell(News::NotStored {
                    name: &fetch.name,
                    why: &why,
                });
                self.exit = self.exit.or(Exit::NotStored);
                self.next_file(turn);
            }
            Outcome::Open | Outcome::TooMany(_) => {
                let shown = self.user.abandon();
                let (size, received) = body.unwrap_or_default();
                let trouble = match received {
                    0 => Trouble::Ended(end),
                    _ => Trouble::Broken {
                        received,
                        size,
                        end,
                    },
                };
                if shown == 0 {
                    return self.node_failed(turn, node, &trouble);
                }
                // What was shown cannot be taken back: asking others is no help.
                self.user.tell(News::NodeFailed(node, &trouble));
                self.user.tell(News::Incomplete {
                    name: &fetch.name,
                    shown,
                    size,
                });
                self.exit = self.exit.or(Exit::Incomplete);
                self.done(turn);
            }
        }
    }

    fn typed(&mut self, turn: &mut Turn<'_, Self>, line: &str) {
        match Typed::parse(line) {
            Typed::Get(name) => {
                let name = name.into_owned();
                return self.begin(turn, Task::Get([name].into()));
            }
            Typed::Nodes => return self.begin(turn, Task::Nodes),
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
            Typed::BadName(why) => {
                self.user.tell(News::BadName(why));
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
        self.ask_relay(turn, 0);
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
        match (session, heard) {
            (Session::Relay { .. }, Heard::Connected) => {
                say(turn.out.text(conn), Request::List);
                Next::Line
            }
            (
                Session::Relay {
                    left,
                    nodes,
                    skipped,
                    outcome,
                    ..
                },
                Heard::Line(line),
            ) => relay_said(line, self.max_nodes, left, nodes, skipped, outcome),
            (Session::Node { .. }, Heard::Connected) => {
                if let Some(fetch) = &self.fetch {
                    say(turn.out.text(conn), Request::Get(fetch.name.clone()));
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
            (Session::Relay { .. }, Heard::Body(_)) | (_, Heard::Broken(_)) => {
                Next::Close(End::Nonsense)
            }
        }
    }

    fn ended(&mut self, turn: &mut Turn<'_, Self>, session: Session, end: &End) {
        match session {
            Session::Relay {
                attempt,
                nodes,
                outcome,
                ..
            } => {
                let trouble = match outcome {
                    Outcome::Complete => {
                        let relay = canonical(self.relay[attempt].ip());
                        return self.listed(turn, relay, nodes);
                    }
                    Outcome::Error(code, text) => Trouble::Error(code, text),
                    Outcome::TooMany(count) => Trouble::TooMany(count),
                    Outcome::Open | Outcome::NotFound | Outcome::NotStored(_) => {
                        Trouble::Ended(end)
                    }
                };
                if attempt + 1 < self.relay.len() {
                    self.ask_relay(turn, attempt + 1);
                } else {
                    self.relay_failed(turn, &trouble);
                }
            }
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
