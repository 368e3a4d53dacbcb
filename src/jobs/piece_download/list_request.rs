//! A node's list of the values of all pieces. It is right if the values fold to the hash
//! of the content.

use crate::jobs::ids::RequestId;
use crate::protocol::{ContentHash, Item, PieceLayout, PieceValue, Reply};
use crate::session::requests::ResponsePart;

/// A list that is being received.
pub(super) struct PieceListRequest {
    pub(super) id: RequestId,
    /// The index of the node.
    pub(super) source: usize,
    values: Vec<PieceValue>,
}

/// What a part of a list shows.
#[derive(PartialEq, Eq, Debug)]
pub(super) enum ListResult {
    /// More follows.
    Incomplete,
    /// The values of all pieces.
    Values(Vec<PieceValue>),
    /// The node has another content.
    OtherContent,
    /// The values are not those of the content.
    Wrong,
    /// The response is none to `PIECES`.
    Unexpected,
}

impl PieceListRequest {
    pub(super) fn new(id: RequestId, source: usize) -> Self {
        Self {
            id,
            source,
            values: Vec::new(),
        }
    }

    /// Reads a part of the response.
    pub(super) fn on_response(
        &mut self,
        part: &ResponsePart<'_>,
        is_last: bool,
        hash: ContentHash,
        layout: &PieceLayout,
    ) -> ListResult {
        match part {
            ResponsePart::Head(Reply::Pieces { hash: other, .. }) if *other != hash => {
                return ListResult::OtherContent;
            }
            ResponsePart::Head(Reply::Pieces {
                count, piece_size, ..
            }) => {
                let expected = (layout.count() as u64, layout.piece_size());
                if (*count, *piece_size) != expected {
                    return ListResult::Wrong;
                }
                self.values.reserve_exact(layout.count());
            }
            ResponsePart::Item(Item::Piece(value)) => self.values.push(*value),
            ResponsePart::Item(_) => return ListResult::Wrong,
            _ => return ListResult::Unexpected,
        }
        match is_last {
            false => ListResult::Incomplete,
            true if layout.fold(&self.values) == Some(hash) => {
                ListResult::Values(std::mem::take(&mut self.values))
            }
            true => ListResult::Wrong,
        }
    }
}
