//! The node's console: the commands of the client's prompt, typed at a node that
//! runs. Questions are answered one at a time. Files are fetched into the share,
//! beside each other and beside all that the node serves, and the next command
//! may come at once.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::Instant;

use crate::close_reason::CloseReason;
use crate::jobs::{
    Choices, Chosen, FinishedJob, Job, JobConnection, JobResult, JobRunner, NamesCallback, Query,
    RunsJobs, Typed, User, UserEvent,
};
use crate::node::console_commands::ConsoleCommand;
use crate::protocol::{ContentHash, FileName, NodeAddress};
use crate::role::{Context, Input, ReadNext, UdpPeer};
use crate::session::udp_requests::UdpRequests;

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
    jobs: JobRunner,
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
        let mut jobs = JobRunner::new(user, relay, max_nodes);
        jobs.set_may_choose(may_choose);
        Self {
            jobs,
            choices: Choices::default(),
            max_downloads,
            waiting: VecDeque::new(),
            is_held: false,
        }
    }

    /// The next command may come.
    pub(super) fn ready(&mut self) {
        let wanted = self.choices.wanted();
        self.jobs.user().prompt(wanted);
    }

    /// What was ordered is done, and this is what to say about it.
    pub(super) fn answer(&mut self, news: UserEvent<'_>) {
        self.jobs.user().on_event(news);
        self.ready();
    }

    /// The relay lists us under this address: nothing is fetched from there.
    pub(super) fn listed(&mut self, address: NodeAddress) {
        self.jobs.set_own_address(address);
    }

    /// The user typed a line. Returns what is to be done about it elsewhere.
    pub(super) fn typed<'a>(
        &mut self,
        context: &mut Context<'_, impl RunsJobs>,
        line: &'a str,
    ) -> Option<ConsoleCommand<'a>> {
        match self.choices.typed(line, self.jobs.user()) {
            Some(Chosen::Content(name, hash)) => self.get(context, name, Some(hash)),
            Some(Chosen::Nothing | Chosen::NotYet) => self.ready(),
            None => match Typed::parse(line) {
                Typed::Get(name, hash) => return Some(ConsoleCommand::Get(name, hash)),
                Typed::Share(path) => return Some(ConsoleCommand::Share(path)),
                Typed::Unshare(name) => return Some(ConsoleCommand::Unshare(name)),
                Typed::Quit => return Some(ConsoleCommand::Stop),
                Typed::Ask(Query::Message(to, text)) => {
                    return Some(ConsoleCommand::Send(to, text));
                }
                Typed::Reply(text) => return Some(ConsoleCommand::Reply(text)),
                Typed::Ask(question) => self.ask(context, question),
                Typed::Chat(_) => self.answer(UserEvent::Wrong(
                    "use: send IP PORT TEXT; what is answered is shown, and reply TEXT goes on",
                )),
                other => {
                    other.explain(line, HELP, self.jobs.user());
                    self.ready();
                }
            },
        }
        None
    }

    /// The user does not want to choose now. Returns whether there was a choice.
    pub(super) fn give_up(&mut self) -> bool {
        let was_choosing = self.choices.give_up(self.jobs.user());
        if was_choosing {
            self.ready();
        }
        was_choosing
    }

    /// Asks the relay. The next command may come when it has answered.
    pub(super) fn ask(&mut self, context: &mut Context<'_, impl RunsJobs>, question: Query) {
        self.begin(context, Job::Ask(question));
    }

    /// Whether this file is being fetched, or waits for that.
    pub(super) fn is_coming(&self, name: &FileName<'_>) -> bool {
        self.jobs.fetched_names().any(|fetched| fetched == name)
            || self.waiting.iter().any(|(waits, _)| waits == name)
    }

    /// Fetches a file as soon as there is a place for it.
    pub(super) fn get(
        &mut self,
        context: &mut Context<'_, impl RunsJobs>,
        name: FileName<'static>,
        hash: Option<ContentHash>,
    ) {
        self.waiting.push_back((name, hash));
        self.is_held = true;
        self.go_on(context);
    }

    /// Collects file names that start with `prefix`.
    pub(super) fn complete(
        &mut self,
        context: &mut Context<'_, impl RunsJobs>,
        prefix: String,
        callback: NamesCallback,
    ) {
        self.jobs.complete(context, prefix, callback);
    }

    /// Something was heard on a connection of ours.
    pub(super) fn on_input(
        &mut self,
        session: &mut JobConnection,
        heard: Input<'_>,
        reply: &mut Vec<u8>,
    ) -> ReadNext {
        self.jobs.on_input(session, heard, reply)
    }

    /// A connection of ours is over.
    pub(super) fn on_close(
        &mut self,
        context: &mut Context<'_, impl RunsJobs>,
        session: JobConnection,
        end: &CloseReason,
    ) {
        if let Some(done) = self.jobs.on_close(context, session, end) {
            self.done(context, done);
        }
    }

    /// What is asked of the relay goes there in datagrams where it can.
    #[must_use]
    pub fn by_datagrams(mut self, exchanges: UdpRequests<JobConnection>) -> Self {
        self.jobs.set_udp(exchanges);
        self
    }

    /// A datagram came, perhaps for us.
    pub(super) fn datagram(
        &mut self,
        context: &mut Context<'_, impl RunsJobs>,
        from: UdpPeer,
        bytes: &[u8],
    ) {
        let done = self.jobs.on_datagram(context, from, bytes);
        self.all_done(context, done);
    }

    /// Nobody takes datagrams at the other end of a socket.
    pub(super) fn on_udp_unreachable(
        &mut self,
        context: &mut Context<'_, impl RunsJobs>,
        socket: u32,
    ) {
        let done = self.jobs.on_udp_unreachable(context, socket);
        self.all_done(context, done);
    }

    /// Whether it talks to the relay in datagrams.
    pub(super) fn has_open_requests(&self) -> bool {
        self.jobs.has_open_requests()
    }

    /// When to call [`Console::on_timer`].
    pub(super) fn next_deadline(&self) -> Option<Instant> {
        self.jobs.next_deadline()
    }

    /// Asks again what was not answered.
    pub(super) fn on_timer(&mut self, context: &mut Context<'_, impl RunsJobs>) {
        let done = self.jobs.on_timer(context);
        self.all_done(context, done);
    }

    fn all_done(&mut self, context: &mut Context<'_, impl RunsJobs>, done: Vec<FinishedJob>) {
        for done in done {
            self.done(context, done);
        }
    }

    /// The node stops: what has begun may be finished, nothing new is begun.
    pub(super) fn leave(&mut self) {
        let left_out = self.waiting.len();
        self.waiting.clear();
        self.note(left_out, "will not be fetched: the node stops");
        let under_way = self.jobs.fetched_names().count();
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
        self.jobs.user().on_event(UserEvent::Note(&text));
    }

    fn begin(&mut self, context: &mut Context<'_, impl RunsJobs>, job: Job) {
        if let Some(done) = self.jobs.start(context, job) {
            self.done(context, done);
        }
    }

    fn done(&mut self, context: &mut Context<'_, impl RunsJobs>, done: FinishedJob) {
        if let JobResult::Choice(choice) = done.result {
            // The next command may come already: it is the choice.
            self.choices.add(choice, self.jobs.user());
        }
        if done.is_fetch {
            self.go_on(context);
        } else {
            self.ready();
        }
    }

    /// Begins to fetch as many files as there are places for.
    fn go_on(&mut self, context: &mut Context<'_, impl RunsJobs>) {
        while self.jobs.fetched_names().count() < self.max_downloads
            && let Some((name, hash)) = self.waiting.pop_front()
        {
            self.begin(context, Job::Get(name, hash));
        }
        if self.is_held && self.waiting.len() < MAX_WAITING {
            self.is_held = false;
            self.ready();
        }
    }
}
