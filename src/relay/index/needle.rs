//! Searches for a text in the names of one block, ignoring case.

use memchr::memmem::Finder;

use crate::protocol::fold;
use crate::relay::index::name_blocks::NameBlock;

/// Bytes compared in one step.
const WORD_SIZE: usize = size_of::<u64>();

/// The text of a search.
pub(super) struct Needle {
    /// Folded.
    text: Box<[u8]>,
    finder: Finder<'static>,
    /// The first bytes of the text, and the mask of the bits that they fill.
    head: u64,
    mask: u64,
}

/// The offset of the last match within its name. Neighbouring names are similar:
/// the next one is compared at the same offset before it is searched. Valid
/// within one block.
#[derive(Default)]
pub(super) struct NeedleOffset {
    from_start: usize,
    from_end: usize,
}

impl Needle {
    pub(super) fn new(text: &str) -> Self {
        let text = fold(text).into_owned().into_bytes();
        let length = text.len().min(WORD_SIZE);
        let mut head = [0; WORD_SIZE];
        let mut mask = [0; WORD_SIZE];
        head[..length].copy_from_slice(&text[..length]);
        mask[..length].fill(0xff);
        Self {
            finder: Finder::new(&text).into_owned(),
            text: text.into(),
            head: u64::from_ne_bytes(head),
            mask: u64::from_ne_bytes(mask),
        }
    }

    /// Whether the text is empty: every name then matches.
    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The first line of the block, from `line` on, whose name contains the text.
    /// `last_offset` is the offset of the previous match; it is updated.
    pub(super) fn find(
        &self,
        block: &NameBlock,
        line: usize,
        last_offset: &mut NeedleOffset,
    ) -> Option<usize> {
        // An empty text would also match behind the last name.
        block.ids().get(line)?;
        let (start, end) = (block.line_start(line), block.line_start(line + 1));
        let is_in = |offset: usize| offset >= start && offset + self.text.len() < end;
        let is_at = |offset: usize| is_in(offset) && self.is_at(block.text(), offset);
        if is_at(start + last_offset.from_start) || is_at(end - last_offset.from_end) {
            return Some(line);
        }
        let hit = start + self.finder.find(&block.text()[start..])?;
        let line = block.line_at(line, hit);
        *last_offset = NeedleOffset {
            from_start: hit - block.line_start(line),
            from_end: block.line_start(line + 1) - hit,
        };
        Some(line)
    }

    /// Whether the text is at this offset of a block that is long enough.
    fn is_at(&self, block: &[u8], offset: usize) -> bool {
        let bytes_at_offset = &block[offset..];
        let Some((head, tail)) = bytes_at_offset.split_first_chunk::<WORD_SIZE>() else {
            return bytes_at_offset.starts_with(&self.text);
        };
        let differs = (u64::from_ne_bytes(*head) ^ self.head) & self.mask != 0;
        !differs && (self.text.len() <= WORD_SIZE || tail.starts_with(&self.text[WORD_SIZE..]))
    }
}
