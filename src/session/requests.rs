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

use crate::protocol::{Delivery, MAX_LISTED_FILES, Reply, Request, Verb};
use crate::role::{Input, ReadNext};
use crate::session::line_codec::write_line;
pub use crate::session::response::ResponsePart;
use crate::session::response::{ExpectedInput, ItemKind, input_after, is_response_to, item};

/// The outstanding requests of one connection. `T` is the tag of a request.
///
/// The default takes no list of nodes or holders.
#[derive(Debug)]
pub struct RequestQueue<T> {
    /// The verb and the tag of each, the oldest first. Its response is being read. An
    /// empty line has no verb.
    outstanding: VecDeque<(Option<Verb>, T)>,
    expected: ExpectedInput,
    max_items: u64,
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
}

impl<T> Default for RequestQueue<T> {
    fn default() -> Self {
        Self::new(0)
    }
}

impl<T> RequestQueue<T> {
    /// A queue without requests. A list of nodes or holders may have up to
    /// `max_items` items; the protocol itself limits a list of files.
    #[must_use]
    pub fn new(max_items: u64) -> Self {
        Self {
            outstanding: VecDeque::new(),
            expected: ExpectedInput::Head,
            max_items,
        }
    }

    /// Appends the request to `out`, and expects its response.
    pub fn send(&mut self, request: &Request<'_>, tag: T, out: &mut Vec<u8>) {
        write_line(out, request);
        self.outstanding.push_back((request.verb(), tag));
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
        self.expected = ExpectedInput::Head;
        let outstanding = std::mem::take(&mut self.outstanding);
        outstanding.into_iter().map(|(_, tag)| tag)
    }

    /// The input to read next.
    #[must_use]
    pub fn read_next(&self) -> ReadNext {
        match self.expected {
            ExpectedInput::Head | ExpectedInput::Items(..) => ReadNext::Line,
            ExpectedInput::Body(left) => ReadNext::Body(left),
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
        let (part, rest) = match (input, self.expected) {
            (Input::Connected | Input::Resumed, _) => return Ok(None),
            (Input::FramingError(_), _) => return Err(ResponseError::Unreadable),
            (Input::Line(line), ExpectedInput::Head) if Delivery::is_delivery(line) => {
                let message = std::str::from_utf8(line).ok().and_then(Delivery::parse);
                let unreadable = ResponsePart::UnreadableMessage(line);
                let part = message.map_or(unreadable, ResponsePart::Message);
                return Ok(Some((part, None)));
            }
            (Input::Line(line), ExpectedInput::Head) => {
                let reply = Reply::parse(line).map_err(|_| ResponseError::Unreadable)?;
                let is_expected = match self.outstanding.front() {
                    Some((verb, _)) => is_response_to(*verb, &reply),
                    None => matches!(reply, Reply::Error(..)),
                };
                if !is_expected {
                    return Err(ResponseError::Unexpected);
                }
                let rest = input_after(&reply);
                if let Some(ExpectedInput::Items(kind, count)) = rest {
                    let max_items = match kind {
                        ItemKind::Node | ItemKind::Holder => self.max_items,
                        ItemKind::File | ItemKind::Text => MAX_LISTED_FILES as u64,
                    };
                    if count > max_items {
                        return Err(ResponseError::TooManyItems(count));
                    }
                }
                (ResponsePart::Head(reply), rest)
            }
            (Input::Line(line), ExpectedInput::Items(kind, left)) => {
                let rest = (left > 1).then(|| ExpectedInput::Items(kind, left - 1));
                (item(kind, line), rest)
            }
            (Input::Body(bytes), ExpectedInput::Body(left)) => {
                let left = left.saturating_sub(bytes.len() as u64);
                let rest = (left > 0).then_some(ExpectedInput::Body(left));
                (ResponsePart::Body(bytes), rest)
            }
            (Input::Line(_), ExpectedInput::Body(_)) | (Input::Body(_), _) => {
                return Err(ResponseError::Unexpected);
            }
        };
        self.expected = rest.unwrap_or(ExpectedInput::Head);
        let is_complete = rest.is_none();
        let completed = is_complete.then(|| self.outstanding.pop_front());
        Ok(Some((part, completed.flatten().map(|(_, tag)| tag))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::{ClaimedIp, Count, ErrorCode, FileName, NodeAddress, Port};

    /// A queue after these requests, whose tags count from 0.
    fn queue_of(requests: &[Request<'_>]) -> RequestQueue<usize> {
        let mut queue = RequestQueue::new(10);
        let mut out = Vec::new();
        for (tag, request) in requests.iter().enumerate() {
            queue.send(request, tag, &mut out);
        }
        assert_eq!(
            out.iter().filter(|byte| **byte == b'\n').count(),
            queue.len()
        );
        queue
    }

    fn read<'a>(
        queue: &mut RequestQueue<usize>,
        line: &'a str,
    ) -> Result<Option<(ResponsePart<'a>, Option<usize>)>, ResponseError> {
        queue.on_input(Input::Line(line.as_bytes()))
    }

    fn response<'a>(
        queue: &mut RequestQueue<usize>,
        line: &'a str,
    ) -> (ResponsePart<'a>, Option<usize>) {
        match read(queue, line) {
            Ok(Some(response)) => response,
            other => panic!("{line}: {other:?}"),
        }
    }

    fn name(text: &str) -> FileName<'_> {
        FileName::parse(text).unwrap()
    }

    #[test]
    fn responses_belong_to_requests_in_order() {
        let ip = ClaimedIp::Address("10.0.0.1".parse().unwrap());
        let register = Request::Register(ip, Port::new(9000).unwrap());
        let mut queue = queue_of(&[register, Request::Unshare(name("a")), Request::Ping]);
        let ok = ResponsePart::Head(Reply::Ok("60 10.0.0.1 9000 0".into()));
        assert_eq!(response(&mut queue, "OK 60 10.0.0.1 9000 0"), (ok, Some(0)));
        let (part, tag) = response(&mut queue, "NOTFOUND");
        assert_eq!((part, tag), (ResponsePart::Head(Reply::NotFound), Some(1)));
        assert!(queue.tags().eq([&2]));
        // The next line answers `PING`.
        assert_eq!(read(&mut queue, "NOTFOUND"), Err(ResponseError::Unexpected));
        assert!(queue.take_tags().eq([2]));
        assert!(queue.is_empty());
    }

    #[test]
    fn an_unknown_item_counts_and_is_skipped() {
        let mut queue = queue_of(&[Request::List, Request::Ping]);
        let head = ResponsePart::Head(Reply::Nodes(Count::all(3)));
        assert_eq!(response(&mut queue, "NODES 3"), (head, None));
        let node = NodeAddress::parse("10.0.0.1 1").unwrap();
        // Fields may have been added.
        let (part, tag) = response(&mut queue, "10.0.0.1 1 new-field");
        assert_eq!((part, tag), (ResponsePart::Node(node), None));
        let onion = "abc.onion 1";
        let unknown = ResponsePart::UnknownItem(onion.as_bytes());
        assert_eq!(response(&mut queue, onion), (unknown, None));
        // Inside a list no line is a message.
        let text = "FROM 10.0.0.1 1 hi";
        let unknown = ResponsePart::UnknownItem(text.as_bytes());
        assert_eq!(response(&mut queue, text), (unknown, Some(0)));
        let pong = ResponsePart::Head(Reply::Pong);
        assert_eq!(response(&mut queue, "PONG"), (pong, Some(1)));
    }

    #[test]
    fn items_of_files_and_holders_are_read() {
        let mut queue = queue_of(&[Request::Search("a"), Request::Find(name("a b"))]);
        response(&mut queue, "FILES 1 7");
        let (part, tag) = response(&mut queue, "3 - 2 a b");
        assert!(matches!(part, ResponsePart::File(file) if file.name == name("a b")));
        assert_eq!(tag, Some(0));
        response(&mut queue, "HOLDERS 1");
        let (part, tag) = response(&mut queue, "10.0.0.1 1 3 -");
        assert!(matches!(part, ResponsePart::Holder(holder) if holder.size == 3));
        assert_eq!(tag, Some(1));
    }

    #[test]
    fn a_list_has_a_limit() {
        let mut queue = queue_of(&[Request::List]);
        let too_many = Err(ResponseError::TooManyItems(11));
        assert_eq!(read(&mut queue, "NODES 11"), too_many);
        let mut queue = queue_of(&[Request::More]);
        let too_many = Err(ResponseError::TooManyItems(1001));
        assert_eq!(read(&mut queue, "FILES 1001 5000"), too_many);
        // An empty list is complete with its first line.
        assert_eq!(response(&mut queue, "FILES 0 5000").1, Some(0));
    }

    #[test]
    fn a_body_comes_in_chunks() {
        let mut queue = queue_of(&[Request::Get(name("a")), Request::Get(name("b"))]);
        response(&mut queue, "FOUND 5");
        assert!(matches!(queue.read_next(), ReadNext::Body(5)));
        let chunk = |bytes, tag| Ok(Some((ResponsePart::Body(bytes), tag)));
        assert_eq!(queue.on_input(Input::Body(b"FRO")), chunk(b"FRO", None));
        assert!(matches!(queue.read_next(), ReadNext::Body(2)));
        assert_eq!(queue.on_input(Input::Body(b"M ")), chunk(b"M ", Some(0)));
        assert!(matches!(queue.read_next(), ReadNext::Line));
        assert_eq!(response(&mut queue, "FOUND 0").1, Some(1));
        let late = queue.on_input(Input::Body(b"x"));
        assert_eq!(late, Err(ResponseError::Unexpected));
    }

    #[test]
    fn messages_and_errors_may_come_unasked() {
        let mut queue = queue_of(&[Request::Listen]);
        let message = read(&mut queue, "FROM 10.0.0.1 1 hi").unwrap();
        assert!(matches!(message, Some((ResponsePart::Message(_), None))));
        let line = "FROM abc.onion 1 hi";
        let unreadable = (ResponsePart::UnreadableMessage(line.as_bytes()), None);
        assert_eq!(read(&mut queue, line), Ok(Some(unreadable)));
        assert_eq!(response(&mut queue, "OK 10.0.0.2 2").1, Some(0));
        let error = Reply::Error(ErrorCode::CHANGED, "replaced".into());
        let replaced = (ResponsePart::Head(error), None);
        assert_eq!(read(&mut queue, "ERROR 409 replaced"), Ok(Some(replaced)));
        assert_eq!(read(&mut queue, "OK"), Err(ResponseError::Unexpected));
        assert_eq!(read(&mut queue, "what?"), Err(ResponseError::Unreadable));
    }
}
