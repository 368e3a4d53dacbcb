//! A search over all names, in bounded steps.

use crate::protocol::MAX_LISTED_FILES;
use crate::relay::index::found::FoundFiles;
use crate::relay::index::needle::{Needle, NeedleOffset};
use crate::relay::index::pages::Page;
use crate::relay::index::{Index, NameId, SlotId};

/// Pages scanned in one step: about 65,000 names, well below a millisecond.
pub(in crate::relay) const PAGES_PER_STEP: usize = 128;

/// Holders examined in one step: about as much work as the pages.
const HOLDERS_PER_STEP: usize = 32 * 1024;
/// This many holders count as one page.
const HOLDERS_PER_PAGE: usize = 1024;

/// A search in progress. It may take several steps.
pub(in crate::relay) struct Search {
    needle: Needle,
    /// Only names after this one are listed.
    after: Option<Box<str>>,
    /// Names up to this one, inclusive, have been scanned.
    scanned_to: Option<Box<str>>,
    found: FoundFiles,
    /// Holders examined in the current step.
    scanned_holders: usize,
    /// The page has no room for the next name.
    is_full: bool,
    total: u64,
}

/// Which nodes the requester may see.
pub(in crate::relay) struct Visibility<'a> {
    /// Every node with files is visible.
    pub(in crate::relay) everyone: bool,
    /// Whether one node is visible.
    pub(in crate::relay) is_visible: &'a dyn Fn(SlotId) -> bool,
}

/// The result of a finished search.
pub(in crate::relay) struct SearchPage {
    /// The files of this page.
    pub(in crate::relay) files: FoundFiles,
    /// Number of files on all pages.
    pub(in crate::relay) total: u64,
    /// The search for the names that follow, if any name was listed.
    pub(in crate::relay) next: Option<Search>,
}

impl Search {
    /// A search for names that contain `text`, ignoring case.
    pub(in crate::relay) fn new(text: &str) -> Self {
        Self::after(Needle::new(text), None)
    }

    fn after(needle: Needle, after: Option<Box<str>>) -> Self {
        Self {
            needle,
            after,
            scanned_to: None,
            found: FoundFiles::default(),
            scanned_holders: 0,
            is_full: false,
            total: 0,
        }
    }

    /// Scans a bounded number of pages and adds them to `scanned_pages`. Returns
    /// true when all pages are scanned.
    pub(in crate::relay) fn step(
        &mut self,
        index: &Index,
        visibility: &Visibility<'_>,
        scanned_pages: &mut usize,
    ) -> bool {
        let name_of = |id: NameId| &*index.entries[id].name;
        let pages = index.pages.from(self.scanned_to.as_deref(), name_of);
        let step = &pages[..pages.len().min(PAGES_PER_STEP)];
        // If names were inserted since, the last step may have ended within the first page.
        let mut first = match (&self.scanned_to, step.first()) {
            (Some(scanned_to), Some(page)) => page
                .ids()
                .partition_point(|id| name_of(*id) <= &**scanned_to),
            _ => 0,
        };
        self.scanned_holders = 0;
        for (number, page) in step.iter().enumerate() {
            let before = self.scanned_holders;
            let stopped = self.scan_page(page, first, index, visibility);
            first = 0;
            *scanned_pages += 1 + (self.scanned_holders - before) / HOLDERS_PER_PAGE;
            let is_last = number + 1 == step.len();
            if let Some(at) = stopped.or(page.ids().last().copied().filter(|_| is_last)) {
                self.scanned_to = Some(name_of(at).into());
            }
            if stopped.is_some() {
                return false;
            }
        }
        pages.len() <= PAGES_PER_STEP
    }

    /// The result, after the last step.
    pub(in crate::relay) fn into_page(self) -> SearchPage {
        let last_name = self.found.last_name().map(Box::from);
        let after = last_name.or(self.after);
        SearchPage {
            files: self.found,
            total: self.total,
            next: after.map(|after| Self::after(self.needle, Some(after))),
        }
    }

    /// Scans a page from the line `first` on. If its names have so many holders that
    /// the step must end within the page, returns the last name scanned.
    fn scan_page(
        &mut self,
        page: &Page,
        first: usize,
        index: &Index,
        visibility: &Visibility<'_>,
    ) -> Option<NameId> {
        let is_plain = visibility.everyone && index.ambiguous_names == 0;
        if self.needle.is_empty() && is_plain && self.is_full {
            self.total += (page.ids().len() - first) as u64;
            return None;
        }
        page.prefetch();
        let mut line = first;
        let mut offset = NeedleOffset::default();
        while let Some(hit) = self.needle.find(page, line, &mut offset) {
            // A name that contains the text twice counts once.
            line = hit + 1;
            if is_plain && self.is_full {
                self.total += 1;
                continue;
            }
            let id = page.ids()[hit];
            self.add(id, index, visibility, is_plain);
            if self.scanned_holders > HOLDERS_PER_STEP {
                return Some(id);
            }
        }
        None
    }

    /// Adds one name: a file for each visible content.
    fn add(&mut self, id: NameId, index: &Index, visibility: &Visibility<'_>, is_plain: bool) {
        let entry = &index.entries[id];
        let is_next = self
            .after
            .as_deref()
            .is_none_or(|after| *entry.name > *after);
        if is_plain && !is_next {
            self.total += 1;
            return;
        }
        let is_visible = |node| visibility.everyone || (visibility.is_visible)(node);
        let contents = entry.holders.contents(is_visible);
        self.scanned_holders += entry.holders.list().len();
        self.total += contents.len() as u64;
        let room = MAX_LISTED_FILES - self.found.len();
        self.is_full |= is_next && self.found.len() > 0 && contents.len() > room;
        if !is_next || self.is_full {
            return;
        }
        // A name with more contents than one page may list is cut: otherwise the
        // names after it could never be listed.
        for (holder, holders) in contents.into_iter().take(MAX_LISTED_FILES) {
            self.found.push(&entry.name, holder, holders);
        }
        self.is_full = self.found.len() >= MAX_LISTED_FILES;
    }
}
