//! Searching the names, a bounded part at a time.

use std::io::Write;

use crate::protocol::{FileItem, FileName, MAX_LISTED_FILES, Reply};
use crate::relay::index::needle::{Needle, NeedleOffset};
use crate::relay::index::pages::Page;
use crate::relay::index::{Index, NameId, SlotId};

/// Pages that one step looks through: about 65,000 names, well below a millisecond.
pub(in crate::relay) const PAGES_AT_ONCE: usize = 128;

/// Holders looked at in one step: as much work again.
const HOLDERS_AT_ONCE: usize = 32 * 1024;
/// So many of them count as one more page.
const HOLDERS_A_PAGE: usize = 1024;

/// A search that may take several steps.
pub(in crate::relay) struct Search {
    text: Needle,
    /// Lines begin after this name.
    after: Option<Box<str>>,
    /// Everything up to this name has been looked at.
    looked: Option<Box<str>>,
    lines: Vec<u8>,
    /// Holders that were looked at in this step.
    holders: usize,
    shown: u64,
    /// There is no place for the next name's lines.
    full: bool,
    total: u64,
    /// The last name that is shown.
    last: Option<Box<str>>,
}

/// What the asker may see.
pub(in crate::relay) struct Seen<'a> {
    /// Everybody who has a file is seen.
    pub(in crate::relay) all: bool,
    /// Whether this node is seen.
    pub(in crate::relay) node: &'a dyn Fn(SlotId) -> bool,
}

/// What a search has found.
pub(in crate::relay) struct Found {
    /// The whole answer.
    pub(in crate::relay) answer: Vec<u8>,
    /// What to go on with, if anything was listed.
    pub(in crate::relay) more: Option<Search>,
}

impl Search {
    /// Looks for names that contain `text`, whatever the case.
    pub(in crate::relay) fn new(text: &str) -> Self {
        Self::after(Needle::new(text), None)
    }

    fn after(text: Needle, after: Option<Box<str>>) -> Self {
        Self {
            text,
            after,
            looked: None,
            lines: Vec::new(),
            holders: 0,
            shown: 0,
            full: false,
            total: 0,
            last: None,
        }
    }

    /// Looks a little further, and counts the pages. Returns true when all was
    /// looked at.
    pub(in crate::relay) fn step(
        &mut self,
        index: &Index,
        seen: &Seen<'_>,
        looked: &mut usize,
    ) -> bool {
        let name_of = |id: NameId| &*index.entries[id].name;
        let pages = index.pages.from(self.looked.as_deref(), name_of);
        let step = &pages[..pages.len().min(PAGES_AT_ONCE)];
        // The last step ended in the middle of the first page, if names came in since.
        let mut first = match (&self.looked, step.first()) {
            (Some(looked), Some(page)) => {
                page.ids().partition_point(|id| name_of(*id) <= &**looked)
            }
            _ => 0,
        };
        self.holders = 0;
        for (number, page) in step.iter().enumerate() {
            let before = self.holders;
            let stopped = self.look(page, first, index, seen);
            first = 0;
            *looked += 1 + (self.holders - before) / HOLDERS_A_PAGE;
            let is_last = number + 1 == step.len();
            if let Some(at) = stopped.or(page.ids().last().copied().filter(|_| is_last)) {
                self.looked = Some(name_of(at).into());
            }
            if stopped.is_some() {
                return false;
            }
        }
        pages.len() <= PAGES_AT_ONCE
    }

    /// The answer, once all was looked at.
    pub(in crate::relay) fn found(self) -> Found {
        let (shown, total) = (self.shown, self.total);
        let mut answer = format!("{}\n", Reply::Files { shown, total }).into_bytes();
        answer.extend_from_slice(&self.lines);
        let after = self.last.or(self.after);
        let more = after.map(|after| Self::after(self.text, Some(after)));
        Found { answer, more }
    }

    /// Looks through a page from the line `first` on. If its names have so many
    /// holders that this is enough for one step, returns the last that was looked at.
    fn look(
        &mut self,
        page: &Page,
        first: usize,
        index: &Index,
        seen: &Seen<'_>,
    ) -> Option<NameId> {
        let plain = seen.all && index.ambiguous == 0;
        if self.text.is_empty() && plain && self.full {
            self.total += (page.ids().len() - first) as u64;
            return None;
        }
        page.fetch();
        let mut line = first;
        let mut spot = NeedleOffset::default();
        while let Some(hit) = self.text.find(page, line, &mut spot) {
            // A name that contains it twice is one name.
            line = hit + 1;
            if plain && self.full {
                self.total += 1;
                continue;
            }
            let id = page.ids()[hit];
            self.add(id, index, seen, plain);
            if self.holders > HOLDERS_AT_ONCE {
                return Some(id);
            }
        }
        None
    }

    /// One name: a line for each content that is seen under it.
    fn add(&mut self, id: NameId, index: &Index, seen: &Seen<'_>, plain: bool) {
        let entry = &index.entries[id];
        let is_next = self
            .after
            .as_deref()
            .is_none_or(|after| *entry.name > *after);
        if plain && !is_next {
            self.total += 1;
            return;
        }
        let is_seen = |node| seen.all || (seen.node)(node);
        let contents = entry.holders.contents(is_seen);
        self.holders += entry.holders.list().len();
        self.total += contents.len() as u64;
        let room = MAX_LISTED_FILES - self.shown as usize;
        self.full |= is_next && self.shown > 0 && contents.len() > room;
        if !is_next || self.full {
            return;
        }
        let Ok(name) = FileName::parse(&entry.name) else {
            return;
        };
        // A name with more contents than a list has lines is cut: it would stand
        // in the way of all that follow.
        for (holder, holders) in contents.into_iter().take(MAX_LISTED_FILES) {
            let item = FileItem {
                size: holder.size,
                hash: holder.hash(),
                holders,
                name: name.clone(),
            };
            // Writing to a Vec cannot fail.
            let _ = writeln!(self.lines, "{item}");
            self.shown += 1;
            self.last = Some(entry.name.clone());
        }
        self.full = self.shown as usize >= MAX_LISTED_FILES;
    }
}
