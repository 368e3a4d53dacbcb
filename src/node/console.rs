//! The node's console: the commands of the client's prompt, typed at a node that
//! runs. Questions are answered one at a time. Files are fetched into the share,
//! beside each other and beside all that the node serves, and the next command
//! may come at once.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::mpsc::Sender;
use std::time::Instant;

use crate::close_reason::End;
use crate::jobs::{
    Choices, Chosen, Done, Errand, Errands, News, Question, Runs, Session, Typed, User,
};
use crate::node::console_commands::Order;
use crate::protocol::{ContentHash, FileName, NodeAddress};
use crate::role::{Correspondent, Heard, Next, Turn};
use crate::session::udp_requests::Exchanges;

/// Files that may wait until others are fetched. With so many the next command
/// waits as well.
const MAX_WAITING: usize = 1000;

/// The answer to `help` at a console.
pub const HELP: &str = "\
NAME        fetch the file of that name into the share
get NAME    the same, for names that start with a command's word
get --hash HASH NAME
            the same, if there are several contents of that name
share PATH  share a file, or a folder with all that is in it, where it lies
unshare NAME
            share it no longer; nothing is deleted
ls          all files that the nodes have announced
search TEXT those whose names contain the text
find NAME   who has the file of that name
nodes       the nodes that the relay knows
send IP PORT TEXT
            a message to whoever listens there
reply TEXT  the same, to whoever wrote last
help        this
quit        stop the node";

/// The person or program that types at a node.
pub struct Console {
    errands: Errands,
    choices: Choices,
    /// Files that may be fetched at once.
    max_downloads: usize,
    /// Those that are fetched when there is a place for them.
    waiting: VecDeque<(FileName<'static>, Option<ContentHash>)>,
    /// The next command waits, too.
    is_held: bool,
}

impl Console {
    /// A console for `user`, who can be asked to choose if they `may_choose`.
    /// `relay` is not empty.
    #[must_use]
    pub fn new(
        user: impl User + 'static,
        may_choose: bool,
        relay: Vec<SocketAddr>,
        max_nodes: u64,
        max_downloads: usize,
    ) -> Self {
        let mut errands = Errands::new(user, relay, max_nodes);
        errands.may_ask(may_choose);
        Self {
            errands,
            choices: Choices::default(),
            max_downloads,
            waiting: VecDeque::new(),
            is_held: false,
        }
    }

    /// The next command may come.
    pub(super) fn ready(&mut self) {
        let wanted = self.choices.wanted();
        self.errands.user().ready(wanted);
    }

    /// What was ordered is done, and this is what to say about it.
    pub(super) fn answer(&mut self, news: News<'_>) {
        self.errands.user().tell(news);
        self.ready();
    }

    /// The relay lists us under this address: nothing is fetched from there.
    pub(super) fn listed(&mut self, address: NodeAddress) {
        self.errands.is_us(address);
    }

    /// The user typed a line. Returns what is to be done about it elsewhere.
    pub(super) fn typed<'a>(
        &mut self,
        turn: &mut Turn<'_, impl Runs>,
        line: &'a str,
    ) -> Option<Order<'a>> {
        match self.choices.typed(line, self.errands.user()) {
            Some(Chosen::Content(name, hash)) => self.get(turn, name, Some(hash)),
            Some(Chosen::Nothing | Chosen::NotYet) => self.ready(),
            None => match Typed::parse(line) {
                Typed::Get(name, hash) => return Some(Order::Get(name, hash)),
                Typed::Share(path) => return Some(Order::Share(path)),
                Typed::Unshare(name) => return Some(Order::Unshare(name)),
                Typed::Quit => return Some(Order::Stop),
                Typed::Ask(Question::Message(to, text)) => return Some(Order::Send(to, text)),
                Typed::Reply(text) => return Some(Order::Reply(text)),
                Typed::Ask(question) => self.ask(turn, question),
                Typed::Chat(_) => self.answer(News::Wrong(
                    "use: send IP PORT TEXT; what is answered is shown, and reply TEXT goes on",
                )),
                other => {
                    other.explain(line, HELP, self.errands.user());
                    self.ready();
                }
            },
        }
        None
    }

    /// The user does not want to choose now. Returns whether there was a choice.
    pub(super) fn give_up(&mut self) -> bool {
        let was_choosing = self.choices.give_up(self.errands.user());
        if was_choosing {
            self.ready();
        }
        was_choosing
    }

    /// Asks the relay. The next command may come when it has answered.
    pub(super) fn ask(&mut self, turn: &mut Turn<'_, impl Runs>, question: Question) {
        self.begin(turn, Errand::Ask(question));
    }

    /// Whether this file is being fetched, or waits for that.
    pub(super) fn is_coming(&self, name: &FileName<'_>) -> bool {
        self.errands.is_fetching(name) || self.waiting.iter().any(|(waits, _)| waits == name)
    }

    /// Fetches a file as soon as there is a place for it.
    pub(super) fn get(
        &mut self,
        turn: &mut Turn<'_, impl Runs>,
        name: FileName<'static>,
        hash: Option<ContentHash>,
    ) {
        self.waiting.push_back((name, hash));
        self.is_held = true;
        self.go_on(turn);
    }

    /// Collects file names that start with `prefix`.
    pub(super) fn complete(
        &mut self,
        turn: &mut Turn<'_, impl Runs>,
        prefix: String,
        answer: Sender<Vec<String>>,
    ) {
        self.errands.complete(turn, prefix, answer);
    }

    /// Something was heard on a connection of ours.
    pub(super) fn heard(
        &mut self,
        session: &mut Session,
        heard: Heard<'_>,
        reply: &mut Vec<u8>,
    ) -> Next {
        self.errands.heard(session, heard, reply)
    }

    /// A connection of ours is over.
    pub(super) fn ended(&mut self, turn: &mut Turn<'_, impl Runs>, session: Session, end: &End) {
        if let Some(done) = self.errands.ended(turn, session, end) {
            self.done(turn, done);
        }
    }

    /// What is asked of the relay goes there in datagrams where it can.
    #[must_use]
    pub fn by_datagrams(mut self, exchanges: Exchanges<Session>) -> Self {
        self.errands.by_datagrams(exchanges);
        self
    }

    /// A datagram came, perhaps for us.
    pub(super) fn datagram(
        &mut self,
        turn: &mut Turn<'_, impl Runs>,
        from: Correspondent,
        bytes: &[u8],
    ) {
        let done = self.errands.datagram(turn, from, bytes);
        self.all_done(turn, done);
    }

    /// Nobody takes datagrams at the other end of a socket.
    pub(super) fn unreachable(&mut self, turn: &mut Turn<'_, impl Runs>, socket: u32) {
        let done = self.errands.unreachable(turn, socket);
        self.all_done(turn, done);
    }

    /// Whether it talks to the relay in datagrams.
    pub(super) fn is_talking(&self) -> bool {
        self.errands.is_talking()
    }

    /// When to call [`Console::tick`].
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.errands.next_deadline()
    }

    /// Asks again what was not answered.
    pub(super) fn tick(&mut self, turn: &mut Turn<'_, impl Runs>) {
        let done = self.errands.tick(turn);
        self.all_done(turn, done);
    }

    fn all_done(&mut self, turn: &mut Turn<'_, impl Runs>, done: Vec<Done>) {
        for done in done {
            self.done(turn, done);
        }
    }

    /// The node stops: what has begun may be finished, nothing new is begun.
    pub(super) fn leave(&mut self) {
        let left_out = self.waiting.len();
        self.waiting.clear();
        self.note(left_out, "will not be fetched: the node stops");
        let under_way = self.errands.fetching();
        self.note(under_way, "may still arrive; ctrl-C ends that");
    }

    /// Says something about so many files, if there are any.
    fn note(&mut self, files: usize, what: &str) {
        let plural = match files {
            0 => return,
            1 => "",
            _ => "s",
        };
        let text = format!("{files} file{plural} {what}");
        self.errands.user().tell(News::Note(&text));
    }

    fn begin(&mut self, turn: &mut Turn<'_, impl Runs>, errand: Errand) {
        if let Some(done) = self.errands.begin(turn, errand) {
            self.done(turn, done);
        }
    }

    fn done(&mut self, turn: &mut Turn<'_, impl Runs>, done: Done) {
        if let Some(choice) = done.choice {
            // The next command may come already: it is the choice.
            self.choices.add(choice, self.errands.user());
        }
        if done.fetched {
            self.go_on(turn);
        } else {
            self.ready();
        }
    }

    /// Begins to fetch as many files as there are places for.
    fn go_on(&mut self, turn: &mut Turn<'_, impl Runs>) {
        while self.errands.fetching() < self.max_downloads
            && let Some((name, hash)) = self.waiting.pop_front()
        {
            self.begin(turn, Errand::Get(name, hash));
        }
        if self.is_held && self.waiting.len() < MAX_WAITING {
            self.is_held = false;
            self.ready();
        }
    }
}
