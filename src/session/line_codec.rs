//! Prints replies as lines of text: the only code that appends lines to a reply.

use std::fmt;
use std::io::Write;
use std::iter;
use std::sync::Arc;

use memchr::{memchr_iter, memrchr};

use crate::protocol::{Count, NodeItem, PieceList, Reply};

/// Appends one line, such as a request, a reply or an item of a list.
pub(crate) fn write_line(text: &mut Vec<u8>, line: impl fmt::Display) {
    // Writing to a Vec cannot fail.
    let _ = writeln!(text, "{line}");
}

/// Appends the first line of an answer.
pub(crate) fn write_reply(text: &mut Vec<u8>, reply: &Reply<'_>) {
    reply.append_to(text);
    text.push(b'\n');
}

/// Appends a list: the first line, then one line per item. The `total` items are
/// truncated if they need more than `max_bytes`. Returns whether all were written.
pub(crate) fn write_list<T: fmt::Display>(
    text: &mut Vec<u8>,
    head: fn(Count) -> Reply<'static>,
    total: usize,
    items: impl Iterator<Item = T>,
    max_bytes: usize,
) -> bool {
    let start = text.len();
    write_reply(text, &head(Count::all(total as u64)));
    let first_item = text.len();
    for item in items {
        write_line(text, item);
        if text.len() - start > max_bytes {
            let max_items = max_bytes.saturating_sub(Count::MAX_LINE);
            let items = &text[first_item..];
            let items = &items[..items.len().min(max_items)];
            let items = &items[..memrchr(b'\n', items).map_or(0, |end| end + 1)];
            let shown = memchr_iter(b'\n', items).count() as u64;
            let end = first_item + items.len();
            text.truncate(end);
            let mut new_head = Vec::new();
            write_line(&mut new_head, head(Count::truncated(shown, total as u64)));
            text.splice(start..first_item, new_head);
            return false;
        }
    }
    true
}

/// Printed lines of a list. Replies share them.
#[derive(Clone)]
pub(crate) struct RenderedItems(Arc<[u8]>);

impl RenderedItems {
    /// Prints the lines of these nodes.
    pub(crate) fn nodes(nodes: impl Iterator<Item = NodeItem>) -> Self {
        let mut text = Vec::with_capacity(64 * 1024);
        for node in nodes {
            node.append_to(&mut text);
            text.push(b'\n');
        }
        Self(text.into())
    }
}

/// A printed reply to `LIST` or `PIECES`. Its clones share the text.
#[derive(Clone)]
pub(crate) struct RenderedList {
    head: Arc<[u8]>,
    blocks: Arc<[RenderedItems]>,
    length: usize,
}

impl RenderedList {
    /// The reply with these `total` nodes.
    pub(crate) fn nodes(total: usize, blocks: impl Iterator<Item = RenderedItems>) -> Self {
        Self::new(Reply::Nodes(Count::all(total as u64)), blocks.collect())
    }

    /// The reply with the values of these pieces.
    pub(crate) fn pieces(pieces: &PieceList) -> Self {
        let head = Reply::Pieces {
            count: pieces.values().len() as u64,
            piece_size: pieces.layout().piece_size(),
            hash: pieces.hash(),
        };
        let mut text = Vec::new();
        pieces
            .values()
            .iter()
            .for_each(|value| write_line(&mut text, value));
        Self::new(head, Arc::new([RenderedItems(text.into())]))
    }

    fn new(first_line: Reply<'_>, blocks: Arc<[RenderedItems]>) -> Self {
        let mut head = Vec::new();
        write_line(&mut head, first_line);
        Self {
            length: head.len() + blocks.iter().map(|block| block.0.len()).sum::<usize>(),
            head: head.into(),
            blocks,
        }
    }

    /// Bytes of the text.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// The text in parts; none is empty.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &Arc<[u8]>> {
        let blocks = self.blocks.iter().map(|block| &block.0);
        iter::once(&self.head).chain(blocks.filter(|block| !block.is_empty()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(max_bytes: usize) -> (String, bool) {
        let mut text = b"PONG\n".to_vec();
        let items = (10..20).map(|number| format!("192.0.2.1 {number}"));
        let is_whole = write_list(&mut text, Reply::Nodes, 10, items, max_bytes);
        (String::from_utf8(text).expect("text"), is_whole)
    }

    #[test]
    fn a_list_is_truncated_to_whole_items_and_shows_its_total() {
        let (text, is_whole) = list(usize::MAX);
        assert!(is_whole);
        let whole = text.strip_prefix("PONG\n").expect("it is appended");
        assert_eq!(list(whole.len()), (text.clone(), true));
        let (text, is_whole) = list(whole.len() - 1);
        assert!(!is_whole);
        let shown = text.lines().count() - 2;
        assert!(text.starts_with(&format!("PONG\nNODES {shown} 10\n192.0.2.1 10\n")));
        assert!(text.len() < whole.len() + "PONG\n".len());
        assert_eq!(list(0), ("PONG\nNODES 0 10\n".into(), false));
    }
}
