//! The job that fetches a file: it queries the relay for the nodes and the holders of
//! the file, then tries one node after the other, the holders first, until one sends
//! the file.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::close_reason::CloseReason;
use crate::jobs::attempt::{Attempt, AttemptResult};
use crate::jobs::choice::{Choice, offers};
use crate::jobs::job::{JobContext, JobId, JobResult, JobStep};
use crate::jobs::query::Query;
use crate::jobs::relay_query::RelayAnswer;
use crate::jobs::task_result::TaskResult;
use crate::jobs::user::{Failure, StoreError, User, UserEvent};
use crate::protocol::{ContentHash, FileName, HolderItem, NodeAddress, Reply, Request};
use crate::role::{Input, ReadNext};
use crate::session::requests::ResponsePart;

/// Fetches one file.
pub(super) struct Fetch {
    id: JobId,
    name: FileName<'static>,
    /// The wanted content, or none if any content will do.
    wanted: Option<WantedContent>,
    /// The nodes to try, in this order.
    candidates: Vec<NodeAddress>,
    /// How many candidates were tried.
    attempts: usize,
    /// How many of them failed.
    failures: usize,
}

/// A content that is known by its hash.
struct WantedContent {
    hash: ContentHash,
    /// Hashes the content that arrives.
    hasher: Box<blake3::Hasher>,
}

impl Fetch {
    pub(super) fn new(id: JobId, name: FileName<'static>, hash: Option<ContentHash>) -> Self {
        let wanted = hash.map(|hash| WantedContent {
            hash,
            hasher: Box::default(),
        });
        Self {
            id,
            name,
            wanted,
            candidates: Vec::new(),
            attempts: 0,
            failures: 0,
        }
    }

    pub(super) fn name(&self) -> &FileName<'static> {
        &self.name
    }

    pub(super) fn on_response(&mut self, context: &mut JobContext, answer: RelayAnswer) -> JobStep {
        match answer {
            RelayAnswer::Nodes(nodes) => {
                context.set_nodes(nodes);
                self.find_holders(context)
            }
            RelayAnswer::Holders(holders) => self.choose_candidates(context, &holders),
            RelayAnswer::EndOfFiles | RelayAnswer::Sent => TaskResult::Relay.into(),
        }
    }

    pub(super) fn on_failure(
        &mut self,
        context: &mut JobContext,
        query: &Query,
        failure: &Failure<'_>,
    ) -> JobStep {
        if let Query::Holders(_) = query {
            // Without the relay's help the nodes are tried in the order of the list.
            return self.choose_candidates(context, &[]);
        }
        context.user.on_event(UserEvent::NoNodes {
            name: &self.name,
            failure,
        });
        TaskResult::Relay.into()
    }

    /// The nodes are known: queries the relay for those that have the file.
    pub(super) fn find_holders(&mut self, context: &mut JobContext) -> JobStep {
        if context.nodes.len() > 1 || self.wanted.is_some() {
            return JobStep::Query(Query::Holders(self.name.clone()));
        }
        // With one node at most, the holders would not change the order.
        self.choose_candidates(context, &[])
    }

    /// Chooses the nodes to try: the holders first, then all others. If one content
    /// is wanted, only the holders of that content are tried.
    fn choose_candidates(&mut self, context: &mut JobContext, holders: &[HolderItem]) -> JobStep {
        let hash = self.wanted.as_ref().map(|wanted| wanted.hash);
        let offers = offers(holders);
        match hash {
            None if offers.len() < 2 => {}
            Some(hash) if offers.iter().any(|offer| offer.hash == hash) => {}
            None if context.may_choose => {
                let name = self.name.clone();
                return JobStep::Finish(JobResult::Choice(Choice { name, offers }));
            }
            _ => {
                context.user.on_event(UserEvent::SeveralContents {
                    name: &self.name,
                    offers: &offers,
                    is_numbered: false,
                });
                return TaskResult::SeveralContents.into();
            }
        }
        let mut known = BTreeSet::new();
        let holders = holders
            .iter()
            .filter(|holder| hash.is_none() || holder.hash.0 == hash)
            .map(|holder| holder.node);
        self.candidates = holders.filter(|holder| known.insert(*holder)).collect();
        if hash.is_none() {
            let others = context.nodes.iter().filter(|node| !known.contains(node));
            self.candidates.extend(others);
        }
        self.candidates
            .retain(|node| Some(*node) != context.own_address);
        self.try_next_candidate(context)
    }

    fn try_next_candidate(&mut self, context: &mut JobContext) -> JobStep {
        let Some(node) = self.candidates.get(self.attempts).copied() else {
            context.user.on_event(UserEvent::Missing {
                name: &self.name,
                nodes: self.candidates.len(),
                failed: self.failures,
            });
            return match self.failures {
                0 => TaskResult::NotFound.into(),
                _ => TaskResult::NodesFailed.into(),
            };
        };
        self.attempts += 1;
        context.user.on_event(UserEvent::TryingNode {
            name: &self.name,
            number: self.attempts,
            of: self.candidates.len(),
            node,
        });
        JobStep::Connect(node)
    }

    /// Reads input from a node.
    pub(super) fn on_node_input(
        &mut self,
        user: &mut dyn User,
        attempt: &mut Attempt,
        input: Input<'_>,
        out: &mut Vec<u8>,
    ) -> ReadNext {
        if let Input::Connected = input {
            let request = Request::Get(self.name.clone());
            attempt.requests.send(&request, (), out);
            return ReadNext::Line;
        }
        let (part, completed) = match attempt.requests.on_input(input) {
            Ok(Some(response)) => response,
            Ok(None) => return ReadNext::Line,
            Err(_) => return ReadNext::Close(CloseReason::ProtocolError),
        };
        let stored = match part {
            ResponsePart::Head(Reply::Found(size)) => self.on_found(user, attempt, size),
            ResponsePart::Body(bytes) => self.on_content(user, attempt, bytes),
            ResponsePart::Head(Reply::NotFound) => {
                attempt.result = AttemptResult::NotFound;
                return ReadNext::Close(CloseReason::Completed);
            }
            ResponsePart::Head(Reply::Error(code, text)) => {
                attempt.result = AttemptResult::Error(code, text.into_owned());
                return ReadNext::Close(CloseReason::Completed);
            }
            _ => return ReadNext::Close(CloseReason::ProtocolError),
        };
        attempt.result = match (stored, completed) {
            (Ok(()), None) => return attempt.requests.read_next(),
            (Ok(()), Some(())) => self.on_end_of_content(user),
            (Err(error), _) => AttemptResult::StoreError(error),
        };
        ReadNext::Close(CloseReason::Completed)
    }

    fn on_found(
        &mut self,
        user: &mut dyn User,
        attempt: &mut Attempt,
        size: u64,
    ) -> Result<(), StoreError> {
        let node = attempt.node;
        user.on_event(UserEvent::Found { node, size });
        attempt.size = size;
        if let Some(wanted) = &mut self.wanted {
            wanted.hasher.reset();
        }
        user.open(self.id, &self.name, size)
    }

    fn on_content(
        &mut self,
        user: &mut dyn User,
        attempt: &mut Attempt,
        bytes: &[u8],
    ) -> Result<(), StoreError> {
        user.write(self.id, bytes)?;
        if let Some(wanted) = &mut self.wanted {
            wanted.hasher.update(bytes);
        }
        attempt.received += bytes.len() as u64;
        user.on_event(UserEvent::Progress {
            job: self.id,
            received: attempt.received,
            size: attempt.size,
        });
        Ok(())
    }

    fn on_end_of_content(&self, user: &mut dyn User) -> AttemptResult {
        if let Some(wanted) = &self.wanted
            && *wanted.hasher.finalize().as_bytes() != wanted.hash.0
        {
            return AttemptResult::OtherContent;
        }
        match user.commit(self.id) {
            Ok(()) => AttemptResult::Complete,
            Err(error) => AttemptResult::StoreError(error),
        }
    }

    /// The connection to a node has ended for `reason`.
    pub(super) fn on_node_close(
        &mut self,
        context: &mut JobContext,
        attempt: Attempt,
        reason: &CloseReason,
        now: Instant,
    ) -> JobStep {
        let node = attempt.node;
        match attempt.result {
            AttemptResult::Complete => {
                context.user.on_event(UserEvent::Fetched {
                    name: &self.name,
                    node,
                    size: attempt.size,
                    took: now.saturating_duration_since(attempt.started),
                });
                TaskResult::Success.into()
            }
            AttemptResult::NotFound => {
                context.user.on_event(UserEvent::NotFound(node));
                self.try_next_candidate(context)
            }
            AttemptResult::Error(code, text) => {
                self.on_node_failure(context, node, &Failure::Error(code, text))
            }
            AttemptResult::StoreError(error) => {
                context.user.discard(self.id);
                if error.is_reader_gone {
                    return JobStep::Finish(JobResult::ReaderGone);
                }
                context.user.on_event(UserEvent::StoreError {
                    name: &self.name,
                    error: &error,
                });
                TaskResult::StoreError.into()
            }
            AttemptResult::OtherContent => {
                self.on_incomplete(context, &attempt, &Failure::OtherContent)
            }
            AttemptResult::Open => {
                let failure = attempt.broken_off(reason);
                self.on_incomplete(context, &attempt, &failure)
            }
        }
    }

    fn on_incomplete(
        &mut self,
        context: &mut JobContext,
        attempt: &Attempt,
        failure: &Failure<'_>,
    ) -> JobStep {
        let Attempt { node, size, .. } = *attempt;
        let shown = context.user.discard(self.id);
        if shown == 0 {
            return self.on_node_failure(context, node, failure);
        }
        // The printed bytes stay: another node would send them again.
        context.user.on_event(UserEvent::NodeFailed(node, failure));
        context.user.on_event(UserEvent::Incomplete {
            name: &self.name,
            shown,
            size,
        });
        TaskResult::Incomplete.into()
    }

    fn on_node_failure(
        &mut self,
        context: &mut JobContext,
        node: NodeAddress,
        failure: &Failure<'_>,
    ) -> JobStep {
        context.user.on_event(UserEvent::NodeFailed(node, failure));
        self.failures += 1;
        self.try_next_candidate(context)
    }
}
