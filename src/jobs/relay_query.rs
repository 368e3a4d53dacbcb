//! One question to the relay: a short conversation, its answer, close.

use log::Level;

use crate::close_reason::CloseReason;
use crate::escaped::Escaped;
use crate::jobs::query::Query;
use crate::jobs::user::StoreError;
use crate::protocol::{Code, FileItem, HolderItem, MAX_LISTED_FILES, NodeAddress, Reply, Request};
use crate::role::ReadNext;
use crate::session::server::say;

/// A question that is being answered.
pub(super) struct RelayQuery {
    /// What was asked.
    pub(super) question: Query,
    /// Which of the relay's addresses is asked.
    pub(super) address: usize,
    /// How many of them were, with this one.
    pub(super) tried: usize,
    /// How it went.
    pub(super) answer: Answer,
    /// How many lines are still to come of the list, once its head has come.
    left: Option<u64>,
    /// The nodes that came.
    pub(super) nodes: Vec<NodeAddress>,
    /// The holders that came.
    pub(super) holders: Vec<HolderItem>,
    /// How many lines of files came, and how many there are.
    files: (u64, u64),
    /// How many lines of the list were not understood.
    skipped: u64,
    /// The question was written.
    asked: bool,
}

/// How a question went.
#[derive(Debug)]
pub(super) enum Answer {
    /// The answer has not come, or not all of it.
    Open,
    /// All of it has come.
    Complete,
    /// Nobody has the file.
    NotFound,
    /// It was an error.
    Error(Code, String),
    /// The list is too long.
    TooMany(u64),
    /// It could not be shown to our user.
    NotShown(StoreError),
}

impl RelayQuery {
    pub(super) fn new(question: Query, address: usize) -> Self {
        Self {
            question,
            address,
            tried: 1,
            answer: Answer::Open,
            left: None,
            nodes: Vec::new(),
            holders: Vec::new(),
            files: (0, 0),
            skipped: 0,
            asked: false,
        }
    }

    /// The same question at the next one of `all` addresses.
    pub(super) fn again(self, all: usize) -> Self {
        Self {
            tried: self.tried + 1,
            ..Self::new(self.question, (self.address + 1) % all)
        }
    }

    /// Writes the question.
    pub(super) fn ask(&mut self, line: &mut Vec<u8>) -> ReadNext {
        self.asked = true;
        match &self.question {
            Query::Nodes => say(line, Request::List),
            Query::Files(text) => say(line, Request::Search(text)),
            Query::Holders(name) => say(line, Request::Find(name.clone())),
            Query::Message(to, text) => say(line, Request::Send(*to, text.clone())),
        }
        ReadNext::Line
    }

    /// Whether it may be asked again at another address: a message must not come
    /// twice, and a list not be shown twice.
    pub(super) fn may_be_repeated(&self) -> bool {
        match self.question {
            Query::Nodes | Query::Holders(_) => true,
            Query::Files(_) => self.files.0 == 0,
            Query::Message(..) => !self.asked,
        }
    }

    /// How many files were shown.
    pub(super) fn shown(&self) -> u64 {
        self.files.0 - self.skipped
    }

    /// Whether it was a search, and no file was shown.
    pub(super) fn found_nothing(&self) -> bool {
        matches!(&self.question, Query::Files(text) if !text.is_empty()) && self.shown() == 0
    }

    /// One line of the answer. Each file of a list is handed to `each`, which says
    /// whether more are wanted. Lists that were cut are asked for again through
    /// `more`.
    pub(super) fn on_input(
        &mut self,
        line: &[u8],
        max_lines: u64,
        each: impl FnMut(&FileItem<'_>) -> Result<bool, StoreError>,
        more: &mut Vec<u8>,
    ) -> ReadNext {
        match self.left {
            None => match self.head(line, max_lines) {
                Ok(left) => self.left = left,
                Err(end) => return ReadNext::Close(end),
            },
            Some(left) => {
                self.item(line, each);
                self.left = Some(left.saturating_sub(1));
            }
        }
        let Answer::Open = self.answer else {
            return ReadNext::Close(CloseReason::Completed);
        };
        if self.left == Some(0) {
            let (shown, total) = self.files;
            if shown < total {
                self.left = None;
                say(more, Request::More);
            } else {
                self.answer = Answer::Complete;
                return ReadNext::Close(CloseReason::Completed);
            }
        }
        ReadNext::Line
    }

    /// The first line of the answer; returns how many follow.
    fn head(&mut self, line: &[u8], max_lines: u64) -> Result<Option<u64>, CloseReason> {
        let reply = Reply::parse(line).map_err(|_| CloseReason::ProtocolError)?;
        let count = match (&self.question, reply) {
            (_, Reply::Error(code, text)) => {
                self.answer = Answer::Error(code, text.into_owned());
                return Ok(None);
            }
            (Query::Holders(_), Reply::NotFound) => {
                self.answer = Answer::NotFound;
                return Ok(None);
            }
            (Query::Message(..), Reply::Ok(_)) => 0,
            (Query::Nodes, Reply::Nodes(count)) => count.shown(),
            (Query::Holders(_), Reply::Holders(count)) => count.shown(),
            (Query::Files(_), Reply::Files { shown, total }) => {
                // The list ends where nothing follows, whatever changed meanwhile.
                self.files.1 = if shown == 0 { self.files.0 } else { total };
                shown
            }
            (_, _) => return Err(CloseReason::ProtocolError),
        };
        let most = match self.question {
            Query::Files(_) => MAX_LISTED_FILES as u64,
            Query::Nodes | Query::Holders(_) | Query::Message(..) => max_lines,
        };
        if count > most {
            self.answer = Answer::TooMany(count);
        }
        Ok(Some(count))
    }

    fn item(
        &mut self,
        line: &[u8],
        mut each: impl FnMut(&FileItem<'_>) -> Result<bool, StoreError>,
    ) {
        let text = std::str::from_utf8(line).ok();
        let understood = match &self.question {
            Query::Nodes => text
                .and_then(|text| NodeAddress::parse(text).ok())
                .map(|node| self.nodes.push(node)),
            Query::Holders(_) => text
                .and_then(|text| HolderItem::parse(text).ok())
                .map(|holder| self.holders.push(holder)),
            Query::Files(_) => {
                self.files.0 += 1;
                text.and_then(|text| FileItem::parse(text).ok())
                    .map(|item| match each(&item) {
                        Ok(true) => {}
                        Ok(false) => self.answer = Answer::Complete,
                        Err(why) => self.answer = Answer::NotShown(why),
                    })
            }
            Query::Message(..) => None,
        };
        if understood.is_none() {
            // The rest of the list is of use; a hostile one must not flood the terminal.
            let level = match self.skipped {
                0 => Level::Warn,
                _ => Level::Debug,
            };
            self.skipped += 1;
            log::log!(level, "the relay lists {}", Escaped(line));
        }
    }
}
