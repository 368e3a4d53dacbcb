//! Names in order, packed for searching: each page holds some hundred names
//! without their case, one behind the other, so that a search runs over plain
//! memory and an insertion moves no more than a page.

use super::NameId;

/// A page with more names than this is cut in two.
const PAGE: usize = 512;

/// All names, in the order of their bytes.
#[derive(Default)]
pub(super) struct Pages(Vec<Page>);

/// Neighbouring names, at least one.
#[derive(Default)]
pub(super) struct Page {
    /// Without case, each ended by a newline.
    text: String,
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

    /// Where a line begins in the text.
    fn offset(&self, line: usize) -> usize {
        match line {
            0 => 0,
            line => memchr::memchr_iter(b'\n', self.text.as_bytes())
                .nth(line - 1)
                .map_or(self.text.len(), |newline| newline + 1),
        }
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
        let offset = page.offset(line);
        let mut line_text = folded(name);
        line_text.push('\n');
        page.text.insert_str(offset, &line_text);
        page.ids.insert(line, id);
        if page.ids.len() > PAGE {
            let half = page.ids.len() / 2;
            let offset = page.offset(half);
            let second = Page {
                text: page.text.split_off(offset),
                ids: page.ids.split_off(half),
            };
            // Names that come in order leave the first half as it is for ever.
            page.text.shrink_to_fit();
            page.ids.shrink_to_fit();
            self.0.insert(at + 1, second);
        }
    }

    /// Takes out a name that is in it.
    pub(super) fn remove<'a>(&mut self, name: &str, name_of: impl Fn(NameId) -> &'a str) {
        let at = self.page(name, &name_of);
        let page = &mut self.0[at];
        let line = page.ids.partition_point(|other| name_of(*other) < name);
        let (start, end) = (page.offset(line), page.offset(line + 1));
        page.text.replace_range(start..end, "");
        page.ids.remove(line);
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
