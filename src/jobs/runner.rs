//! JobRunner: questions to the relay and files to fetch, several at once. Each is a
//! state machine of its own that travels with the one connection that works for
//! it; when that ends, the job goes on with the next one or is done.
//!
//! Whoever runs jobs hands over what is heard on their connections: a client
//! runs one at a time, a node with a console as many as it allows.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::mpsc::Sender;

use crate::close_reason::CloseReason;
use crate::exit::Exit;
use crate::jobs::choice::Choice;
use crate::jobs::completion::Completion;
use crate::jobs::connection::{JobConnection, With};
use crate::jobs::fetch::Fetch;
use crate::jobs::query::Query;
use crate::jobs::relay_query::{Answer, RelayQuery};
use crate::jobs::user::{Failure, Listing, StoreError, User, UserEvent};
use crate::protocol::{Code, ContentHash, FileItem, FileName, NodeAddress, canonical};
use crate::role::{Context, Input, ReadNext, Role};
use crate::session::udp_requests::UdpRequests;

/// An job, for as long as the program runs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct JobId(u64);

/// What is to be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Job {
    /// See whether the relay is there, and what nodes it lists.
    Look,
    /// Show the answer.
    Ask(Query),
    /// Fetch a file; with a hash, only the content that has it.
    Get(FileName<'static>, Option<ContentHash>),
    /// Likewise, at the nodes that were listed last: the relay is not asked again.
    GetAmongKnown(FileName<'static>, Option<ContentHash>),
}

/// A role that runs jobs.
pub trait RunsJobs: Role<Session: From<JobConnection>> {}

impl<R: Role<Session: From<JobConnection>>> RunsJobs for R {}

/// All jobs that are run for one user.
pub struct JobRunner {
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
    pub(super) exchanges: UdpRequests<JobConnection>,
    /// How many were begun.
    begun: u64,
    /// Those that fetch a file, and which.
    fetching: BTreeMap<JobId, FileName<'static>>,
}

/// What the relay is asked for.
pub(super) enum JobPurpose {
    /// To see whether it is there.
    Look,
    /// To show the answer.
    Show,
    /// To fetch a file.
    Fetch(Fetch),
    /// To complete a file name.
    Complete(Completion),
}

/// An job is over.
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

impl JobRunner {
    /// JobRunner for `user`. `relay` is not empty.
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
            exchanges: UdpRequests::default(),
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
    pub fn begin<R: RunsJobs>(&mut self, context: &mut Context<'_, R>, job: Job) -> Option<Done> {
        let id = self.next_id();
        let (question, purpose) = match job {
            Job::Look => (Query::Nodes, JobPurpose::Look),
            Job::Ask(question) => (question, JobPurpose::Show),
            Job::Get(name, hash) => {
                self.fetching.insert(id, name.clone());
                (Query::Nodes, JobPurpose::Fetch(Fetch::new(name, hash)))
            }
            Job::GetAmongKnown(name, hash) => {
                self.fetching.insert(id, name.clone());
                return self.ask_for_holders(context, id, Fetch::new(name, hash));
            }
        };
        self.ask(context, id, question, purpose);
        None
    }

    /// Collects file names that start with `prefix` and sends them to `answer`: not
    /// all if there are many, none if the relay gives no list.
    pub fn complete<R: RunsJobs>(
        &mut self,
        context: &mut Context<'_, R>,
        prefix: String,
        answer: Sender<Vec<String>>,
    ) {
        let question = Query::files(&prefix);
        let completion = Completion::new(prefix, answer);
        match question {
            Ok(question) => {
                let job = self.next_id();
                self.ask(context, job, question, JobPurpose::Complete(completion));
            }
            Err(_) => completion.finish(),
        }
    }

    /// Forgets what was fetched in part: the program ends.
    pub fn abandon(&mut self) {
        for job in std::mem::take(&mut self.fetching).into_keys() {
            self.user.discard(job);
        }
    }

    /// Something was heard on a connection of an job; `reply` goes there.
    pub fn on_input(
        &mut self,
        session: &mut JobConnection,
        heard: Input<'_>,
        reply: &mut Vec<u8>,
    ) -> ReadNext {
        match (&mut session.with, heard) {
            (With::Relay(asking, _), Input::Connected) => asking.ask(reply),
            (With::Relay(asking, purpose), Input::Line(line)) => {
                let each = |file: &FileItem<'_>| match purpose {
                    JobPurpose::Complete(completion) => Ok(completion.take(file.name.as_str())),
                    _ => self.user.show(Listing::File(file)).map(|()| true),
                };
                asking.on_input(line, self.max_nodes, each, reply)
            }
            (With::Node(_, fetch), Input::Connected) => fetch.ask(reply),
            (With::Node(visit, fetch), Input::Line(line)) => {
                fetch.answered(session.job, visit, line, &mut *self.user)
            }
            (With::Node(visit, fetch), Input::Body(bytes)) => {
                fetch.received(session.job, visit, bytes, &mut *self.user)
            }
            (_, Input::Resumed) => ReadNext::Line,
            (With::Relay(..), Input::Body(_)) | (_, Input::FramingError(_)) => {
                ReadNext::Close(CloseReason::ProtocolError)
            }
        }
    }

    /// A connection of an job is over. Says so if the job is.
    pub fn on_close<R: RunsJobs>(
        &mut self,
        context: &mut Context<'_, R>,
        session: JobConnection,
        end: &CloseReason,
    ) -> Option<Done> {
        let job = session.job;
        if let CloseReason::Aborted = end {
            // The program ends, and begins nothing new.
            self.user.discard(job);
            return Some(self.done(job, Exit::Interrupted));
        }
        match session.with {
            With::Relay(asking, purpose) => self.relay_ended(context, job, asking, purpose, end),
            With::Node(visit, fetch) => self.node_ended(context, job, visit, fetch, end),
        }
    }

    fn next_id(&mut self) -> JobId {
        self.begun += 1;
        JobId(self.begun)
    }

    pub(super) fn ask<R: RunsJobs>(
        &mut self,
        context: &mut Context<'_, R>,
        job: JobId,
        question: Query,
        purpose: JobPurpose,
    ) {
        self.ask_at(
            context,
            job,
            RelayQuery::new(question, self.answers),
            purpose,
        );
    }

    fn ask_at<R: RunsJobs>(
        &mut self,
        context: &mut Context<'_, R>,
        job: JobId,
        asking: RelayQuery,
        purpose: JobPurpose,
    ) {
        let address = self.relay[asking.address];
        let brief = asking.question.is_brief();
        let with = With::Relay(asking, purpose);
        self.talk(context, address, JobConnection { job, with }, brief);
    }

    /// A conversation with the relay is over.
    fn relay_ended<R: RunsJobs>(
        &mut self,
        context: &mut Context<'_, R>,
        job: JobId,
        asking: RelayQuery,
        purpose: JobPurpose,
        end: &CloseReason,
    ) -> Option<Done> {
        let all = self.relay.len();
        let may_try_another = asking.tried < all && asking.may_be_repeated();
        let trouble = match &asking.answer {
            Answer::Complete => return self.answered(context, job, asking, purpose),
            Answer::Open if may_try_another => {
                self.ask_at(context, job, asking.again(all), purpose);
                return None;
            }
            Answer::Open => Failure::Ended(end),
            Answer::NotFound => Failure::NoHolder,
            Answer::Error(code, text) => Failure::Error(*code, text.clone()),
            Answer::TooMany(count) => Failure::TooMany(*count),
            Answer::NotShown(why) => return Some(self.not_shown(job, why)),
        };
        let exit = match (&purpose, &asking.question, &asking.answer) {
            (JobPurpose::Show, Query::Holders(_), Answer::NotFound)
            | (JobPurpose::Show, Query::Message(..), Answer::Error(Code::NoSuchNode, _)) => {
                Exit::NotFound
            }
            _ => Exit::Relay,
        };
        match (purpose, &asking.question) {
            // Without the relay's help the nodes are asked in the order of the list.
            (JobPurpose::Fetch(fetch), Query::Holders(_)) => {
                return self.search_among(context, job, fetch, &[]);
            }
            (JobPurpose::Fetch(fetch), _) => {
                let name = &fetch.name;
                let trouble = &trouble;
                self.user.on_event(UserEvent::NoNodes { name, trouble });
                return Some(self.done(job, exit));
            }
            (JobPurpose::Complete(completion), _) => {
                completion.finish();
                return None;
            }
            (JobPurpose::Look | JobPurpose::Show, _) => {}
        }
        if let Query::Files(_) = asking.question {
            // What came is shown before the trouble is told. If it cannot be, the
            // trouble is all that is left to tell.
            let _ = self.user.show(Listing::BrokenOff);
        }
        self.user
            .on_event(UserEvent::RelayFailed(&asking.question, &trouble));
        Some(self.done(job, exit))
    }

    /// The relay has answered.
    fn answered<R: RunsJobs>(
        &mut self,
        context: &mut Context<'_, R>,
        job: JobId,
        mut asking: RelayQuery,
        purpose: JobPurpose,
    ) -> Option<Done> {
        if !canonical(self.relay[asking.address].ip()).is_loopback() {
            // Another machine's word on what listens on ours is not to be believed.
            asking.nodes.retain(|node| !node.is_loopback());
            asking.holders.retain(|holder| !holder.node.is_loopback());
        }
        self.answers = asking.address;
        match (purpose, &asking.question) {
            (JobPurpose::Show, _) => Some(self.show(job, &asking)),
            (JobPurpose::Fetch(fetch), Query::Holders(_)) => {
                self.search_among(context, job, fetch, &asking.holders)
            }
            (JobPurpose::Fetch(fetch), _) => {
                self.listed(asking.nodes);
                self.ask_for_holders(context, job, fetch)
            }
            (JobPurpose::Complete(completion), _) => {
                completion.finish();
                None
            }
            (JobPurpose::Look, _) => {
                self.listed(asking.nodes);
                Some(self.done(job, Exit::Success))
            }
        }
    }

    fn listed(&mut self, nodes: Vec<NodeAddress>) {
        self.nodes = nodes;
        self.user.on_event(UserEvent::Nodes(&self.nodes));
    }

    /// Shows the whole answer to a question.
    fn show(&mut self, job: JobId, asking: &RelayQuery) -> Done {
        let shown = match &asking.question {
            Query::Nodes => self.user.show(Listing::Nodes(&asking.nodes)),
            question @ Query::Holders(_) if asking.holders.is_empty() => {
                self.user
                    .on_event(UserEvent::RelayFailed(question, &Failure::NoHolder));
                return self.done(job, Exit::NotFound);
            }
            Query::Holders(_) => self.user.show(Listing::Holders(&asking.holders)),
            Query::Files(_) => self.user.show(Listing::EndOfFiles(asking.shown())),
            Query::Message(..) => {
                self.user.on_event(UserEvent::Sent);
                Ok(())
            }
        };
        match shown {
            Err(why) => self.not_shown(job, &why),
            Ok(()) if asking.found_nothing() => self.done(job, Exit::NotFound),
            Ok(()) => self.done(job, Exit::Success),
        }
    }

    fn not_shown(&mut self, job: JobId, why: &StoreError) -> Done {
        if why.reader_gone {
            return self.reader_gone(job);
        }
        self.user.on_event(UserEvent::NotShown(why));
        self.done(job, Exit::StoreError)
    }

    pub(super) fn done(&mut self, job: JobId, exit: Exit) -> Done {
        Done {
            fetched: self.fetching.remove(&job).is_some(),
            exit,
            choice: None,
            reader_gone: false,
        }
    }

    pub(super) fn reader_gone(&mut self, job: JobId) -> Done {
        Done {
            reader_gone: true,
            ..self.done(job, Exit::Success)
        }
    }
}
