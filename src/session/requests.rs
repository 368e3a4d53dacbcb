//! The client side of a connection: requests that were sent, in order, and the
//! responses to them, in the same order. No I/O.
//!
//! A [`RequestQueue`] prints each request, remembers which responses its verb
//! allows, and reads the responses: the first line as a [`Reply`], then the items
//! of a list or the bytes of a body. Each request has a tag: what its sender needs
//! to continue once the response is complete. A message (`FROM …`) may come
//! between two responses.
//!
//! The reader of a list follows the rules by which the protocol grows: an item
//! that cannot be understood counts as an item and is skipped.

use std::collections::VecDeque;

use crate::protocol::{
    Delivery, Item, ItemKind, MAX_LISTED_FILES, PieceLayout, Reply, ReplyContent, Request, Verb,
};
use crate::role::{Input, ReadNext};
use crate::session::line_codec::write_line;

/// The outstanding requests of one connection. `T` is the tag of a request.
///
/// The default takes no list of nodes or holders.
#[derive(Debug)]
pub struct RequestQueue<T> {
    /// The verb and the tag of each, the oldest first. Its response is being read. An
    /// empty line has no verb.
    outstanding: VecDeque<(Option<Verb>, T)>,
    /// What the response that is being read still lacks. Nothing: a first line follows.
    missing: ReplyContent,
    max_items: u64,
}

/// A part of a response, or a message.
#[derive(PartialEq, Eq, Debug)]
pub enum ResponsePart<'a> {
    /// The first line, which the verb of the request allows. An error may come without
    /// a request, when the server is about to close the connection.
    Head(Reply<'a>),
    /// A line of a list.
    Item(Item<'a>),
    /// Bytes of the body after `FOUND`.
    Body(&'a [u8]),
    /// A message that a listening connection receives.
    Message(Delivery<'a>),
    /// A message in a form that this version does not know.
    UnreadableMessage(&'a [u8]),
}

/// The input is no response. The connection cannot be used any longer, and the
/// request remains outstanding.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ResponseError {
    /// No line, or no response of this protocol.
    Unreadable,
    /// The line is a response, but not to the oldest request.
    Unexpected,
    /// A list of so many items, more than the caller takes.
    TooManyItems(u64),
    /// A list of so many items, more than the protocol allows in one reply.
    AboveProtocolLimit(u64),
}

impl<T> Default for RequestQueue<T> {
    fn default() -> Self {
        Self::new(0)
    }
}

impl<T> RequestQueue<T> {
    /// A queue without requests. A list of nodes or holders may have up to
    /// `max_items` items; the protocol itself limits a list of files or pieces.
    #[must_use]
    pub fn new(max_items: u64) -> Self {
        Self {
            outstanding: VecDeque::new(),
            missing: ReplyContent::None,
            max_items,
        }
    }

    /// Appends the request to `out`, and expects its response.
    pub fn send(&mut self, request: &Request<'_>, tag: T, out: &mut Vec<u8>) {
        write_line(out, request);
        self.outstanding.push_back((request.verb(), tag));
    }

    /// The same for a tag that contains the request.
    pub fn send_tag<'a>(
        &mut self,
        tag: T,
        request: impl FnOnce(&T) -> &Request<'a>,
        out: &mut Vec<u8>,
    ) {
        let request = request(&tag);
        write_line(out, request);
        let verb = request.verb();
        self.outstanding.push_back((verb, tag));
    }

    /// Whether every request has its whole response.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.outstanding.is_empty()
    }

    /// The number of outstanding requests.
    #[must_use]
    pub fn len(&self) -> usize {
        self.outstanding.len()
    }

    /// The tags of the outstanding requests, the oldest first.
    pub fn tags(&self) -> impl Iterator<Item = &T> {
        self.outstanding.iter().map(|(_, tag)| tag)
    }

    /// Takes the tags of the outstanding requests, the oldest first: the connection
    /// is over.
    pub fn take_tags(&mut self) -> impl Iterator<Item = T> + use<T> {
        self.missing = ReplyContent::None;
        let outstanding = std::mem::take(&mut self.outstanding);
        outstanding.into_iter().map(|(_, tag)| tag)
    }

    /// The input to read next.
    #[must_use]
    pub fn read_next(&self) -> ReadNext {
        match self.missing {
            ReplyContent::None | ReplyContent::Items(..) => ReadNext::Line,
            ReplyContent::Bytes(left) => ReadNext::Body(left),
        }
    }

    /// Reads a piece of input. With the last part of a response comes the tag of its
    /// request, which is no longer outstanding. Input without content, such as
    /// [`Input::Connected`], is no part.
    ///
    /// # Errors
    /// The input is no response to the oldest request.
    pub fn on_input<'a>(
        &mut self,
        input: Input<'a>,
    ) -> Result<Option<(ResponsePart<'a>, Option<T>)>, ResponseError> {
        let (part, missing) = match (input, self.missing) {
            (Input::Connected | Input::Resumed, _) => return Ok(None),
            (
                Input::FramingError(_)
                | Input::HttpHead(_)
                | Input::UnencryptedHttpHead(_)
                | Input::HttpError(_),
                _,
            ) => {
                return Err(ResponseError::Unreadable);
            }
            (Input::Line(line), ReplyContent::None) if Delivery::is_delivery(line) => {
                let message = std::str::from_utf8(line).ok().and_then(Delivery::parse);
                let unreadable = ResponsePart::UnreadableMessage(line);
                let part = message.map_or(unreadable, ResponsePart::Message);
                return Ok(Some((part, None)));
            }
            (Input::Line(line), ReplyContent::None) => {
                let head = self.read_head(line)?;
                let missing = head.content();
                (ResponsePart::Head(head), missing)
            }
            (Input::Line(line), ReplyContent::Items(kind, left)) => {
                let missing = match left {
                    1 => ReplyContent::None,
                    _ => ReplyContent::Items(kind, left - 1),
                };
                (ResponsePart::Item(kind.parse(line)), missing)
            }
            (Input::Body(bytes), ReplyContent::Bytes(left)) => {
                let missing = match left.saturating_sub(bytes.len() as u64) {
                    0 => ReplyContent::None,
                    left => ReplyContent::Bytes(left),
                };
                (ResponsePart::Body(bytes), missing)
            }
            (Input::Line(_), ReplyContent::Bytes(_)) | (Input::Body(_), _) => {
                return Err(ResponseError::Unexpected);
            }
        };
        self.missing = missing;
        let is_complete = missing == ReplyContent::None;
        let completed = is_complete.then(|| self.outstanding.pop_front());
        Ok(Some((part, completed.flatten().map(|(_, tag)| tag))))
    }

    /// Reads a first line that the oldest request allows.
    fn read_head<'a>(&self, line: &'a [u8]) -> Result<Reply<'a>, ResponseError> {
        let head = Reply::parse(line).map_err(|_| ResponseError::Unreadable)?;
        let is_error = matches!(head, Reply::Error(..));
        let is_expected = match self.outstanding.front() {
            Some((Some(verb), _)) => verb.allows(&head),
            Some((None, _)) => is_error || matches!(head, Reply::Ok(_)),
            None => is_error,
        };
        if !is_expected {
            return Err(ResponseError::Unexpected);
        }
        if let ReplyContent::Items(kind, count) = head.content() {
            let protocol_limit = match kind {
                ItemKind::Node | ItemKind::Holder => None,
                ItemKind::File | ItemKind::Text => Some(MAX_LISTED_FILES as u64),
                ItemKind::Piece => Some(PieceLayout::MAX_PIECES as u64),
            };
            match protocol_limit {
                Some(limit) if count > limit => {
                    return Err(ResponseError::AboveProtocolLimit(count));
                }
                None if count > self.max_items => return Err(ResponseError::TooManyItems(count)),
                Some(_) | None => {}
            }
        }
        Ok(head)
    }
}
