//! Fetching one file: the nodes that are said to have it first, then all others
//! in the order of the list, one at a time, until one gives it.

use std::collections::BTreeSet;

use crate::close_reason::End;
use crate::exit::Exit;
use crate::jobs::choice::{Choice, offers};
use crate::jobs::connection::{Outcome, Session, Visit, With};
use crate::jobs::query::Question;
use crate::jobs::runner::{Done, ErrandId, Errands, Purpose, Runs};
use crate::jobs::user::{News, Trouble, User};
use crate::protocol::{ContentHash, FileName, HolderItem, NodeAddress, Reply, Request};
use crate::role::{Next, Turn};
use crate::session::server::say;

/// The search for one file.
pub(super) struct Fetch {
    pub(super) name: FileName<'static>,
    /// The content that is wanted, if not any will do.
    wanted: Option<Wanted>,
    /// Whom to ask, in this order.
    nodes: Vec<NodeAddress>,
    /// How many of them were asked.
    asked: usize,
    /// How many of them could not answer.
    failed: usize,
}

/// A content that is known by its hash.
struct Wanted {
    hash: ContentHash,
    /// What has arrived, to be compared with that.
    seen: Box<blake3::Hasher>,
}

impl Fetch {
    pub(super) fn new(name: FileName<'static>, hash: Option<ContentHash>) -> Self {
        let wanted = hash.map(|hash| Wanted {
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
    pub(super) fn ask(&self, line: &mut Vec<u8>) -> Next {
        say(line, Request::Get(self.name.clone()));
        Next::Line
    }

    /// A node has answered.
    pub(super) fn answered(
        &mut self,
        errand: ErrandId,
        visit: &mut Visit,
        line: &[u8],
        user: &mut dyn User,
    ) -> Next {
        match Reply::parse(line) {
            Ok(Reply::Found(size)) => {
                let node = visit.node;
                user.tell(News::Found { node, size });
                visit.body = Some((size, 0));
                if let Some(wanted) = &mut self.wanted {
                    wanted.seen.reset();
                }
                if let Err(why) = user.begin(errand, &self.name, size) {
                    visit.outcome = Outcome::NotStored(why);
                } else if size == 0 {
                    visit.outcome = self.complete(errand, user);
                } else {
                    return Next::Body(size);
                }
            }
            Ok(Reply::NotFound) => visit.outcome = Outcome::NotFound,
            Ok(Reply::Error(code, text)) => visit.outcome = Outcome::Error(code, text.into_owned()),
            Ok(_) | Err(_) => return Next::Close(End::Nonsense),
        }
        Next::Close(End::Satisfied)
    }

    /// More of the file has come.
    pub(super) fn received(
        &mut self,
        errand: ErrandId,
        visit: &mut Visit,
        bytes: &[u8],
        user: &mut dyn User,
    ) -> Next {
        let Some((size, received)) = &mut visit.body else {
            return Next::Close(End::Nonsense);
        };
        if let Err(why) = user.take(errand, bytes) {
            visit.outcome = Outcome::NotStored(why);
            return Next::Close(End::Satisfied);
        }
        if let Some(wanted) = &mut self.wanted {
            wanted.seen.update(bytes);
        }
        *received += bytes.len() as u64;
        user.tell(News::Progress {
            errand,
            received: *received,
            size: *size,
        });
        if received < size {
            return Next::Line;
        }
        visit.outcome = self.complete(errand, user);
        Next::Close(End::Satisfied)
    }

    fn complete(&self, errand: ErrandId, user: &mut dyn User) -> Outcome {
        if let Some(wanted) = &self.wanted
            && *wanted.seen.finalize().as_bytes() != wanted.hash.0
        {
            return Outcome::OtherContent;
        }
        match user.finish(errand) {
            Ok(()) => Outcome::Complete,
            Err(why) => Outcome::NotStored(why),
        }
    }
}

impl Errands {
    /// The nodes are known: asks who has the file.
    pub(super) fn ask_for_holders<R: Runs>(
        &mut self,
        turn: &mut Turn<'_, R>,
        errand: ErrandId,
        fetch: Fetch,
    ) -> Option<Done> {
        if self.nodes.len() > 1 || fetch.wanted.is_some() {
            let question = Question::Holders(fetch.name.clone());
            self.ask(turn, errand, question, Purpose::Fetch(fetch));
            return None;
        }
        // There is nobody to choose from.
        self.search_among(turn, errand, fetch, &[])
    }

    /// Searches for the file: at its `holders` first, then at all others. If one
    /// content is wanted, only those are asked that say they have it.
    pub(super) fn search_among<R: Runs>(
        &mut self,
        turn: &mut Turn<'_, R>,
        errand: ErrandId,
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
                    ..self.done(errand, Exit::WhichContent)
                });
            }
            None if offers.len() < 2 => {}
            Some(hash) if offers.iter().any(|offer| offer.hash == hash) => {}
            _ => {
                self.user.tell(News::WhichContent {
                    name: &fetch.name,
                    offers: &offers,
                    numbered: false,
                });
                return Some(self.done(errand, Exit::WhichContent));
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
        self.ask_next_node(turn, errand, fetch)
    }

    fn ask_next_node<R: Runs>(
        &mut self,
        turn: &mut Turn<'_, R>,
        errand: ErrandId,
        mut fetch: Fetch,
    ) -> Option<Done> {
        let Some(node) = fetch.nodes.get(fetch.asked).copied() else {
            self.user.tell(News::Missing {
                name: &fetch.name,
                nodes: fetch.nodes.len(),
                failed: fetch.failed,
            });
            let exit = match fetch.failed {
                0 => Exit::NotFound,
                _ => Exit::NodesFailed,
            };
            return Some(self.done(errand, exit));
        };
        fetch.asked += 1;
        self.user.tell(News::Asking {
            name: &fetch.name,
            number: fetch.asked,
            of: fetch.nodes.len(),
            node,
        });
        let visit = Visit {
            node,
            asked: turn.now,
            body: None,
            outcome: Outcome::Open,
        };
        let with = With::Node(visit, fetch);
        turn.out.dial(node.into(), Session { errand, with }.into());
        None
    }

    fn node_failed<R: Runs>(
        &mut self,
        turn: &mut Turn<'_, R>,
        errand: ErrandId,
        node: NodeAddress,
        mut fetch: Fetch,
        trouble: &Trouble<'_>,
    ) -> Option<Done> {
        self.user.tell(News::NodeFailed(node, trouble));
        fetch.failed += 1;
        self.ask_next_node(turn, errand, fetch)
    }

    /// The connection to a node is over.
    pub(super) fn node_ended<R: Runs>(
        &mut self,
        turn: &mut Turn<'_, R>,
        errand: ErrandId,
        visit: Visit,
        fetch: Fetch,
        end: &End,
    ) -> Option<Done> {
        let Visit { node, body, .. } = visit;
        match visit.outcome {
            Outcome::Complete => {
                self.user.tell(News::Fetched {
                    name: &fetch.name,
                    node,
                    size: body.map_or(0, |(size, _)| size),
                    took: turn.now.saturating_duration_since(visit.asked),
                });
                Some(self.done(errand, Exit::Success))
            }
            Outcome::NotFound => {
                self.user.tell(News::NotFound(node));
                self.ask_next_node(turn, errand, fetch)
            }
            Outcome::Error(code, text) => {
                let trouble = Trouble::Error(code, text);
                self.node_failed(turn, errand, node, fetch, &trouble)
            }
            Outcome::NotStored(why) => {
                self.user.abandon(errand);
                if why.reader_gone {
                    return Some(self.reader_gone(errand));
                }
                self.user.tell(News::NotStored {
                    name: &fetch.name,
                    why: &why,
                });
                Some(self.done(errand, Exit::NotStored))
            }
            Outcome::Open | Outcome::OtherContent => {
                let shown = self.user.abandon(errand);
                let (size, received) = body.unwrap_or_default();
                let trouble = match (visit.outcome, received) {
                    (Outcome::OtherContent, _) => Trouble::OtherContent,
                    (_, 0) => Trouble::Ended(end),
                    _ => Trouble::Broken {
                        received,
                        size,
                        end,
                    },
                };
                if shown == 0 {
                    return self.node_failed(turn, errand, node, fetch, &trouble);
                }
                // What was shown cannot be taken back: asking others is no help.
                self.user.tell(News::NodeFailed(node, &trouble));
                self.user.tell(News::Incomplete {
                    name: &fetch.name,
                    shown,
                    size,
                });
                Some(self.done(errand, Exit::Incomplete))
            }
        }
    }
}
