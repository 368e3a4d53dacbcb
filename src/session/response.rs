//! The form of a response: the part after its first line, and the items of lists.

use crate::protocol::{Delivery, FileItem, HolderItem, NodeAddress, Reply, Verb};

/// A part of a response, or a message.
#[derive(PartialEq, Eq, Debug)]
pub enum ResponsePart<'a> {
    /// The first line, which the verb of the request allows. An error may come without
    /// a request, when the server is about to close the connection.
    Head(Reply<'a>),
    /// An item of `NODES`.
    Node(NodeAddress),
    /// An item of `HOLDERS`.
    Holder(HolderItem),
    /// An item of `FILES`.
    File(FileItem<'a>),
    /// A line of `STATS` or `HELP`.
    Text(&'a str),
    /// An item in a form that this version does not know.
    UnknownItem(&'a [u8]),
    /// Bytes of the body after `FOUND`.
    Body(&'a [u8]),
    /// A message that a listening connection receives.
    Message(Delivery<'a>),
    /// A message in a form that this version does not know.
    UnreadableMessage(&'a [u8]),
}

/// The items of a list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ItemKind {
    Node,
    Holder,
    File,
    /// A line for people, or a name and a figure.
    Text,
}

/// The input that a response still needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum ExpectedInput {
    /// The first line.
    Head,
    /// So many items, at least one.
    Items(ItemKind, u64),
    /// So many bytes, at least one.
    Body(u64),
}

/// The input that follows this first line, if any.
pub(super) fn input_after(head: &Reply<'_>) -> Option<ExpectedInput> {
    let items = |kind, count| (count > 0).then_some(ExpectedInput::Items(kind, count));
    match head {
        Reply::Nodes(count) => items(ItemKind::Node, count.shown()),
        Reply::Holders(count) => items(ItemKind::Holder, count.shown()),
        Reply::Files { shown, .. } => items(ItemKind::File, *shown),
        Reply::Stats(count) | Reply::Help(count) => items(ItemKind::Text, *count),
        Reply::Found(size) => (*size > 0).then_some(ExpectedInput::Body(*size)),
        Reply::Ok(_)
        | Reply::Pong
        | Reply::Stat(_)
        | Reply::NotFound
        | Reply::Error(..)
        | Reply::Tag(_)
        | Reply::Cookie(_) => None,
    }
}

/// Whether this may be the first line of the response to a request of this verb.
pub(super) fn is_response_to(verb: Option<Verb>, reply: &Reply<'_>) -> bool {
    if let Reply::Error(..) = reply {
        return true;
    }
    let Some(verb) = verb else {
        return matches!(reply, Reply::Ok(_));
    };
    match verb {
        Verb::Register
        | Verb::Unregister
        | Verb::Share
        | Verb::Listen
        | Verb::Send
        | Verb::Quit => {
            matches!(reply, Reply::Ok(_))
        }
        Verb::Unshare => matches!(reply, Reply::Ok(_) | Reply::NotFound),
        Verb::List => matches!(reply, Reply::Nodes(_) | Reply::Files { .. }),
        Verb::Search | Verb::More => matches!(reply, Reply::Files { .. }),
        Verb::Find => matches!(reply, Reply::Holders(_) | Reply::NotFound),
        Verb::Get => matches!(reply, Reply::Found(_) | Reply::NotFound),
        Verb::Stat => matches!(reply, Reply::Stat(_) | Reply::NotFound),
        Verb::Ping => matches!(reply, Reply::Pong),
        Verb::Stats => matches!(reply, Reply::Stats(_)),
        Verb::Help => matches!(reply, Reply::Help(_)),
    }
}

/// Reads an item of a list.
pub(super) fn item(kind: ItemKind, line: &[u8]) -> ResponsePart<'_> {
    let text = std::str::from_utf8(line).ok();
    let part = text.and_then(|text| match kind {
        ItemKind::Node => NodeAddress::parse(text).ok().map(ResponsePart::Node),
        ItemKind::Holder => HolderItem::parse(text).ok().map(ResponsePart::Holder),
        ItemKind::File => FileItem::parse(text).ok().map(ResponsePart::File),
        ItemKind::Text => Some(ResponsePart::Text(text)),
    });
    part.unwrap_or(ResponsePart::UnknownItem(line))
}
