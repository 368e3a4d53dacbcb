//! Names in order, packed for searching: each page holds some hundred names
//! without their case, one behind the other, so that a search runs over plain
//! memory and an insertion moves no more than a page.

use std::hint::black_box;

use crate::relay::index::NameId;

/// A page with more names than this is cut in two.
const PAGE: usize = 512;

/// Bytes that come into the processor's cache together.
const CACHE_LINE: usize = 64;

/// All names, in the order of their bytes.
#[derive(Default)]
pub(super) struct Pages(Vec<Page>);

/// Neighbouring names, at least one.
#[derive(Default)]
pub(super) struct Page {
    /// Without case, each ended by a newline.
    text: String,
    /// Where each begins in the text.
    starts: Vec<u32>,
    /// Which they are, in the same order.
    ids: Vec<NameId>,
}

impl Page {
    pub(super) fn text(&self) -> &[u8] {
        self.text.as_bytes()
    }

    pub(super) fn ids(&self) -> &[NameId] {
        &self.ids
    }

    /// Brings the text into the processor's cache. A search waits for one piece of
    /// memory after the other; here none is waited for, so that many come at once.
    pub(super) fn fetch(&self) {
        let pieces = self.text.as_bytes().iter().step_by(CACHE_LINE);
        // Nothing is done with the sum.
        black_box(pieces.fold(0, |sum: u8, byte| sum ^ byte));
    }

    /// Where a line begins in the text; the one after the last begins at its end.
    pub(super) fn start(&self, line: usize) -> usize {
        self.starts
            .get(line)
            .map_or(self.text.len(), |start| *start as usize)
    }

    /// The line, from `first` on, in which this place of the text is.
    pub(super) fn line(&self, first: usize, place: usize) -> usize {
        let begin_before = |start: &&u32| **start as usize <= place;
        // Mostly it is one of the next.
        first
            + self.starts[first + 1..]
                .iter()
                .take_while(begin_before)
                .count()
    }

    fn insert(&mut self, line: usize, name: &str, id: NameId) {
        let start = self.start(line);
        let mut text = folded(name);
        text.push('\n');
        self.text.insert_str(start, &text);
        // A page is much shorter than four thousand million bytes.
        self.starts.insert(line, start as u32);
        for later in &mut self.starts[line + 1..] {
            *later += text.len() as u32;
        }
        self.ids.insert(line, id);
    }

    fn remove(&mut self, line: usize) {
        let (start, end) = (self.start(line), self.start(line + 1));
        self.text.replace_range(start..end, "");
        self.starts.remove(line);
        for later in &mut self.starts[line..] {
            *later -= (end - start) as u32;
        }
        self.ids.remove(line);
    }

    /// Takes the second half off.
    fn split(&mut self) -> Self {
        let half = self.ids.len() / 2;
        let start = self.start(half);
        let second = Self {
            text: self.text.split_off(start),
            starts: self.starts.split_off(half),
            ids: self.ids.split_off(half),
        };
        // Names that come in order leave the first half as it is for ever.
        self.text.shrink_to_fit();
        self.starts.shrink_to_fit();
        self.ids.shrink_to_fit();
        second.starting_at(start)
    }

    /// With places counted from this one on.
    fn starting_at(mut self, start: usize) -> Self {
        for line in &mut self.starts {
            *line -= start as u32;
        }
        self
    }
}

impl Pages {
    /// The pages from the one on in which names after `name` begin.
    pub(super) fn from<'a>(
        &self,
        name: Option<&str>,
        name_of: impl Fn(NameId) -> &'a str,
    ) -> &[Page] {
        let first = name.map_or(0, |name| self.page(name, name_of));
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
        let at = self.page(name, &name_of);
        let page = &mut self.0[at];
        let line = page.ids.partition_point(|other| name_of(*other) < name);
        page.insert(line, name, id);
        if page.ids.len() > PAGE {
            let second = page.split();
            self.0.insert(at + 1, second);
        }
    }

    /// Takes out a name that is in it.
    pub(super) fn remove<'a>(&mut self, name: &str, name_of: impl Fn(NameId) -> &'a str) {
        let at = self.page(name, &name_of);
        let page = &mut self.0[at];
        let line = page.ids.partition_point(|other| name_of(*other) < name);
        page.remove(line);
        if page.ids.is_empty() {
            self.0.remove(at);
        }
    }

    /// The page in which `name` is, or belongs.
    fn page<'a>(&self, name: &str, name_of: impl Fn(NameId) -> &'a str) -> usize {
        self.0
            .partition_point(|page| page.ids.first().is_some_and(|id| name_of(*id) <= name))
            .saturating_sub(1)
    }
}

/// The text without its case, letter by letter: a part of a name must stay a
/// part of it, and `str::to_lowercase` knows two small sigmas.
pub(super) fn folded(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_lowercase();
    }
    let upper = text.chars().flat_map(char::to_uppercase);
    upper.flat_map(char::to_lowercase).collect()
}
