//! A query to one address of a relay: a request, `MORE` until the list is complete, close.
//! A node can answer instead, for its own files.

use std::cmp::Ordering;

use log::Level;

use crate::close_reason::CloseReason;
use crate::escaped::Escaped;
use crate::jobs::failure::Failure;
use crate::jobs::ids::QueryId;
use crate::limits::JobLimits;
use crate::protocol::{
    ErrorCode, FileItem, FileName, HolderItem, Item, NodeAddress, NodeItem, Reply, Request, Text,
    TextError, fold,
};
use crate::role::{Input, PeerTls, ReadNext};
use crate::session::requests::{RequestQueue, ResponseError, ResponsePart};

/// A query to the relay.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Query {
    /// The nodes.
    Nodes,
    /// The addresses at which messages are received.
    Listeners,
    /// The relay at which messages to this address arrive, or any that answers.
    RelayOf(NodeAddress),
    /// The files whose names contain this text.
    Files(String),
    /// The nodes that have this file.
    Holders(FileName<'static>),
    /// Pass a message on to this address.
    Message(NodeAddress, Text<'static>),
}

impl Query {
    /// The files whose names contain `text`. Every name contains the empty text.
    ///
    /// # Errors
    /// The text does not fit on a line.
    pub fn files(text: &str) -> Result<Self, TextError> {
        match Text::parse(text) {
            Ok(_) | Err(TextError::Empty) => Ok(Self::Files(text.to_owned())),
            Err(error) => Err(error),
        }
    }

    /// Whether only relays can answer: messages go through them.
    #[must_use]
    pub fn needs_relay(&self) -> bool {
        match self {
            Self::Listeners | Self::RelayOf(_) | Self::Message(..) => true,
            Self::Nodes | Self::Files(_) | Self::Holders(_) => false,
        }
    }

    /// Whether request and reply mostly fit into a datagram each.
    pub(super) fn fits_datagram(&self) -> bool {
        match self {
            Self::Nodes | Self::Holders(_) => true,
            Self::Files(_) | Self::Listeners | Self::RelayOf(_) | Self::Message(..) => false,
        }
    }

    fn request(&self, is_direct: bool) -> Request<'_> {
        match self {
            Self::Nodes if is_direct => Request::Ping,
            Self::Files(_) if is_direct => Request::List,
            Self::Holders(name) if is_direct => Request::Stat(name.clone()),
            Self::Nodes => Request::List,
            Self::Listeners | Self::RelayOf(_) => Request::Who,
            Self::Files(text) => Request::Search(text),
            Self::Holders(name) => Request::Find(name.clone()),
            Self::Message(to, text) => Request::Send(*to, text.clone()),
        }
    }

    fn empty_answer(&self) -> RelayAnswer {
        match self {
            Self::Nodes | Self::Listeners | Self::RelayOf(_) => RelayAnswer::Nodes(Vec::new()),
            Self::Files(_) => RelayAnswer::EndOfFiles,
            Self::Holders(_) => RelayAnswer::Holders(Vec::new()),
            Self::Message(..) => RelayAnswer::Sent,
        }
    }
}

/// The relay's answer to a query. The files of a list were handed over one by one.
pub(super) enum RelayAnswer {
    Nodes(Vec<NodeItem>),
    Holders(Vec<HolderItem>),
    EndOfFiles,
    Sent,
    /// The index of a relay.
    Relay(usize),
}

impl RelayAnswer {
    /// Leaves out the nodes at a loopback address: what a relay on another machine
    /// says about ours is not to be trusted.
    pub(super) fn remove_loopback(&mut self) {
        match self {
            Self::Nodes(nodes) => nodes.retain(|node| !node.address.is_loopback()),
            Self::Holders(holders) => holders.retain(|holder| !holder.node.is_loopback()),
            Self::EndOfFiles | Self::Sent | Self::Relay(_) => {}
        }
    }
}

/// Where a query goes, and whose it is.
#[derive(Clone, Copy)]
pub(super) struct QueryTarget {
    pub(super) open: QueryId,
    /// The index of the source, and of its address.
    pub(super) source: usize,
    pub(super) address: usize,
    /// The node that answers as the relay of its own files, if it is one.
    pub(super) node: Option<NodeAddress>,
    /// Whether a connection for it alone is encrypted, and whom it must lead to.
    pub(super) tls: PeerTls,
}

/// A query that is being answered.
pub(super) struct RelayQuery {
    pub(super) query: Query,
    /// Where it goes.
    pub(super) target: QueryTarget,
    /// How many addresses were tried, with this one.
    tries: usize,
    requests: RequestQueue<()>,
    was_sent: bool,
    /// The answer so far.
    answer: RelayAnswer,
    /// How the answer ended: complete, or with a failure. None as long as it goes on.
    end: Option<Result<(), Failure<'static>>>,
    /// How many files the relay has listed, and how many there are.
    listed_files: u64,
    all_files: u64,
    max_listed: u64,
    /// The bytes of their names so far.
    name_bytes: u64,
    max_name_bytes: u64,
    /// The last name of the list, and whether this batch has advanced it.
    last_name: String,
    has_advanced: bool,
    has_unknown_items: bool,
}

impl RelayQuery {
    pub(super) fn new(query: Query, target: QueryTarget, limits: &JobLimits) -> Self {
        Self {
            target,
            tries: 1,
            requests: RequestQueue::new(limits.max_nodes),
            was_sent: false,
            answer: query.empty_answer(),
            end: None,
            listed_files: 0,
            all_files: 0,
            max_listed: limits.max_listed,
            name_bytes: 0,
            max_name_bytes: limits.max_listed_bytes,
            last_name: String::new(),
            has_advanced: false,
            has_unknown_items: false,
            query,
        }
    }

    /// Whether the answer is that the server speaks TLS only.
    pub(super) fn needs_tls(&self) -> bool {
        matches!(
            self.end,
            Some(Err(Failure::Error(ErrorCode::TLS_REQUIRED, _)))
        )
    }

    /// Whether the query failed, and may be sent to the next one of `addresses`: a
    /// message must not arrive twice, and no file be listed twice.
    pub(super) fn may_be_retried(&self, addresses: usize) -> bool {
        let is_repeatable = match self.query {
            Query::Nodes | Query::Listeners | Query::RelayOf(_) | Query::Holders(_) => true,
            Query::Files(_) => self.listed_files == 0,
            Query::Message(..) => !self.was_sent,
        };
        self.end.is_none() && self.tries < addresses && is_repeatable
    }

    /// The same query to another address.
    pub(super) fn retry(self, target: QueryTarget, limits: &JobLimits) -> Self {
        Self {
            tries: self.tries + 1,
            ..Self::new(self.query, target, limits)
        }
    }

    /// The request, if other requests may share its connection: it has one short response.
    pub(super) fn shared_request(&self) -> Option<Request<'static>> {
        match &self.query {
            Query::Holders(name) if self.target.node.is_some() => Some(Request::Stat(name.clone())),
            Query::Holders(name) => Some(Request::Find(name.clone())),
            _ => None,
        }
    }

    /// Reads a part of the response on a shared connection.
    ///
    /// # Errors
    /// The response is none to the request.
    pub(super) fn on_shared_part(
        &mut self,
        part: ResponsePart<'_>,
        is_last: bool,
    ) -> Result<(), CloseReason> {
        self.on_part(part, |_| true)?;
        if is_last && self.end.is_none() {
            self.end = Some(Ok(()));
        }
        Ok(())
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
            self.was_sent = true;
            // Requests that were sent as datagrams are sent again over TCP.
            drop(self.requests.take_tags());
            let request = self.query.request(self.target.node.is_some());
            self.requests.send(&request, (), out);
            return ReadNext::Line;
        }
        match self.requests.on_input(input) {
            Ok(Some((part, completed))) => {
                if let Err(reason) = self.on_part(part, on_file) {
                    return ReadNext::Close(reason);
                }
                if completed.is_some() && self.end.is_none() {
                    if self.listed_files < self.all_files && !self.has_advanced {
                        self.end = Some(Err(Failure::Unsorted));
                    } else if self.listed_files < self.all_files {
                        self.requests.send(&Request::More, (), out);
                    } else {
                        self.end = Some(Ok(()));
                    }
                }
            }
            Ok(None) => {}
            Err(ResponseError::TooManyItems(count)) => {
                self.end = Some(Err(Failure::TooMany(count, "--max-nodes")));
            }
            Err(ResponseError::AboveProtocolLimit(count)) => {
                self.end = Some(Err(Failure::TooMany(count, "the protocol")));
            }
            Err(_) => return ReadNext::Close(CloseReason::ProtocolError),
        }
        match self.end {
            None => self.requests.read_next(),
            Some(_) => ReadNext::Close(CloseReason::Completed),
        }
    }

    fn on_part(
        &mut self,
        part: ResponsePart<'_>,
        on_file: impl FnOnce(&FileItem<'_>) -> bool,
    ) -> Result<(), CloseReason> {
        if let ResponsePart::Item(Item::File(file)) = &part {
            if !self.advance(file.name.as_str()) {
                self.end = Some(Err(Failure::Unsorted));
            } else if self.name_bytes > self.max_name_bytes {
                self.end = Some(Err(Failure::TooLongNames(self.max_name_bytes)));
            } else if self.is_wanted(file) && !on_file(file) {
                self.end = Some(Ok(()));
            }
        }
        match (part, &mut self.answer) {
            (ResponsePart::Head(Reply::Error(code, text)), _) => {
                self.end = Some(Err(Failure::Error(code, text.into_owned())));
            }
            (ResponsePart::Head(Reply::Files { shown, total }), RelayAnswer::EndOfFiles) => {
                // Only an empty batch ends a list that has become shorter: the files that were
                // withdrawn may be among those that are listed already.
                self.all_files = match shown {
                    0 => self.listed_files,
                    _ => self.all_files.max(total),
                };
                self.has_advanced = false;
                if self.all_files > self.max_listed {
                    self.end = Some(Err(Failure::TooMany(total, "--max-listed")));
                }
            }
            // Only a relay answers `LIST` with nodes.
            (ResponsePart::Head(Reply::Nodes(..)), RelayAnswer::EndOfFiles) => {
                self.end = Some(Err(Failure::IsRelay));
            }
            (ResponsePart::Head(Reply::Pong), RelayAnswer::Nodes(nodes)) => {
                nodes.extend(self.target.node.map(NodeItem::from));
            }
            (ResponsePart::Head(Reply::Stat(stat)), RelayAnswer::Holders(holders)) => {
                holders.extend(self.target.node.map(|node| HolderItem {
                    node,
                    size: stat.size,
                    hash: stat.hash,
                    id: None,
                }));
            }
            // This is a node.
            (ResponsePart::Head(Reply::Files { .. }), _) => return Err(CloseReason::ProtocolError),
            (ResponsePart::Item(Item::Node(node)), RelayAnswer::Nodes(nodes)) => nodes.push(node),
            (ResponsePart::Item(Item::Holder(holder)), RelayAnswer::Holders(holders)) => {
                holders.push(holder);
            }
            (ResponsePart::Item(Item::Unknown(line)), _) => self.on_unknown_item(line),
            (ResponsePart::Message(_) | ResponsePart::UnreadableMessage(_), _) => {
                return Err(CloseReason::ProtocolError);
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether a file belongs to the answer: a node lists all of its files.
    fn is_wanted(&self, file: &FileItem<'_>) -> bool {
        match &self.query {
            Query::Files(text) if self.target.node.is_some() => {
                fold(file.name.as_str()).contains(&*fold(text))
            }
            _ => true,
        }
    }

    /// The next file of the list. Returns false if the names are not sorted: names must
    /// increase from batch to batch, so that a list ends. Within a batch a name may have
    /// several contents.
    fn advance(&mut self, name: &str) -> bool {
        self.listed_files += 1;
        self.name_bytes += name.len() as u64;
        match name.cmp(&self.last_name) {
            Ordering::Less => return false,
            Ordering::Equal => return self.has_advanced,
            Ordering::Greater => {}
        }
        self.last_name.clear();
        self.last_name.push_str(name);
        self.has_advanced = true;
        true
    }

    /// The answer, or the failure, after the connection has ended for `reason`.
    pub(super) fn finish(self, reason: &CloseReason) -> Result<RelayAnswer, Failure<'_>> {
        match self.end {
            Some(Ok(())) => Ok(self.answer),
            Some(Err(failure)) => Err(failure),
            None => Err(Failure::Ended(reason)),
        }
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
