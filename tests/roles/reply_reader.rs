//! Reads everything that a server sends on one connection, and panics if it is not a
//! sequence of whole replies as `protocol.md` specifies them.

use peerline::protocol::{Delivery, FileItem, HelpItem, HolderItem, NodeAddress, Reply, StatsItem};

/// The output of a server on one connection.
#[derive(Default)]
pub struct ReplyReader {
    /// The beginning of a line whose end has not arrived.
    line: Vec<u8>,
    items: Option<(ItemCheck, u64)>,
    body: u64,
    replies: u64,
}

/// Whether a line belongs to the current list.
type ItemCheck = fn(&str) -> bool;

impl ReplyReader {
    /// The number of replies whose first line has arrived.
    pub fn replies(&self) -> u64 {
        self.replies
    }

    /// Whether the last reply is whole.
    pub fn is_between_replies(&self) -> bool {
        self.line.is_empty() && self.items.is_none() && self.body == 0
    }

    /// Text arrives.
    pub fn read(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let body = usize::try_from(self.body).unwrap_or(usize::MAX);
            let body = body.min(bytes.len());
            self.read_body(body as u64);
            bytes = &bytes[body..];
            match bytes.iter().position(|byte| *byte == b'\n') {
                _ if self.body > 0 => {}
                None => {
                    self.line.extend_from_slice(bytes);
                    return;
                }
                Some(end) => {
                    let mut line = std::mem::take(&mut self.line);
                    line.extend_from_slice(&bytes[..end]);
                    bytes = &bytes[end + 1..];
                    self.read_line(&line);
                }
            }
        }
    }

    /// So many bytes of a body arrive.
    pub fn read_body(&mut self, length: u64) {
        assert!(
            length <= self.body,
            "more bytes than the reply has announced"
        );
        self.body -= length;
    }

    fn read_line(&mut self, line: &[u8]) {
        let text = std::str::from_utf8(line).expect("lines are UTF-8");
        assert!(
            !text.contains(char::is_control),
            "{text:?} has no control character"
        );
        if let Some((is_item, left)) = self.items {
            assert!(is_item(text), "{text:?} is no item of its list");
            self.items = (left > 1).then_some((is_item, left - 1));
            return;
        }
        if Delivery::is_delivery(line) {
            assert!(Delivery::parse(text).is_some(), "{text:?} is a delivery");
            return;
        }
        self.replies += 1;
        let (is_item, count): (ItemCheck, u64) = match Reply::parse(line) {
            Ok(Reply::Nodes(count)) => (|line| NodeAddress::parse(line).is_ok(), count.shown()),
            Ok(Reply::Holders(count)) => (|line| HolderItem::parse(line).is_ok(), count.shown()),
            Ok(Reply::Files { shown, .. }) => (|line| FileItem::parse(line).is_ok(), shown),
            Ok(Reply::Stats(count)) => (|line| StatsItem::parse(line).is_ok(), count),
            Ok(Reply::Help(count)) => (|line| HelpItem::parse(line).is_ok(), count),
            Ok(Reply::Found(size)) => {
                self.body = size;
                return;
            }
            Ok(_) => return,
            Err(error) => panic!("{text:?}: {error}"),
        };
        self.items = (count > 0).then_some((is_item, count));
    }
}
