//! Finding a text in the names of a page.

use memchr::memmem::Finder;

use crate::relay::index::pages::{Page, folded};

/// Bytes that are compared in one step.
const WORD: usize = size_of::<u64>();

/// A text to find, whatever the case.
pub(super) struct Needle {
    /// Without case.
    text: Box<[u8]>,
    finder: Finder<'static>,
    /// Its first bytes, and which bits of a word they are.
    head: u64,
    mask: u64,
}

/// Where in a name a text was found. Neighbours are much alike: the next one
/// mostly has it there as well, and needs no search. It is of use in one page only,
/// from its beginning to its end.
#[derive(Default)]
pub(super) struct NeedleOffset {
    from_start: usize,
    from_end: usize,
}

impl Needle {
    pub(super) fn new(text: &str) -> Self {
        let text = folded(text).into_bytes();
        let length = text.len().min(WORD);
        let mut head = [0; WORD];
        let mut mask = [0; WORD];
        head[..length].copy_from_slice(&text[..length]);
        mask[..length].fill(0xff);
        Self {
            finder: Finder::new(&text).into_owned(),
            text: text.into(),
            head: u64::from_ne_bytes(head),
            mask: u64::from_ne_bytes(mask),
        }
    }

    /// Whether it is in every name.
    pub(super) fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The first name of a page, from this line on, that contains it. `spot` is where
    /// the one before had it.
    pub(super) fn find(&self, page: &Page, line: usize, spot: &mut NeedleOffset) -> Option<usize> {
        // No text at all would be found behind the last one, too.
        page.ids().get(line)?;
        let (start, end) = (page.start(line), page.start(line + 1));
        let is_in = |place: usize| place >= start && place + self.text.len() < end;
        let is_at = |place: usize| is_in(place) && self.is_at(page.text(), place);
        if is_at(start + spot.from_start) || is_at(end - spot.from_end) {
            return Some(line);
        }
        let hit = start + self.finder.find(&page.text()[start..])?;
        let line = page.line(line, hit);
        *spot = NeedleOffset {
            from_start: hit - page.start(line),
            from_end: page.start(line + 1) - hit,
        };
        Some(line)
    }

    /// Whether it is at this place of a page, which is long enough.
    fn is_at(&self, page: &[u8], place: usize) -> bool {
        let here = &page[place..];
        let Some((head, tail)) = here.split_first_chunk::<WORD>() else {
            return here.starts_with(&self.text);
        };
        let differs = (u64::from_ne_bytes(*head) ^ self.head) & self.mask != 0;
        !differs && (self.text.len() <= WORD || tail.starts_with(&self.text[WORD..]))
    }
}
