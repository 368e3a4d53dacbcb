//! Errands: questions to the relay and files to fetch, several at once. Each is a
//! state machine of its own that travels with the one connection that works for
//! it; when that ends, the errand goes on with the next one or is done.
//!
//! Whoever runs errands hands over what is heard on their connections: a client
//! runs one at a time, a node with a console as many as it allows.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::mpsc::Sender;

use crate::close_reason::End;
use crate::exit::Exit;
use crate::jobs::choice::Choice;
use crate::jobs::completion::Completion;
use crate::jobs::connection::{Session, With};
use crate::jobs::fetch::Fetch;
use crate::jobs::query::Question;
use crate::jobs::relay_query::{Answer, Asking};
use crate::jobs::user::{Listing, News, NotStored, Trouble, User};
use crate::protocol::{Code, ContentHash, FileItem, FileName, NodeAddress, canonical};
use crate::role::{Heard, Next, Role, Turn};
use crate::session::udp_requests::Exchanges;

/// An errand, for as long as the program runs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ErrandId(u64);

/// What is to be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Errand {
    /// See whether the relay is there, and what nodes it lists.
    Look,
    /// Show the answer.
    Ask(Question),
    /// Fetch a file; with a hash, only the content that has it.
    Get(FileName<'static>, Option<ContentHash>),
    /// Likewise, at the nodes that were listed last: the relay is not asked again.
    GetAmongKnown(FileName<'static>, Option<ContentHash>),
}

/// A role that runs errands.
pub trait Runs: Role<Session: From<Session>> {}

impl<R: Role<Session: From<Session>>> Runs for R {}

/// All errands that are run for one user.
pub struct Errands {
    pub(super) user: Box<dyn User>,
    /// Whether the user can be asked which one of several contents is meant.
    pub(super) may_ask: bool,
    /// The relay's addresses, tried in turn; not empty.
    relay: Vec<SocketAddr>,
    /// Which of them answered last: it need not be found again.
    answers: usize,
    /// The most lines of one list.
    max_nodes: u64,
    /// Where we ourselves are, if we are a node.
    pub(super) us: Option<NodeAddress>,
    /// As the relay listed them last.
    pub(super) nodes: Vec<NodeAddress>,
    /// None of them if the relay is to be asked over TCP only.
    pub(super) exchanges: Exchanges<Session>,
    /// How many were begun.
    begun: u64,
    /// Those that fetch a file, and which.
    fetching: BTreeMap<ErrandId, FileName<'static>>,
}

/// What the relay is asked for.
pub(super) enum Purpose {
    /// To see whether it is there.
    Look,
    /// To show the answer.
    Show,
    /// To fetch a file.
    Fetch(Fetch),
    /// To complete a file name.
    Complete(Completion),
}

/// An errand is over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Done {
    /// Whether it was to fetch a file.
    pub fetched: bool,
    /// How it went.
    pub exit: Exit,
    /// The user can be asked which one of several contents is meant.
    pub choice: Option<Choice>,
    /// Nobody reads what we print any more: there is nothing left to do.
    pub reader_gone: bool,
}

impl Errands {
    /// Errands for `user`. `relay` is not empty.
    #[must_use]
    pub fn new(user: impl User + 'static, relay: Vec<SocketAddr>, max_nodes: u64) -> Self {
        Self {
            user: Box::new(user),
            may_ask: false,
            relay,
            answers: 0,
            max_nodes,
            us: None,
            nodes: Vec::new(),
            exchanges: Exchanges::default(),
            begun: 0,
            fetching: BTreeMap::new(),
        }
    }

    /// Whom they are run for.
    pub fn user(&mut self) -> &mut dyn User {
        &mut *self.user
    }

    /// Whether the user can be asked which one of several contents is meant.
    pub fn may_ask(&mut self, may: bool) {
        self.may_ask = may;
    }

    /// This is where we ourselves are: there is nothing to be fetched.
    pub fn is_us(&mut self, address: NodeAddress) {
        self.us = Some(address);
    }

    /// How many files are being fetched.
    #[must_use]
    pub fn fetching(&self) -> usize {
        self.fetching.len()
    }

    /// Whether this one is.
    #[must_use]
    pub fn is_fetching(&self, name: &FileName<'_>) -> bool {
        self.fetching.values().any(|fetched| fetched == name)
    }

    /// The relay's addresses, first the one that answered last.
    pub fn relay(&self) -> Vec<SocketAddr> {
        let mut relay = self.relay.clone();
        relay.rotate_left(self.answers);
        relay
    }

    /// Begins one more. Says so if it is done already.
    pub fn begin<R: Runs>(&mut self, turn: &mut Turn<'_, R>, errand: Errand) -> Option<Done> {
        let id = self.next_id();
        let (question, purpose) = match errand {
            Errand::Look => (Question::Nodes, Purpose::Look),
            Errand::Ask(question) => (question, Purpose::Show),
            Errand::Get(name, hash) => {
                self.fetching.insert(id, name.clone());
                (Question::Nodes, Purpose::Fetch(Fetch::new(name, hash)))
            }
            Errand::GetAmongKnown(name, hash) => {
                self.fetching.insert(id, name.clone());
                return self.ask_for_holders(turn, id, Fetch::new(name, hash));
            }
        };
        self.ask(turn, id, question, purpose);
        None
    }

    /// Collects file names that start with `prefix` and sends them to `answer`: not
    /// all if there are many, none if the relay gives no list.
    pub fn complete<R: Runs>(
        &mut self,
        turn: &mut Turn<'_, R>,
        prefix: String,
        answer: Sender<Vec<String>>,
    ) {
        let question = Question::files(&prefix);
        let completion = Completion::new(prefix, answer);
        match question {
            Ok(question) => {
                let errand = self.next_id();
                self.ask(turn, errand, question, Purpose::Complete(completion));
            }
            Err(_) => completion.finish(),
        }
    }

    /// Forgets what was fetched in part: the program ends.
    pub fn abandon(&mut self) {
        for errand in std::mem::take(&mut self.fetching).into_keys() {
            self.user.abandon(errand);
        }
    }

    /// Something was heard on a connection of an errand; `reply` goes there.
    pub fn heard(&mut self, session: &mut Session, heard: Heard<'_>, reply: &mut Vec<u8>) -> Next {
        match (&mut session.with, heard) {
            (With::Relay(asking, _), Heard::Connected) => asking.ask(reply),
            (With::Relay(asking, purpose), Heard::Line(line)) => {
                let each = |file: &FileItem<'_>| match purpose {
                    Purpose::Complete(completion) => Ok(completion.take(file.name.as_str())),
                    _ => self.user.show(Listing::File(file)).map(|()| true),
                };
                asking.heard(line, self.max_nodes, each, reply)
            }
            (With::Node(_, fetch), Heard::Connected) => fetch.ask(reply),
            (With::Node(visit, fetch), Heard::Line(line)) => {
                fetch.answered(session.errand, visit, line, &mut *self.user)
            }
            (With::Node(visit, fetch), Heard::Body(bytes)) => {
                fetch.received(session.errand, visit, bytes, &mut *self.user)
            }
            (_, Heard::Resumed) => Next::Line,
            (With::Relay(..), Heard::Body(_)) | (_, Heard::Broken(_)) => Next::Close(End::Nonsense),
        }
    }

    /// A connection of an errand is over. Says so if the errand is.
    pub fn ended<R: Runs>(
        &mut self,
        turn: &mut Turn<'_, R>,
        session: Session,
        end: &End,
    ) -> Option<Done> {
        let errand = session.errand;
        if let End::Cut = end {
            // The program ends, and begins nothing new.
            self.user.abandon(errand);
            return Some(self.done(errand, Exit::Interrupted));
        }
        match session.with {
            With::Relay(asking, purpose) => self.relay_ended(turn, errand, asking, purpose, end),
            With::Node(visit, fetch) => self.node_ended(turn, errand, visit, fetch, end),
        }
    }

    fn next_id(&mut self) -> ErrandId {
        self.begun += 1;
        ErrandId(self.begun)
    }

    pub(super) fn ask<R: Runs>(
        &mut self,
        turn: &mut Turn<'_, R>,
        errand: ErrandId,
        question: Question,
        purpose: Purpose,
    ) {
        self.ask_at(turn, errand, Asking::new(question, self.answers), purpose);
    }

    fn ask_at<R: Runs>(
        &mut self,
        turn: &mut Turn<'_, R>,
        errand: ErrandId,
        asking: Asking,
        purpose: Purpose,
    ) {
        let address = self.relay[asking.address];
        let brief = asking.question.is_brief();
        let with = With::Relay(asking, purpose);
        self.talk(turn, address, Session { errand, with }, brief);
    }

    /// A conversation with the relay is over.
    fn relay_ended<R: Runs>(
        &mut self,
        turn: &mut Turn<'_, R>,
        errand: ErrandId,
        asking: Asking,
        purpose: Purpose,
        end: &End,
    ) -> Option<Done> {
        let all = self.relay.len();
        let may_try_another = asking.tried < all && asking.may_be_repeated();
        let trouble = match &asking.answer {
            Answer::Complete => return self.answered(turn, errand, asking, purpose),
            Answer::Open if may_try_another => {
                self.ask_at(turn, errand, asking.again(all), purpose);
                return None;
            }
            Answer::Open => Trouble::Ended(end),
            Answer::NotFound => Trouble::NoHolder,
            Answer::Error(code, text) => Trouble::Error(*code, text.clone()),
            Answer::TooMany(count) => Trouble::TooMany(*count),
            Answer::NotShown(why) => return Some(self.not_shown(errand, why)),
        };
        let exit = match (&purpose, &asking.question, &asking.answer) {
            (Purpose::Show, Question::Holders(_), Answer::NotFound)
            | (Purpose::Show, Question::Message(..), Answer::Error(Code::NoSuchNode, _)) => {
                Exit::NotFound
            }
            _ => Exit::Relay,
        };
        match (purpose, &asking.question) {
            // Without the relay's help the nodes are asked in the order of the list.
            (Purpose::Fetch(fetch), Question::Holders(_)) => {
                return self.search_among(turn, errand, fetch, &[]);
            }
            (Purpose::Fetch(fetch), _) => {
                let name = &fetch.name;
                let trouble = &trouble;
                self.user.tell(News::NoNodes { name, trouble });
                return Some(self.done(errand, exit));
            }
            (Purpose::Complete(completion), _) => {
                completion.finish();
                return None;
            }
            (Purpose::Look | Purpose::Show, _) => {}
        }
        if let Question::Files(_) = asking.question {
            // What came is shown before the trouble is told. If it cannot be, the
            // trouble is all that is left to tell.
            let _ = self.user.show(Listing::BrokenOff);
        }
        self.user
            .tell(News::RelayFailed(&asking.question, &trouble));
        Some(self.done(errand, exit))
    }

    /// The relay has answered.
    fn answered<R: Runs>(
        &mut self,
        turn: &mut Turn<'_, R>,
        errand: ErrandId,
        mut asking: Asking,
        purpose: Purpose,
    ) -> Option<Done> {
        if !canonical(self.relay[asking.address].ip()).is_loopback() {
            // Another machine's word on what listens on ours is not to be believed.
            asking.nodes.retain(|node| !node.is_loopback());
            asking.holders.retain(|holder| !holder.node.is_loopback());
        }
        self.answers = asking.address;
        match (purpose, &asking.question) {
            (Purpose::Show, _) => Some(self.show(errand, &asking)),
            (Purpose::Fetch(fetch), Question::Holders(_)) => {
                self.search_among(turn, errand, fetch, &asking.holders)
            }
            (Purpose::Fetch(fetch), _) => {
                self.listed(asking.nodes);
                self.ask_for_holders(turn, errand, fetch)
            }
            (Purpose::Complete(completion), _) => {
                completion.finish();
                None
            }
            (Purpose::Look, _) => {
                self.listed(asking.nodes);
                Some(self.done(errand, Exit::Success))
            }
        }
    }

    fn listed(&mut self, nodes: Vec<NodeAddress>) {
        self.nodes = nodes;
        self.user.tell(News::Nodes(&self.nodes));
    }

    /// Shows the whole answer to a question.
    fn show(&mut self, errand: ErrandId, asking: &Asking) -> Done {
        let shown = match &asking.question {
            Question::Nodes => self.user.show(Listing::Nodes(&asking.nodes)),
            question @ Question::Holders(_) if asking.holders.is_empty() => {
                self.user
                    .tell(News::RelayFailed(question, &Trouble::NoHolder));
                return self.done(errand, Exit::NotFound);
            }
            Question::Holders(_) => self.user.show(Listing::Holders(&asking.holders)),
            Question::Files(_) => self.user.show(Listing::EndOfFiles(asking.shown())),
            Question::Message(..) => {
                self.user.tell(News::Sent);
                Ok(())
            }
        };
        match shown {
            Err(why) => self.not_shown(errand, &why),
            Ok(()) if asking.found_nothing() => self.done(errand, Exit::NotFound),
            Ok(()) => self.done(errand, Exit::Success),
        }
    }

    fn not_shown(&mut self, errand: ErrandId, why: &NotStored) -> Done {
        if why.reader_gone {
            return self.reader_gone(errand);
        }
        self.user.tell(News::NotShown(why));
        self.done(errand, Exit::NotStored)
    }

    pub(super) fn done(&mut self, errand: ErrandId, exit: Exit) -> Done {
        Done {
            fetched: self.fetching.remove(&errand).is_some(),
            exit,
            choice: None,
            reader_gone: false,
        }
    }

    pub(super) fn reader_gone(&mut self, errand: ErrandId) -> Done {
        Done {
            reader_gone: true,
            ..self.done(errand, Exit::Success)
        }
    }
}
