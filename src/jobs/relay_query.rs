//! A query to one address of the relay: a request, `MORE` until the list is
//! complete, close.

use log::Level;

use crate::close_reason::CloseReason;
use crate::escaped::Escaped;
use crate::jobs::query::Query;
use crate::jobs::user::Failure;
use crate::protocol::{Code, FileItem, HolderItem, NodeAddress, Reply, Request};
use crate::role::{Input, ReadNext};
use crate::session::requests::{RequestQueue, ResponseError, ResponsePart};

/// A query that is being answered.
pub(super) struct RelayQuery {
    pub(super) query: Query,
    /// The index of the relay's address.
    pub(super) address: usize,
    /// How many addresses were tried, with this one.
    attempts: usize,
    requests: RequestQueue<()>,
    was_sent: bool,
    state: QueryState,
    nodes: Vec<NodeAddress>,
    holders: Vec<HolderItem>,
    /// How many files the relay has listed, and how many there are.
    listed_files: u64,
    all_files: u64,
    has_unknown_items: bool,
}

enum QueryState {
    /// The answer is not complete.
    Open,
    Complete,
    Error(Code, String),
    /// The list has so many items, which are too many.
    TooManyItems(u64),
}

/// The relay's complete answer. The files of a list were handed over one by one.
pub(super) enum RelayAnswer {
    Nodes(Vec<NodeAddress>),
    Holders(Vec<HolderItem>),
    EndOfFiles,
    Sent,
}

impl RelayQuery {
    /// A query to the relay's address of this index. A list of nodes or holders may
    /// have `max_items`.
    pub(super) fn new(query: Query, address: usize, max_items: u64) -> Self {
        Self {
            query,
            address,
            attempts: 1,
            requests: RequestQueue::new(max_items),
            was_sent: false,
            state: QueryState::Open,
            nodes: Vec::new(),
            holders: Vec::new(),
            listed_files: 0,
            all_files: 0,
            has_unknown_items: false,
        }
    }

    /// Whether the query failed, and may be sent to the next one of `addresses`: a
    /// message must not arrive twice, and no file be listed twice.
    pub(super) fn may_be_retried(&self, addresses: usize) -> bool {
        let is_repeatable = match self.query {
            Query::Nodes | Query::Holders(_) => true,
            Query::Files(_) => self.listed_files == 0,
            Query::Message(..) => !self.was_sent,
        };
        matches!(self.state, QueryState::Open) && self.attempts < addresses && is_repeatable
    }

    /// The same query to the next one of `addresses`.
    pub(super) fn retry(self, addresses: usize, max_items: u64) -> Self {
        Self {
            attempts: self.attempts + 1,
            ..Self::new(self.query, (self.address + 1) % addresses, max_items)
        }
    }

    /// Reads input from the relay. `on_file` gets each file of a list, and returns
    /// whether more files are wanted.
    pub(super) fn on_input(
        &mut self,
        input: Input<'_>,
        on_file: impl FnOnce(&FileItem<'_>) -> bool,
        out: &mut Vec<u8>,
    ) -> ReadNext {
        if let Input::Connected = input {
            self.send(out);
            return ReadNext::Line;
        }
        let (part, completed) = match self.requests.on_input(input) {
            Ok(Some(response)) => response,
            Ok(None) => return ReadNext::Line,
            Err(ResponseError::TooManyItems(count)) => {
                self.state = QueryState::TooManyItems(count);
                return ReadNext::Close(CloseReason::Completed);
            }
            Err(_) => return ReadNext::Close(CloseReason::ProtocolError),
        };
        match part {
            ResponsePart::Head(head) => {
                if let Err(reason) = self.on_head(head) {
                    return ReadNext::Close(reason);
                }
            }
            ResponsePart::Node(node) => self.nodes.push(node),
            ResponsePart::Holder(holder) => self.holders.push(holder),
            ResponsePart::File(file) => {
                self.listed_files += 1;
                if !on_file(&file) {
                    self.state = QueryState::Complete;
                }
            }
            ResponsePart::UnknownItem(line) => self.on_unknown_item(line),
            ResponsePart::Text(_) | ResponsePart::Body(_) => {}
            ResponsePart::Message(_) | ResponsePart::UnreadableMessage(_) => {
                return ReadNext::Close(CloseReason::ProtocolError);
            }
        }
        if let (QueryState::Open, Some(())) = (&self.state, completed) {
            if self.listed_files < self.all_files {
                self.requests.send(&Request::More, (), out);
            } else {
                self.state = QueryState::Complete;
            }
        }
        match self.state {
            QueryState::Open => self.requests.read_next(),
            _ => ReadNext::Close(CloseReason::Completed),
        }
    }

    /// The connection has ended for `reason`: the answer, or the failure.
    pub(super) fn finish<'a>(
        &mut self,
        reason: &'a CloseReason,
    ) -> Result<RelayAnswer, Failure<'a>> {
        match std::mem::replace(&mut self.state, QueryState::Open) {
            QueryState::Open => Err(Failure::Ended(reason)),
            QueryState::Error(code, text) => Err(Failure::Error(code, text)),
            QueryState::TooManyItems(count) => Err(Failure::TooMany(count)),
            QueryState::Complete => Ok(match self.query {
                Query::Nodes => RelayAnswer::Nodes(std::mem::take(&mut self.nodes)),
                Query::Holders(_) => RelayAnswer::Holders(std::mem::take(&mut self.holders)),
                Query::Files(_) => RelayAnswer::EndOfFiles,
                Query::Message(..) => RelayAnswer::Sent,
            }),
        }
    }

    fn send(&mut self, out: &mut Vec<u8>) {
        self.was_sent = true;
        let request = match &self.query {
            Query::Nodes => Request::List,
            Query::Files(text) => Request::Search(text),
            Query::Holders(name) => Request::Find(name.clone()),
            Query::Message(to, text) => Request::Send(*to, text.clone()),
        };
        // Requests that were sent as datagrams are sent again over TCP.
        drop(self.requests.take_tags());
        self.requests.send(&request, (), out);
    }

    fn on_head(&mut self, head: Reply<'_>) -> Result<(), CloseReason> {
        match (&self.query, head) {
            (_, Reply::Error(code, text)) => {
                self.state = QueryState::Error(code, text.into_owned());
            }
            (Query::Files(_), Reply::Files { shown, total }) => {
                // An empty page is the last one, whatever has changed meanwhile.
                self.all_files = if shown == 0 { self.listed_files } else { total };
            }
            // This is a node.
            (_, Reply::Files { .. }) => return Err(CloseReason::ProtocolError),
            (_, _) => {}
        }
        Ok(())
    }

    fn on_unknown_item(&mut self, line: &[u8]) {
        if let Query::Files(_) = self.query {
            self.listed_files += 1;
        }
        // The rest of the list is of use; a hostile one must not flood the terminal.
        let level = match std::mem::replace(&mut self.has_unknown_items, true) {
            false => Level::Warn,
            true => Level::Debug,
        };
        log::log!(level, "the relay lists {}", Escaped(line));
    }
}

impl RelayAnswer {
    /// Leaves out the nodes at a loopback address: what a relay on another machine
    /// says about ours is not to be trusted.
    pub(super) fn remove_loopback(&mut self) {
        match self {
            Self::Nodes(nodes) => nodes.retain(|node| !node.is_loopback()),
            Self::Holders(holders) => holders.retain(|holder| !holder.node.is_loopback()),
            Self::EndOfFiles | Self::Sent => {}
        }
    }
}
