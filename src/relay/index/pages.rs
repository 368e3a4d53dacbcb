//! All names in byte order, packed for searching. Each page holds up to 512
//! case-folded names in one contiguous text, so that a search scans plain memory
//! and an insertion moves at most one page.

use std::hint::black_box;

use crate::relay::index::NameId;

/// A page with more names is split in two.
const MAX_NAMES_PER_PAGE: usize = 512;

/// Bytes of one CPU cache line.
const CACHE_LINE: usize = 64;

/// All names in byte order.
#[derive(Default)]
pub(super) struct Pages(Vec<Page>);

/// Neighbouring names; at least one.
#[derive(Default)]
pub(super) struct Page {
    /// Case-folded names, each terminated by a newline.
    text: String,
    /// The offset of each name in the text.
    line_starts: Vec<u32>,
    /// The ids of the names, in the same order.
    ids: Vec<NameId>,
}

impl Page {
    pub(super) fn text(&self) -> &[u8] {
        self.text.as_bytes()
    }

    pub(super) fn ids(&self) -> &[NameId] {
        &self.ids
    }

    /// Loads the text into the CPU cache. These reads do not depend on each other,
    /// so that the memory accesses overlap; those of a search would wait in turn.
    pub(super) fn prefetch(&self) {
        let pieces = self.text.as_bytes().iter().step_by(CACHE_LINE);
        // The sum is not used; it keeps the reads from being optimised away.
        black_box(pieces.fold(0, |sum: u8, byte| sum ^ byte));
    }

    /// The offset of a line in the text; for the line after the last, the text's end.
    pub(super) fn line_start(&self, line: usize) -> usize {
        self.line_starts
            .get(line)
            .map_or(self.text.len(), |start| *start as usize)
    }

    /// The line, searched from `first` on, that contains this offset of the text.
    pub(super) fn line_at(&self, first: usize, offset: usize) -> usize {
        let begin_before = |start: &&u32| **start as usize <= offset;
        // It is usually one of the next lines.
        first
            + self.line_starts[first + 1..]
                .iter()
                .take_while(begin_before)
                .count()
    }

    fn insert(&mut self, line: usize, name: &str, id: NameId) {
        let start = self.line_start(line);
        let mut text = fold_case(name);
        text.push('\n');
        self.text.insert_str(start, &text);
        // A page is much shorter than 4 GiB.
        self.line_starts.insert(line, start as u32);
        for later in &mut self.line_starts[line + 1..] {
            *later += text.len() as u32;
        }
        self.ids.insert(line, id);
    }

    fn remove(&mut self, line: usize) {
        let (start, end) = (self.line_start(line), self.line_start(line + 1));
        self.text.replace_range(start..end, "");
        self.line_starts.remove(line);
        for later in &mut self.line_starts[line..] {
            *later -= (end - start) as u32;
        }
        self.ids.remove(line);
    }

    /// Splits off the second half.
    fn split(&mut self) -> Self {
        let half = self.ids.len() / 2;
        let start = self.line_start(half);
        let second = Self {
            text: self.text.split_off(start),
            line_starts: self.line_starts.split_off(half),
            ids: self.ids.split_off(half),
        };
        // If names are inserted in order, the first half never grows again.
        self.text.shrink_to_fit();
        self.line_starts.shrink_to_fit();
        self.ids.shrink_to_fit();
        second.rebased(start)
    }

    /// The page with its offsets reduced by `start`.
    fn rebased(mut self, start: usize) -> Self {
        for line in &mut self.line_starts {
            *line -= start as u32;
        }
        self
    }
}

impl Pages {
    /// The pages from the first one on that may contain names after `name`.
    pub(super) fn from<'a>(
        &self,
        name: Option<&str>,
        name_of: impl Fn(NameId) -> &'a str,
    ) -> &[Page] {
        let first = name.map_or(0, |name| self.page_index(name, name_of));
        &self.0[first..]
    }

    pub(super) fn insert<'a>(
        &mut self,
        id: NameId,
        name: &str,
        name_of: impl Fn(NameId) -> &'a str,
    ) {
        if self.0.is_empty() {
            self.0.push(Page::default());
        }
        let at = self.page_index(name, &name_of);
        let page = &mut self.0[at];
        let line = page.ids.partition_point(|other| name_of(*other) < name);
        page.insert(line, name, id);
        if page.ids.len() > MAX_NAMES_PER_PAGE {
            let second = page.split();
            self.0.insert(at + 1, second);
        }
    }

    /// Removes a name; the name must be in a page.
    pub(super) fn remove<'a>(&mut self, name: &str, name_of: impl Fn(NameId) -> &'a str) {
        let at = self.page_index(name, &name_of);
        let page = &mut self.0[at];
        let line = page.ids.partition_point(|other| name_of(*other) < name);
        page.remove(line);
        if page.ids.is_empty() {
            self.0.remove(at);
        }
    }

    /// The index of the page that contains `name`, or into which it belongs.
    fn page_index<'a>(&self, name: &str, name_of: impl Fn(NameId) -> &'a str) -> usize {
        self.0
            .partition_point(|page| page.ids.first().is_some_and(|id| name_of(*id) <= name))
            .saturating_sub(1)
    }
}

/// The case-folded text. Folds each character on its own, because a part of a name
/// must stay a part of the folded name; `str::to_lowercase` has two lowercase
/// sigmas, depending on the position in the word.
pub(super) fn fold_case(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let upper = text.chars().flat_map(char::to_uppercase);
    upper.flat_map(char::to_lowercase).collect()
}
