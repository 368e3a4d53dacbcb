//! The job that fetches a file: it queries the relay for the nodes and the holders of
//! the file, then tries one node after the other, the holders first, until one sends
//! the file.

use std::collections::BTreeSet;
use std::time::Instant;

use crate::close_reason::CloseReason;
use crate::jobs::attempt::{Attempt, AttemptResult};
use crate::jobs::choice::{Choice, offers};
use crate::jobs::job::{JobContext, JobId, JobResult, JobStep, TaskResult};
use crate::jobs::relay_query::{Query, RelayAnswer};
use crate::jobs::user::{Failure, UserEvent};
use crate::protocol::{ContentHash, FileName, HolderItem, NodeAddress};

/// Fetches one file.
pub(super) struct Fetch {
    id: JobId,
    name: FileName<'static>,
    /// The hash of the wanted content, or none if any content will do.
    hash: Option<ContentHash>,
    /// The nodes to try, in this order.
    candidates: Vec<NodeAddress>,
    /// How many candidates were tried.
    tried: usize,
    /// How many of them failed.
    failures: usize,
}

impl Fetch {
    pub(super) fn new(id: JobId, name: FileName<'static>, hash: Option<ContentHash>) -> Self {
        Self {
            id,
            name,
            hash,
            candidates: Vec::new(),
            tried: 0,
            failures: 0,
        }
    }

    pub(super) fn name(&self) -> &FileName<'static> {
        &self.name
    }

    pub(super) fn on_answer(
        &mut self,
        context: &mut JobContext,
        query: &Query,
        answer: Result<RelayAnswer, Failure<'_>>,
    ) -> JobStep {
        match (query, answer) {
            (Query::Holders(_), Ok(RelayAnswer::Holders(holders))) => {
                self.choose_candidates(context, &holders)
            }
            // Without the relay's help the nodes are tried in the order of the list.
            (Query::Holders(_), _) => self.choose_candidates(context, &[]),
            (_, Ok(RelayAnswer::Nodes(nodes))) => {
                context.set_nodes(nodes);
                self.find_holders(context)
            }
            (_, Ok(_)) => TaskResult::Relay.into(),
            (_, Err(failure)) => {
                context.user.on_event(UserEvent::NoNodes {
                    name: &self.name,
                    failure: &failure,
                });
                TaskResult::Relay.into()
            }
        }
    }

    /// The nodes are known: queries the relay for those that have the file.
    pub(super) fn find_holders(&mut self, context: &mut JobContext) -> JobStep {
        if context.nodes.len() > 1 || self.hash.is_some() {
            return JobStep::Query(Query::Holders(self.name.clone()));
        }
        // With one node at most, the holders would not change the order.
        self.choose_candidates(context, &[])
    }

    /// Chooses the nodes to try: the holders first, then all others. If one content
    /// is wanted, only the holders of that content are tried.
    fn choose_candidates(&mut self, context: &mut JobContext, holders: &[HolderItem]) -> JobStep {
        let hash = self.hash;
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
        let Some(node) = self.candidates.get(self.tried).copied() else {
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
        self.tried += 1;
        context.user.on_event(UserEvent::TryingNode {
            name: &self.name,
            number: self.tried,
            of: self.candidates.len(),
            node,
        });
        JobStep::Connect(node, self.hash)
    }

    /// The connection to a node has ended for `reason`.
    pub(super) fn on_attempt_end(
        &mut self,
        context: &mut JobContext,
        mut attempt: Attempt,
        reason: &CloseReason,
        now: Instant,
    ) -> JobStep {
        let (node, size) = (attempt.node, attempt.size);
        let user = &mut context.user;
        match attempt.finish(reason) {
            AttemptResult::Complete => {
                user.on_event(UserEvent::Fetched {
                    name: &self.name,
                    node,
                    size,
                    took: now.saturating_duration_since(attempt.started),
                });
                TaskResult::Success.into()
            }
            AttemptResult::NotFound => {
                user.on_event(UserEvent::NotFound(node));
                self.try_next_candidate(context)
            }
            AttemptResult::NotStored(error) => {
                user.discard(self.id);
                if error.is_reader_gone {
                    return JobStep::Finish(JobResult::ReaderGone);
                }
                user.on_event(UserEvent::StoreError {
                    name: &self.name,
                    error: &error,
                });
                TaskResult::StoreError.into()
            }
            AttemptResult::Failed(failure) => {
                let shown = user.discard(self.id);
                user.on_event(UserEvent::NodeFailed(node, &failure));
                if shown > 0 {
                    // The printed bytes stay: another node would send them again.
                    user.on_event(UserEvent::Incomplete {
                        name: &self.name,
                        shown,
                        size,
                    });
                    return TaskResult::Incomplete.into();
                }
                self.failures += 1;
                self.try_next_candidate(context)
            }
        }
    }
}
