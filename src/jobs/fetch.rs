//! Fetching one file: the nodes that are said to have it first, then all others
//! in the order of the list, one at a time, until one gives it.

use std::collections::BTreeSet;

use crate::close_reason::CloseReason;
use crate::exit::Exit;
use crate::jobs::choice::{Choice, offers};
use crate::jobs::connection::{Attempt, AttemptResult, JobConnection, With};
use crate::jobs::query::Query;
use crate::jobs::runner::{Done, JobId, JobPurpose, JobRunner, RunsJobs};
use crate::jobs::user::{Failure, User, UserEvent};
use crate::protocol::{ContentHash, FileName, HolderItem, NodeAddress, Reply, Request};
use crate::role::{Context, ReadNext};
use crate::session::server::say;

/// The search for one file.
pub(super) struct Fetch {
    pub(super) name: FileName<'static>,
    /// The content that is wanted, if not any will do.
    wanted: Option<WantedContent>,
    /// Whom to ask, in this order.
    nodes: Vec<NodeAddress>,
    /// How many of them were asked.
    asked: usize,
    /// How many of them could not answer.
    failed: usize,
}

/// A content that is known by its hash.
struct WantedContent {
    hash: ContentHash,
    /// What has arrived, to be compared with that.
    seen: Box<blake3::Hasher>,
}

impl Fetch {
    pub(super) fn new(name: FileName<'static>, hash: Option<ContentHash>) -> Self {
        let wanted = hash.map(|hash| WantedContent {
            hash,
            seen: Box::default(),
        });
        Self {
            name,
            wanted,
            nodes: Vec::new(),
            asked: 0,
            failed: 0,
        }
    }

    /// Writes the question to a node.
    pub(super) fn ask(&self, line: &mut Vec<u8>) -> ReadNext {
        say(line, Request::Get(self.name.clone()));
        ReadNext::Line
    }

    /// A node has answered.
    pub(super) fn answered(
        &mut self,
        job: JobId,
        visit: &mut Attempt,
        line: &[u8],
        user: &mut dyn User,
    ) -> ReadNext {
        match Reply::parse(line) {
            Ok(Reply::Found(size)) => {
                let node = visit.node;
                user.on_event(UserEvent::Found { node, size });
                visit.body = Some((size, 0));
                if let Some(wanted) = &mut self.wanted {
                    wanted.seen.reset();
                }
                if let Err(why) = user.open(job, &self.name, size) {
                    visit.outcome = AttemptResult::StoreError(why);
                } else if size == 0 {
                    visit.outcome = self.complete(job, user);
                } else {
                    return ReadNext::Body(size);
                }
            }
            Ok(Reply::NotFound) => visit.outcome = AttemptResult::NotFound,
            Ok(Reply::Error(code, text)) => {
                visit.outcome = AttemptResult::Error(code, text.into_owned())
            }
            Ok(_) | Err(_) => return ReadNext::Close(CloseReason::ProtocolError),
        }
        ReadNext::Close(CloseReason::Completed)
    }

    /// More of the file has come.
    pub(super) fn received(
        &mut self,
        job: JobId,
        visit: &mut Attempt,
        bytes: &[u8],
        user: &mut dyn User,
    ) -> ReadNext {
        let Some((size, received)) = &mut visit.body else {
            return ReadNext::Close(CloseReason::ProtocolError);
        };
        if let Err(why) = user.write(job, bytes) {
            visit.outcome = AttemptResult::StoreError(why);
            return ReadNext::Close(CloseReason::Completed);
        }
        if let Some(wanted) = &mut self.wanted {
            wanted.seen.update(bytes);
        }
        *received += bytes.len() as u64;
        user.on_event(UserEvent::Progress {
            job,
            received: *received,
            size: *size,
        });
        if received < size {
            return ReadNext::Line;
        }
        visit.outcome = self.complete(job, user);
        ReadNext::Close(CloseReason::Completed)
    }

    fn complete(&self, job: JobId, user: &mut dyn User) -> AttemptResult {
        if let Some(wanted) = &self.wanted
            && *wanted.seen.finalize().as_bytes() != wanted.hash.0
        {
            return AttemptResult::OtherContent;
        }
        match user.commit(job) {
            Ok(()) => AttemptResult::Complete,
            Err(why) => AttemptResult::StoreError(why),
        }
    }
}

impl JobRunner {
    /// The nodes are known: asks who has the file.
    pub(super) fn ask_for_holders<R: RunsJobs>(
        &mut self,
        context: &mut Context<'_, R>,
        job: JobId,
        fetch: Fetch,
    ) -> Option<Done> {
        if self.nodes.len() > 1 || fetch.wanted.is_some() {
            let question = Query::Holders(fetch.name.clone());
            self.ask(context, job, question, JobPurpose::Fetch(fetch));
            return None;
        }
        // There is nobody to choose from.
        self.search_among(context, job, fetch, &[])
    }

    /// Searches for the file: at its `holders` first, then at all others. If one
    /// content is wanted, only those are asked that say they have it.
    pub(super) fn search_among<R: RunsJobs>(
        &mut self,
        context: &mut Context<'_, R>,
        job: JobId,
        mut fetch: Fetch,
        holders: &[HolderItem],
    ) -> Option<Done> {
        let hash = fetch.wanted.as_ref().map(|wanted| wanted.hash);
        let offers = offers(holders);
        match hash {
            None if offers.len() > 1 && self.may_ask => {
                let name = fetch.name;
                return Some(Done {
                    choice: Some(Choice { name, offers }),
                    ..self.done(job, Exit::WhichContent)
                });
            }
            None if offers.len() < 2 => {}
            Some(hash) if offers.iter().any(|offer| offer.hash == hash) => {}
            _ => {
                self.user.on_event(UserEvent::WhichContent {
                    name: &fetch.name,
                    offers: &offers,
                    numbered: false,
                });
                return Some(self.done(job, Exit::WhichContent));
            }
        }
        let mut first = BTreeSet::new();
        let right = holders
            .iter()
            .filter(|holder| hash.is_none() || holder.hash.0 == hash)
            .map(|holder| holder.node);
        fetch.nodes = right.filter(|holder| first.insert(*holder)).collect();
        if hash.is_none() {
            let others = self.nodes.iter().filter(|node| !first.contains(node));
            fetch.nodes.extend(others);
        }
        fetch.nodes.retain(|node| Some(*node) != self.us);
        self.ask_next_node(context, job, fetch)
    }

    fn ask_next_node<R: RunsJobs>(
        &mut self,
        context: &mut Context<'_, R>,
        job: JobId,
        mut fetch: Fetch,
    ) -> Option<Done> {
        let Some(node) = fetch.nodes.get(fetch.asked).copied() else {
            self.user.on_event(UserEvent::Missing {
                name: &fetch.name,
                nodes: fetch.nodes.len(),
                failed: fetch.failed,
            });
            let exit = match fetch.failed {
                0 => Exit::NotFound,
                _ => Exit::NodesFailed,
            };
            return Some(self.done(job, exit));
        };
        fetch.asked += 1;
        self.user.on_event(UserEvent::RelayQuery {
            name: &fetch.name,
            number: fetch.asked,
            of: fetch.nodes.len(),
            node,
        });
        let visit = Attempt {
            node,
            asked: context.now,
            body: None,
            outcome: AttemptResult::Open,
        };
        let with = With::Node(visit, fetch);
        context
            .out
            .dial(node.into(), JobConnection { job, with }.into());
        None
    }

    fn node_failed<R: RunsJobs>(
        &mut self,
        context: &mut Context<'_, R>,
        job: JobId,
        node: NodeAddress,
        mut fetch: Fetch,
        trouble: &Failure<'_>,
    ) -> Option<Done> {
        self.user.on_event(UserEvent::NodeFailed(node, trouble));
        fetch.failed += 1;
        self.ask_next_node(context, job, fetch)
    }

    /// The connection to a node is over.
    pub(super) fn node_ended<R: RunsJobs>(
        &mut self,
        context: &mut Context<'_, R>,
        job: JobId,
        visit: Attempt,
        fetch: Fetch,
        end: &CloseReason,
    ) -> Option<Done> {
        let Attempt { node, body, .. } = visit;
        match visit.outcome {
            AttemptResult::Complete => {
                self.user.on_event(UserEvent::Fetched {
                    name: &fetch.name,
                    node,
                    size: body.map_or(0, |(size, _)| size),
                    took: context.now.saturating_duration_since(visit.asked),
                });
                Some(self.done(job, Exit::Success))
            }
            AttemptResult::NotFound => {
                self.user.on_event(UserEvent::NotFound(node));
                self.ask_next_node(context, job, fetch)
            }
            AttemptResult::Error(code, text) => {
                let trouble = Failure::Error(code, text);
                self.node_failed(context, job, node, fetch, &trouble)
            }
            AttemptResult::StoreError(why) => {
                self.user.discard(job);
                if why.reader_gone {
                    return Some(self.reader_gone(job));
                }
                self.user.on_event(UserEvent::StoreError {
                    name: &fetch.name,
                    why: &why,
                });
                Some(self.done(job, Exit::StoreError))
            }
            AttemptResult::Open | AttemptResult::OtherContent => {
                let shown = self.user.discard(job);
                let (size, received) = body.unwrap_or_default();
                let trouble = match (visit.outcome, received) {
                    (AttemptResult::OtherContent, _) => Failure::OtherContent,
                    (_, 0) => Failure::Ended(end),
                    _ => Failure::Broken {
                        received,
                        size,
                        end,
                    },
                };
                if shown == 0 {
                    return self.node_failed(context, job, node, fetch, &trouble);
                }
                // What was shown cannot be taken back: asking others is no help.
                self.user.on_event(UserEvent::NodeFailed(node, &trouble));
                self.user.on_event(UserEvent::Incomplete {
                    name: &fetch.name,
                    shown,
                    size,
                });
                Some(self.done(job, Exit::Incomplete))
            }
        }
    }
}
