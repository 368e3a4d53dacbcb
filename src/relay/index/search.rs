//! A search over all names, in bounded steps.

use crate::protocol::MAX_LISTED_FILES;
use crate::relay::index::found::FoundFiles;
use crate::relay::index::holder::NameContent;
use crate::relay::index::name_blocks::NameBlock;
use crate::relay::index::name_query::{CompiledQuery, NameQuery};
use crate::relay::index::needle::NeedleOffset;
use crate::relay::index::{Holder, Index, NameId, SlotId};

/// The work of one step: well below a millisecond.
pub(in crate::relay) const WORK_PER_STEP: usize = 8192;
/// The work of scanning the text of a block. The work of looking at a name, or at a block
/// without its text, is 1.
const WORK_PER_BLOCK: usize = 64;

/// A search in progress. It may take several steps.
pub(in crate::relay) struct Search {
    query: NameQuery,
    options: SearchOptions,
    /// Only names after this one are listed.
    after: Option<Box<str>>,
    /// Names up to this one, inclusive, have been scanned.
    scanned_to: Option<Box<str>>,
    found: FoundFiles,
    /// The batch has no room for the next name.
    is_full: bool,
    total: u64,
    /// The part of the total up to the last file of the batch.
    last_position: u64,
    /// The contents of the name that is looked at.
    contents: Vec<NameContent>,
}

/// What a search lists and counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::relay) struct SearchOptions {
    /// No name is added to a batch with this many files.
    pub(in crate::relay) max_files: usize,
    /// Whether the files of all batches are counted. Otherwise the search ends with its batch.
    pub(in crate::relay) counts_all: bool,
}

/// As of `SEARCH`.
impl Default for SearchOptions {
    fn default() -> Self {
        Self {
            max_files: MAX_LISTED_FILES,
            counts_all: true,
        }
    }
}

/// Which holders the requester may see.
pub(in crate::relay) struct Visibility<'a> {
    /// The requester is on loopback and sees the nodes there.
    pub(in crate::relay) on_loopback: bool,
    /// Files of nodes that have left may still be in the index.
    pub(in crate::relay) has_departed: bool,
    /// Whether a node has not left.
    pub(in crate::relay) is_live: &'a dyn Fn(SlotId) -> bool,
}

impl Visibility<'_> {
    pub(super) fn shows(&self, holder: &Holder) -> bool {
        let is_public = self.on_loopback || !holder.on_loopback;
        is_public && (!self.has_departed || (self.is_live)(holder.node))
    }
}

/// The result of a finished search.
pub(in crate::relay) struct SearchResult {
    /// The files of this batch.
    pub(in crate::relay) files: FoundFiles,
    /// Number of files in all batches, or of those that were counted.
    pub(in crate::relay) total: u64,
    /// Whether a further batch has files.
    pub(in crate::relay) has_more: bool,
    /// The search for the names that follow, if any name was listed.
    pub(in crate::relay) next: Option<Search>,
}

impl Search {
    /// Lists the names after `after`.
    pub(in crate::relay) fn new(
        query: NameQuery,
        options: SearchOptions,
        after: Option<Box<str>>,
    ) -> Self {
        Self {
            query,
            options,
            scanned_to: after.clone().filter(|_| !options.counts_all),
            after,
            found: FoundFiles::default(),
            is_full: false,
            total: 0,
            last_position: 0,
            contents: Vec::new(),
        }
    }

    /// Does a bounded amount of work, and adds the amount to `work`. Returns true when
    /// all names are scanned.
    pub(in crate::relay) fn step(
        &mut self,
        index: &Index,
        visibility: &Visibility<'_>,
        work: &mut usize,
    ) -> bool {
        let mut scan = Scan {
            index,
            visibility,
            query: self.query.compile(),
            work_left: WORK_PER_STEP,
        };
        scan.spend(scan.query.work());
        let last = self.scan(&mut scan);
        *work += WORK_PER_STEP - scan.work_left;
        if let Some(id) = last {
            self.scanned_to = Some(index.entries[id].name.clone());
        }
        last.is_none()
    }

    /// The result, after the last step.
    pub(in crate::relay) fn into_result(self) -> SearchResult {
        let last_name = self.found.last_name().map(Box::from);
        let after = last_name.or(self.after);
        let has_more = self.found.len() > 0 && self.total > self.last_position;
        SearchResult {
            has_more,
            files: self.found,
            total: self.total,
            next: after.map(|after| Self::new(self.query, self.options, Some(after))),
        }
    }

    /// Scans until no work is left. Returns the last name scanned, unless all are.
    fn scan(&mut self, scan: &mut Scan<'_>) -> Option<NameId> {
        let entries = &scan.index.entries;
        let blocks = scan.index.blocks.from(self.scanned_to.as_deref(), entries);
        let listed = scan.index.blocks.from(self.after.as_deref(), entries);
        // All names of these blocks are before those to be listed.
        let unlisted = blocks.len().saturating_sub(listed.len());
        // If names were inserted since, the last step may have ended within the first block.
        let mut first = match (&self.scanned_to, blocks.first()) {
            (Some(name), Some(block)) => block.position_after(name, entries),
            _ => 0,
        };
        let mut last = None;
        for (number, block) in blocks.iter().enumerate() {
            if last.is_some() && scan.work_left == 0 {
                return last;
            }
            let first_listed = match &self.after {
                _ if number < unlisted || self.is_full => block.ids().len(),
                Some(after) => block.position_after(after, entries),
                None => 0,
            };
            let stopped_at = self.scan_block(scan, block, first, first_listed);
            if stopped_at.is_some() || self.is_finished() {
                return stopped_at;
            }
            first = 0;
            last = block.ids().last().copied();
        }
        None
    }

    /// Scans a block from the line `first` on; the names before the line `first_listed`
    /// are only counted. Returns the last name scanned if no work is left and the search is
    /// not finished.
    fn scan_block(
        &mut self,
        scan: &mut Scan<'_>,
        block: &NameBlock,
        first: usize,
        first_listed: usize,
    ) -> Option<NameId> {
        let on_loopback = scan.visibility.on_loopback;
        let is_current = !scan.visibility.has_departed;
        let lists_none = first_listed == block.ids().len();
        if self.query.finds_all() && is_current && lists_none && first == 0 {
            scan.spend(1);
            self.total += block.file_count(on_loopback) as u64;
            return None;
        }
        scan.spend(WORK_PER_BLOCK);
        block.prefetch();
        let is_plain = is_current && block.is_plain(on_loopback);
        let mut line = first;
        let mut offset = NeedleOffset::default();
        while !self.is_finished()
            && let Some(hit) = self.query.needle.find(block, line, &mut offset)
        {
            // A name that contains the text twice counts once.
            line = hit + 1;
            let is_listed = hit >= first_listed && !self.is_full;
            if is_plain && !is_listed && !self.query.has_glob() {
                self.total += 1;
                continue;
            }
            let id = block.ids()[hit];
            if scan.finds(id) {
                self.add(scan, id, is_listed);
            }
            if scan.work_left == 0 && !self.is_finished() {
                return Some(id);
            }
        }
        None
    }

    /// Whether the rest need not be scanned.
    fn is_finished(&self) -> bool {
        !self.options.counts_all && self.is_full && self.total > self.last_position
    }

    /// Adds one name: a file for each visible content.
    fn add(&mut self, scan: &mut Scan<'_>, id: NameId, is_listed: bool) {
        let entry = &scan.index.entries[id];
        scan.spend(1 + entry.holders.work());
        let room = match is_listed {
            true => self.found.room(&entry.name),
            false => 0,
        };
        let contents = &mut self.contents;
        let all = entry.holders.contents(scan.visibility, room, contents);
        self.total += all as u64;
        if !is_listed {
            return;
        }
        if all > room && self.found.len() > 0 {
            self.is_full = true;
            return;
        }
        // A name with more contents than one batch may list is cut: otherwise the
        // names after it could never be listed.
        for content in contents.drain(..) {
            self.found.push(&entry.name, content);
        }
        self.last_position = self.total;
        self.is_full = self.found.len() >= self.options.max_files;
    }
}

/// The surroundings of one step.
struct Scan<'a> {
    index: &'a Index,
    visibility: &'a Visibility<'a>,
    query: CompiledQuery,
    work_left: usize,
}

impl Scan<'_> {
    /// Whether a name that contains the text is one of those searched.
    fn finds(&mut self, id: NameId) -> bool {
        let mut work = 0;
        let name = &self.index.entries[id].name;
        let is_found = self.query.matches(name, &mut work);
        self.spend(work);
        is_found
    }

    fn spend(&mut self, work: usize) {
        self.work_left = self.work_left.saturating_sub(work);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::protocol::{FileName, MaybeHash};
    use crate::relay::index::{ContentId, Minute, Quota};

    pub(in crate::relay::index) const QUOTA: Quota = Quota {
        node_files: u64::MAX,
        node_bytes: u64::MAX,
        address_bytes: u64::MAX,
        all_files: u64::MAX,
        all_bytes: u64::MAX,
    };

    /// The files of all batches: name and size. Each batch but the last one says rightly that
    /// there are more, and a search that counts knows the number of all.
    fn all_batches(index: &Index, text: &str, options: SearchOptions) -> Vec<(String, u64)> {
        let visibility = Visibility {
            on_loopback: false,
            has_departed: false,
            is_live: &|_| true,
        };
        let (mut found, mut after, mut totals) = (Vec::new(), None, Vec::new());
        loop {
            let mut search = Search::new(NameQuery::parse(text), options, after);
            while !search.step(index, &visibility, &mut 0) {}
            let result = search.into_result();
            assert!(totals.is_empty() || result.files.len() > 0);
            let files = result.files.items();
            found.extend(files.map(|file| (file.name.as_str().to_owned(), file.size)));
            totals.push(result.total);
            if !result.has_more {
                let all = found.len() as u64;
                assert!(!options.counts_all || totals.iter().all(|total| *total == all));
                return found;
            }
            after = result.files.last_name().map(Box::from);
        }
    }

    proptest! {
        #[test]
        fn batches_of_any_size_list_each_file_once(
            files in prop::collection::btree_set(("[ab]{1,3}(/[ab]{1,2})?", 0..3_u64), 0..60),
            text in "[ab*?/]{0,3}",
            max_files in 1..5_usize,
            counts_all: bool,
            are_loaded: bool,
        ) {
            let mut index = Index::default();
            if are_loaded {
                index.start_loading();
            }
            for (node, (name, size)) in files.iter().enumerate() {
                let holder = Holder {
                    node: node as u32,
                    content: ContentId::new(*size, MaybeHash(None)),
                    on_loopback: *size == 0,
                    since: Minute::LAST,
                };
                let name = FileName::parse(name).expect("a name");
                index.insert(&name, holder, None, &QUOTA).expect("room");
            }
            index.finish_loading();
            let glob = crate::name_glob::NameGlob::parse(&text).map(|glob| glob.matcher());
            let is_found = |name: &str| match &glob {
                Some(glob) => glob.is_match(name),
                None => name.contains(&text),
            };
            let visible = files.iter().filter(|(name, size)| *size > 0 && is_found(name));
            let options = SearchOptions { max_files, counts_all };
            let mut found = all_batches(&index, &text, options);
            prop_assert!(found.is_sorted_by_key(|(name, _)| name.clone()));
            found.sort_unstable();
            prop_assert_eq!(found, visible.cloned().collect::<Vec<_>>());
        }
    }
}
