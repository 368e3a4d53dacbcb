//! Fetching one file: the nodes that are said to have it first, then all others
//! in the order of the list, one at a time, until one gives it.

use std::collections::BTreeSet;
use std::time::Instant;

use super::question::Question;
use super::session::{Outcome, Session};
use super::user::{News, Trouble, User};
use super::{Client, Task};
use crate::end::End;
use crate::exit::Exit;
use crate::protocol::{ContentHash, FileName, HolderItem, NodeAddress, Reply};
use crate::role::{Next, Turn};

/// The search for one file.
pub(super) struct Fetch {
    pub(super) name: FileName<'static>,
    /// The hash of the content that is wanted, if not any will do.
    wanted: Option<ContentHash>,
    /// What has arrived of it, to be compared with that.
    seen: blake3::Hasher,
    /// Whom to ask, in this order.
    nodes: Vec<NodeAddress>,
    /// How many of them were asked.
    asked: usize,
    /// How many of them could not answer.
    failed: usize,
}

impl<U: User> Client<U> {
    pub(super) fn next_file(&mut self, turn: &mut Turn<'_, Self>) {
        let (name, wanted) = match &mut self.task {
            Task::Get(names, hash) => (names.pop_front(), *hash),
            Task::Prompt | Task::Ask(_) => (None, None),
        };
        let Some(name) = name else {
            return self.done(turn);
        };
        self.fetch = Some(Fetch {
            name: name.clone(),
            wanted,
            seen: blake3::Hasher::new(),
            nodes: Vec::new(),
            asked: 0,
            failed: 0,
        });
        if self.nodes.len() > 1 || wanted.is_some() {
            self.ask_relay(turn, Question::Holders(name), 0);
        } else {
            // There is nobody to choose from.
            self.search_among(turn, &[]);
        }
    }

    /// Searches for the file: at its `holders` first, then at all others. If one
    /// content is wanted, only those are asked that say they have it.
    pub(super) fn search_among(&mut self, turn: &mut Turn<'_, Self>, holders: &[HolderItem]) {
        let Some(fetch) = &mut self.fetch else { return };
        let contents: BTreeSet<ContentHash> = holders.iter().filter_map(|h| h.hash.0).collect();
        let is_missing = fetch
            .wanted
            .is_some_and(|wanted| !contents.contains(&wanted));
        if is_missing || (fetch.wanted.is_none() && contents.len() > 1) {
            self.user.tell(News::WhichContent {
                name: &fetch.name,
                holders,
            });
            self.exit = self.exit.or(Exit::WhichContent);
            return self.next_file(turn);
        }
        let mut first = BTreeSet::new();
        let right = holders
            .iter()
            .filter(|holder| fetch.wanted.is_none() || holder.hash.0 == fetch.wanted)
            .map(|holder| holder.node);
        fetch.nodes = right.filter(|holder| first.insert(*holder)).collect();
        if fetch.wanted.is_none() {
            let others = self.nodes.iter().filter(|node| !first.contains(node));
            fetch.nodes.extend(others);
        }
        self.ask_next_node(turn);
    }

    fn ask_next_node(&mut self, turn: &mut Turn<'_, Self>) {
        let Some(fetch) = &mut self.fetch else { return };
        let Some(node) = fetch.nodes.get(fetch.asked).copied() else {
            self.user.tell(News::Missing {
                name: &fetch.name,
                nodes: fetch.nodes.len(),
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
            of: fetch.nodes.len(),
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

    pub(super) fn node_answered(
        &mut self,
        node: NodeAddress,
        line: &[u8],
        body: &mut Option<(u64, u64)>,
        outcome: &mut Outcome,
    ) -> Next {
        let Some(fetch) = &mut self.fetch else {
            return Next::Close(End::Satisfied);
        };
        match Reply::parse(line) {
            Ok(Reply::Found(size)) => {
                self.user.tell(News::Found { node, size });
                *body = Some((size, 0));
                fetch.seen.reset();
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

    pub(super) fn node_sent(
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
        if let Some(fetch) = &mut self.fetch
            && fetch.wanted.is_some()
        {
            fetch.seen.update(bytes);
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
        if let Some(fetch) = &self.fetch
            && let Some(wanted) = fetch.wanted
            && *fetch.seen.finalize().as_bytes() != wanted.0
        {
            return Outcome::OtherContent;
        }
        match self.user.finish() {
            Ok(()) => Outcome::Complete,
            Err(why) => Outcome::NotStored(why),
        }
    }

    pub(super) fn node_ended(
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
            Outcome::Open | Outcome::OtherContent => {
                let shown = self.user.abandon();
                let (size, received) = body.unwrap_or_default();
                let trouble = match (outcome, received) {
                    (Outcome::OtherContent, _) => Trouble::OtherContent,
                    (_, 0) => Trouble::Ended(end),
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
}
